"""The gate: a graph is published only if it computes what PyTorch computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from w2vc_runtime.features import RECIPES, Inputs
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


@dataclass(frozen=True)
class Reference:
    """What PyTorch computes for one case.

    inputs: the graph's inputs. counts: frames of each clip that mean something. expected: logits [frames, vocabulary]
    of each clip.
    """

    case: str
    seconds: float
    inputs: Inputs
    counts: tuple[int, ...]
    expected: tuple[Array, ...]


@torch.no_grad()
def references(model: nn.Module, features: Features, frames: Frames, padding: str) -> list[Reference]:
    """Run the PyTorch model on `CASES` and `GAINS`.

    Under ``padding-invariant`` each clip is run alone, so that a graph which lets padding in fails; under ``hf-exact``
    the padded batch is run. All of it is done before the graph is loaded: the two need not be in memory together.
    """
    result = []
    for name, clips in _batches(features.sampling_rate, frames):
        inputs = RECIPES[features.kind](clips, features, padding)
        values, mask = (torch.from_numpy(inputs[name]) for name in ("input_values", "attention_mask"))
        if padding == "hf-exact":
            expected = tuple(model(values, mask).numpy())
            counts = tuple(map(len, expected))
        else:
            lengths = [len(clip) for clip in clips]
            alone = [(values[row : row + 1, :n], mask[row : row + 1, :n]) for row, n in enumerate(lengths)]
            expected = tuple(model(*clip)[0].numpy() for clip in alone)
            counts = tuple(map(frames.count, lengths))
        result.append(Reference(name, values.shape[1] / features.sampling_rate, inputs, counts, expected))
    return result


def verify(session: Session, cases: Sequence[Reference], precision: str) -> Verdict:
    """Run a graph on what PyTorch was run on, and compare within the budget of its precision."""
    budget = BUDGETS[precision]
    rows, problems = [], []
    for case in cases:
        row = _compare(case, session.run(case.inputs)["logits"])
        rows.append(row)
        if not np.isfinite(row.difference):
            problems.append(f"{row.case}: the graph gives NaN or a wrong number of frames")
        elif row.difference > budget.difference:
            problems.append(f"{row.case}: differs by {row.difference:.1e} of the largest logit")
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


def _rounded(difference: float) -> float | None:
    """Two digits; None for a difference that JSON has no number for."""
    return float(f"{difference:.1e}") if np.isfinite(difference) else None


def _compare(case: Reference, logits: Array) -> Row:
    difference, same = 0.0, 0
    for row, count, expected in zip(logits, case.counts, case.expected, strict=True):
        actual = row[:count]
        if actual.shape != expected.shape or not np.isfinite(actual).all():
            difference = float("inf")
            continue
        difference = max(difference, float(np.abs(actual - expected).max() / np.abs(expected).max()))
        same += int((actual.argmax(-1) == expected.argmax(-1)).sum())
    total = sum(map(len, case.expected))
    return Row(case.case, len(case.counts), round(case.seconds, 4), difference, total, same / total)
