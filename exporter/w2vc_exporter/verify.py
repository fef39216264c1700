"""The gate: a graph is published only if it computes what PyTorch computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from w2vc_runtime.features import RECIPES
from w2vc_runtime.manifest import Features, Frames
from w2vc_runtime.session import Session

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Budget:
    """What a precision may cost.

    difference: largest |graph - PyTorch| allowed, relative to PyTorch's largest |logit|.
    tokens: smallest share of frames whose best token is the same.
    """

    difference: float
    tokens: float


BUDGETS = {"fp32": Budget(1e-4, 0.999), "fp16": Budget(2e-2, 0.99)}

# Seconds of each clip of each batch; the graph is traced at one second. 0 stands for the shortest clip there is.
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


@dataclass(frozen=True)
class Row:
    """Outcome of one case."""

    case: str
    batch: int
    seconds: float
    difference: float
    frames: int
    tokens: float


@dataclass(frozen=True)
class Verdict:
    """Outcome of the gate; ``problems`` is empty where the graph may be published."""

    precision: str
    budget: Budget
    rows: tuple[Row, ...]
    problems: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Worst relative difference."""
        return max(row.difference for row in self.rows)

    @property
    def tokens(self) -> float:
        """Share of all frames whose best token is the same."""
        return sum(row.tokens * row.frames for row in self.rows) / sum(row.frames for row in self.rows)

    @property
    def summary(self) -> str:
        """One line."""
        return (
            f"{len(self.rows)} cases, worst difference {self.difference:.1e} of the largest logit "
            f"(allowed {self.budget.difference:.0e}), same token in {self.tokens:.2%} of the frames"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest and the report; differences to two digits, so that reports can be compared."""
        rows = [
            {**asdict(row), "difference": _rounded(row.difference), "tokens": round(row.tokens, 6)} for row in self.rows
        ]
        return {
            "passed": not self.problems,
            "summary": self.summary,
            "precision": self.precision,
            "budget": asdict(self.budget),
            "problems": list(self.problems),
            "reference": f"PyTorch {torch.__version__}, fp32, on the CPU",
            "audio": "noise shaped like speech, seed 0",
            "cases": rows,
        }


def verify(
    model: nn.Module, session: Session, features: Features, frames: Frames, padding: str, precision: str
) -> Verdict:
    """Run a graph and its PyTorch model side by side on `CASES` and `GAINS`.

    Under ``padding-invariant`` the reference is each clip alone, so that a graph which lets padding in fails; under
    ``hf-exact`` it is the padded batch.
    """
    budget = BUDGETS[precision]
    rows, problems = [], []
    for name, clips in _batches(features.sampling_rate, frames):
        inputs = RECIPES[features.kind](clips, features, padding)
        actual = session.run(inputs)["logits"]
        pairs = list(_pairs(model, inputs, actual, [len(clip) for clip in clips], frames, padding))
        row = _compare(name, len(clips), max(map(len, clips)) / features.sampling_rate, pairs)
        rows.append(row)
        if not np.isfinite(row.difference):
            problems.append(f"{name}: the graph gives NaN or a wrong number of frames")
        elif row.difference > budget.difference:
            problems.append(f"{name}: differs by {row.difference:.1e} of the largest logit")
    verdict = Verdict(precision, budget, tuple(rows), tuple(problems))
    if not problems and verdict.tokens < budget.tokens:
        problems.append(f"the same token in {verdict.tokens:.2%} of the frames, {budget.tokens:.1%} is required")
    return Verdict(precision, budget, tuple(rows), tuple(problems))


def _batches(rate: int, frames: Frames) -> Iterator[tuple[str, list[Array]]]:
    generator = np.random.default_rng(0)
    for name, seconds in CASES.items():
        yield name, [_noise(max(frames.field, round(s * rate)), rate, generator) for s in seconds]
    for name, gain in GAINS.items():
        clip = _noise(round(GAIN_SECONDS * rate), rate, generator)
        yield name, [(clip / np.abs(clip).max() * gain).astype(np.float32)]


def _noise(samples: int, rate: int, generator: np.random.Generator) -> Array:
    """Noise with the slow rise and fall of speech, so that frames differ from each other."""
    time = np.arange(samples) / rate
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * (3.1 * time + generator.random()))
    return (SPEECH_LEVEL * envelope * generator.standard_normal(samples)).astype(np.float32)


@torch.no_grad()
def _pairs(
    model: nn.Module, inputs: dict[str, Any], actual: Array, lengths: Sequence[int], frames: Frames, padding: str
) -> Iterator[tuple[Array, Array]]:
    """What the graph gave and what it should have given, [frames, vocabulary] each."""
    values, mask = (torch.from_numpy(inputs[name]) for name in ("input_values", "attention_mask"))
    if padding == "hf-exact":
        yield from zip(actual, model(values, mask).numpy(), strict=True)
        return
    for row, length in enumerate(lengths):
        expected = model(values[row : row + 1, :length], mask[row : row + 1, :length])[0].numpy()
        yield actual[row, : frames.count(length)], expected


def _rounded(difference: float) -> float | None:
    """Two digits; None for a difference that JSON has no number for."""
    return float(f"{difference:.1e}") if np.isfinite(difference) else None


def _compare(name: str, batch: int, seconds: float, pairs: Sequence[tuple[Array, Array]]) -> Row:
    difference, same, total = 0.0, 0, 0
    for actual, expected in pairs:
        total += len(expected)
        if actual.shape != expected.shape or not np.isfinite(actual).all():
            difference = float("inf")
            continue
        difference = max(difference, float(np.abs(actual - expected).max() / np.abs(expected).max()))
        same += int((actual.argmax(-1) == expected.argmax(-1)).sum())
    return Row(name, batch, round(seconds, 4), difference, total, same / total)
