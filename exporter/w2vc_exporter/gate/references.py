"""The gate: what PyTorch computes on the cases that a graph must equal, and what it may differ by."""

from __future__ import annotations

import functools

import torch

from w2vc_exporter.errors import ExportError
from w2vc_model import SpeechModel
from w2vc_runtime.bundle import Frames
from w2vc_runtime.features import Recipe
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
def references(
    model: SpeechModel,
    features: Recipe,
    frames: dict[str, Frames],
    shortest: int,
    padding: str,
    corpus: Corpus | None = None,
) -> list[Reference]:
    """Run the PyTorch model on every case of noise, on each recording, and on the first recordings as a padded batch.

    Under ``padding-invariant`` each clip is run alone, so that a graph which lets padding in fails; under ``hf-exact``
    the padded batch is run. All of it is done before the graph is loaded: the two need not be in memory together.
    frames: of each time axis. shortest: the fewest samples that the model answers for.
    """
    names = list(model.inputs)
    run = functools.partial(_reference, model, features.sampling_rate, frames, padding)
    result = [run(case) for case in cases(features, frames, shortest, padding, names)]
    if corpus is None:
        return result
    record = functools.partial(make, features=features, frames=frames, padding=padding, names=names)
    result += [run(record(clip.name, (clip.samples,)), corpus.name, clip.text) for clip in corpus.clips]
    lengths: dict[int, Clip] = {}
    for clip in corpus.clips:
        lengths.setdefault(len(clip.samples), clip)
    padded = list(lengths.values())[:PADDED]
    if len(padded) > 1:
        name = f"padded {', '.join(clip.name for clip in padded)}"
        result.append(run(record(name, tuple(clip.samples for clip in padded)), corpus.name))
    return result


def _reference(
    model: SpeechModel,
    rate: int,
    frames: dict[str, Frames],
    padding: str,
    case: Case,
    corpus: str | None = None,
    text: str | None = None,
) -> Reference:
    lengths = dict.fromkeys(case.inputs, case.inputs["attention_mask"].sum(-1).tolist())
    if "mask_time_indices" in case.inputs:
        lengths["mask_time_indices"] = [frames["frames"].count(len(clip)) for clip in case.clips]
    arguments = {name: torch.from_numpy(case.inputs[name]) for name in model.inputs}
    if padding == "hf-exact":
        together = model(*arguments.values())
        values = {name: tuple(value.numpy()) if value.ndim else (value.numpy(),) for name, value in together.items()}
    else:
        alone = [
            model(*(value[row : row + 1, : lengths[name][row]] for name, value in arguments.items()))
            for row in range(len(case.clips))
        ]
        values = {name: tuple(each[name][0].numpy() for each in alone) for name in model.outputs}
    expected = {name: tuple(map(Expected.whole, each)) for name, each in values.items()}
    seconds = max(map(len, case.clips)) / rate
    return Reference(case.name, case.clips, seconds, case.inputs, expected, corpus, text, case.alone)
