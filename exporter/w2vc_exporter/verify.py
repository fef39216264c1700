"""The gate: what PyTorch computes on the cases that a graph must equal, and what it may differ by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from w2vc_model import SpeechModel
from w2vc_runtime.features import Recipe
from w2vc_runtime.manifest import Frames
from w2vc_runtime.parity import Reference

from .corpus import Clip, Corpus
from .errors import ExportError

Array = NDArray[np.float32]

REFERENCE = f"PyTorch {torch.__version__}, fp32, on the CPU"
NOISE = "shaped like speech, seed 0"

# Seconds of each clip of each batch; most graphs are traced at one second. 0 stands for the shortest clip there is, and
# what is shorter than it becomes as long.
CASES: dict[str, tuple[float, ...]] = {
    "one frame": (0,),
    "0.1 s": (0.1,),
    "0.5 s": (0.5,),
    "1 s, as traced": (1.0,),
    "3.1 s": (3.1,),
    "12 s": (12.0,),
    "3 clips of 2 s": (2.0, 2.0, 2.0),
    "padded 0.7, 2.3, 1.2 s": (0.7, 2.3, 1.2),
    "padded 4 s, one frame": (4.0, 0),
}
GAINS = {"silent": 0.0, "quiet": 1e-4, "loud": 1.0}
GAIN_SECONDS = 1.3
SPEECH_LEVEL = 0.1
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
    """Run the PyTorch model on `CASES`, on `GAINS`, on each recording, and on the first recordings as a padded batch.

    Under ``padding-invariant`` each clip is run alone, so that a graph which lets padding in fails; under ``hf-exact``
    the padded batch is run. All of it is done before the graph is loaded: the two need not be in memory together.
    frames: of each time axis. shortest: the fewest samples that the model answers for.
    """
    result = [
        _reference(model, features, frames, padding, name, clips, masked=name in CASES)
        for name, clips in _batches(features.sampling_rate, shortest)
    ]
    if corpus is None:
        return result
    for clip in corpus.clips:
        case = _reference(model, features, frames, padding, clip.name, [clip.samples])
        result.append(replace(case, corpus=corpus.name, text=clip.text))
    lengths: dict[int, Clip] = {}
    for clip in corpus.clips:
        lengths.setdefault(len(clip.samples), clip)
    padded = list(lengths.values())[:PADDED]
    if len(padded) > 1:
        name = f"padded {', '.join(clip.name for clip in padded)}"
        case = _reference(model, features, frames, padding, name, [clip.samples for clip in padded])
        result.append(replace(case, corpus=corpus.name))
    return result


def _reference(
    model: SpeechModel,
    features: Recipe,
    frames: dict[str, Frames],
    padding: str,
    name: str,
    clips: Sequence[Array],
    masked: bool = True,
) -> Reference:
    """masked: for head ``pretraining``, whether there are frames to guess."""
    inputs = features(clips, padding)
    lengths = dict.fromkeys(inputs, inputs["attention_mask"].sum(-1).tolist())
    if "mask_time_indices" in model.inputs:
        lengths["mask_time_indices"] = [frames["frames"].count(len(clip)) for clip in clips]
        inputs["mask_time_indices"] = _time_mask(lengths["mask_time_indices"], masked)
    arguments = {name: torch.from_numpy(inputs[name]) for name in model.inputs}
    if padding == "hf-exact":
        together = model(*arguments.values())
        expected = {name: tuple(value.numpy()) if value.ndim else (value.numpy(),) for name, value in together.items()}
    else:
        alone = [
            model(*(value[row : row + 1, : lengths[name][row]] for name, value in arguments.items()))
            for row in range(len(clips))
        ]
        expected = {name: tuple(each[name][0].numpy() for each in alone) for name in model.outputs}
    seconds = max(map(len, clips)) / features.sampling_rate
    return Reference(name, len(clips), seconds, inputs, expected)


def _batches(rate: int, shortest: int) -> Iterator[tuple[str, list[Array]]]:
    generator = np.random.default_rng(0)
    for name, seconds in CASES.items():
        yield name, [_noise(max(shortest, round(s * rate)), rate, generator) for s in seconds]
    for name, gain in GAINS.items():
        clip = _noise(max(shortest, round(GAIN_SECONDS * rate)), rate, generator)
        yield name, [(clip / np.abs(clip).max() * gain).astype(np.float32)]


def _noise(samples: int, rate: int, generator: np.random.Generator) -> Array:
    """Noise with the slow rise and fall of speech, so that frames differ from each other."""
    time = np.arange(samples) / rate
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * (3.1 * time + generator.random()))
    return (SPEECH_LEVEL * envelope * generator.standard_normal(samples)).astype(np.float32)


def _time_mask(counts: Sequence[int], masked: bool) -> NDArray[np.bool_]:
    """``mask_time_indices`` [batch, frames]: every third frame of each clip, or none."""
    mask = np.zeros((len(counts), max(counts)), dtype=bool)
    for row, count in enumerate(counts):
        mask[row, : count if masked else 0 : 3] = True
    return mask
