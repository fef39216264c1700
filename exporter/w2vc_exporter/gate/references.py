"""The gate: what PyTorch computes on the cases that a graph must equal, and what it may differ by."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch

from w2vc_exporter.errors import ExportError
from w2vc_model import SpeechModel
from w2vc_runtime.bundle import Interface
from w2vc_runtime.bundle.interface import TIME_MASK, Arrays
from w2vc_runtime.verify.cases import Case, cases, make
from w2vc_runtime.verify.reference import Expected, Reference

from .corpus import Clip, Corpus

REFERENCE = f"PyTorch {torch.__version__}, fp32, on the CPU"
# As many recordings as make the padded batch, the first that differ in length.
PADDED = 3
# What a budget may name, and the field of `Budget` that it sets.
LIMITS = {"tokens": "choices", "difference": "difference", "wer": "wer"}


def read_budget(text: str) -> dict[str, float]:
    """What a text such as ``tokens=99.9%,wer=+0.2`` says, by field of `Budget`; raise `ExportError` on others."""
    limits = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            number = float(value.removesuffix("%"))
        except ValueError:
            number = -1.0
        if value.endswith("%") and name != "wer":
            number = round(number / 100, 12)  # 99.9 / 100 is more than 0.999
        if name not in LIMITS or not 0 <= number < float("inf") or (name == "tokens" and number > 1):
            raise ExportError(
                f"budget {part.strip()!r} cannot be read; expected tokens=PERCENT% (of equal choices), wer=+POINTS (of "
                "word error rate) or difference=NUMBER (of the largest value), such as tokens=99.9%,wer=+0.2"
            )
        limits[LIMITS[name]] = number
    return limits


@torch.no_grad()
def references(model: SpeechModel, interface: Interface, corpus: Corpus | None = None) -> list[Reference]:
    """Run the PyTorch model on every case of noise, on each recording, and on the first recordings as a padded batch.

    Under ``padding-invariant`` each clip is run alone, so that a graph which lets padding in fails; under ``hf-exact``
    the padded batch is run. All of it is done before the graph is loaded: the two need not be in memory together.
    """
    run = functools.partial(_reference, model, interface)
    result = [run(case) for case in cases(interface)]
    if corpus is None:
        return result
    result += [run(make(interface, clip.name, (clip.samples,)), corpus.name, clip.text) for clip in corpus.clips]
    lengths: dict[int, Clip] = {}
    for clip in corpus.clips:
        lengths.setdefault(len(clip.samples), clip)
    padded = list(lengths.values())[:PADDED]
    if len(padded) > 1:
        name = f"padded {', '.join(clip.name for clip in padded)}"
        result.append(run(make(interface, name, [clip.samples for clip in padded]), corpus.name))
    return result


def _reference(
    model: SpeechModel, interface: Interface, case: Case, corpus: str | None = None, text: str | None = None
) -> Reference:
    if interface.invariant:
        alone = [_run(model, inputs) for inputs in _alone(interface, case)]
        values = {name: tuple(each[name][0] for each in alone) for name in model.outputs}
    else:
        outputs = _run(model, case.inputs)
        values = {name: tuple(value) if value.ndim else (value,) for name, value in outputs.items()}
    expected = {name: tuple(map(Expected.whole, each)) for name, each in values.items()}
    seconds = max(map(len, case.clips)) / interface.sampling_rate
    return Reference(case.name, case.clips, seconds, case.inputs, expected, corpus, text, case.alone)


def _alone(interface: Interface, case: Case) -> Iterator[Arrays]:
    """What the batch has of each clip, without its padding."""
    valid = case.inputs["attention_mask"].sum(-1)
    for row, clip in enumerate(case.clips):
        lengths = dict.fromkeys(case.inputs, valid[row])
        if interface.takes_time_masks:
            lengths[TIME_MASK] = interface.frames_of(clip)
        yield {name: value[row : row + 1, : lengths[name]] for name, value in case.inputs.items()}


def _run(model: SpeechModel, inputs: Arrays) -> Arrays:
    outputs = model(*(torch.from_numpy(inputs[name]) for name in model.inputs))
    return {name: value.numpy() for name, value in outputs.items()}
