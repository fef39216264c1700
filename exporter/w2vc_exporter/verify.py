"""The gate: a graph is published only if it computes what PyTorch computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from w2vc_model import SpeechModel
from w2vc_runtime.features import Recipe
from w2vc_runtime.manifest import Frames
from w2vc_runtime.session import Session, Tensors

from .errors import ExportError

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Budget:
    """What a precision may cost.

    difference: largest |graph - PyTorch| allowed, relative to PyTorch's largest |value| of that output.
    choices: smallest share of equal choices: the best token or class, or the codevectors of a frame.
    """

    difference: float
    choices: float

    def changed(self, text: str) -> Budget:
        """This budget with what a text such as ``tokens=99.9%,difference=1e-3`` says; raise `ExportError` on others."""
        values = {"difference": self.difference, "tokens": self.choices}
        for part in text.split(","):
            name, _, value = (piece.strip() for piece in part.partition("="))
            try:
                number = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
            except ValueError:
                number = -1.0
            if name not in values or not 0 <= number < float("inf") or (name == "tokens" and number > 1):
                raise ExportError(
                    f"budget {part.strip()!r} cannot be read; expected tokens=PERCENT% (of equal choices) or "
                    "difference=NUMBER (of the largest value), such as tokens=99.9%,difference=1e-3"
                )
            values[name] = number
        return Budget(values["difference"], values["tokens"])


BUDGETS = {
    "fp32": Budget(1e-4, 0.999),
    "fp16": Budget(2e-2, 0.99),
    "bf16": Budget(1e-1, 0.95),
    "int8": Budget(3e-1, 0.9),
}

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
# Largest sample. Past full scale: what was recorded as integers, or amplified, and not scaled to 1.
GAINS = {"silent": 0.0, "faint": 1e-4, "quiet": 1e-3, "loud": 1.0, "past full scale": 1e3}
GAIN_SECONDS = 1.3
# Rounding moves a projected codevector by up to 0.01 of the largest value, another one is 0.05 away or more.
SAME_CODEVECTOR = 0.03
SPEECH_LEVEL = 0.1


@dataclass(frozen=True)
class Row:
    """Outcome of one case. choices: how many there were; same: how many of them are equal."""

    case: str
    batch: int
    seconds: float
    difference: float
    choices: int
    same: int


@dataclass(frozen=True)
class Verdict:
    """Outcome of the gate; ``problems`` is empty where the graph may be published."""

    budget: Budget
    rows: tuple[Row, ...]
    problems: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Worst relative difference."""
        return max(row.difference for row in self.rows)

    @property
    def same(self) -> float | None:
        """Share of all choices that are equal; None for a head that makes none."""
        choices = sum(row.choices for row in self.rows)
        return sum(row.same for row in self.rows) / choices if choices else None

    @property
    def summary(self) -> str:
        """One line."""
        chosen = "" if self.same is None else f", {self.same:.2%} of the choices the same"
        return (
            f"{len(self.rows)} cases, worst difference {self.difference:.1e} of the largest value "
            f"(allowed {self.budget.difference:.0e}){chosen}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest and the report; differences to two digits, so that reports can be compared."""
        return {
            "passed": not self.problems,
            "summary": self.summary,
            "budget": asdict(self.budget),
            "problems": list(self.problems),
            "reference": f"PyTorch {torch.__version__}, fp32, on the CPU",
            "audio": "noise shaped like speech, seed 0",
            "cases": [{**asdict(row), "difference": _rounded(row.difference)} for row in self.rows],
        }


@dataclass(frozen=True)
class Reference:
    """What PyTorch computes for one case.

    inputs: the graph's inputs. expected: for each output, the value of each clip, cut to the frames that mean
    something; an output of the whole batch counts as one clip.
    """

    case: str
    batch: int
    seconds: float
    inputs: Tensors
    expected: dict[str, tuple[Array, ...]]


@torch.no_grad()
def references(
    model: SpeechModel, features: Recipe, frames: dict[str, Frames], shortest: int, padding: str
) -> list[Reference]:
    """Run the PyTorch model on `CASES` and `GAINS`.

    Under ``padding-invariant`` each clip is run alone, so that a graph which lets padding in fails; under ``hf-exact``
    the padded batch is run. All of it is done before the graph is loaded: the two need not be in memory together.
    frames: of each time axis. shortest: the fewest samples that the model answers for.
    """
    result = []
    for name, clips in _batches(features.sampling_rate, shortest):
        inputs = features(clips, padding)
        lengths = dict.fromkeys(inputs, inputs["attention_mask"].sum(-1).tolist())
        if "mask_time_indices" in model.inputs:
            lengths["mask_time_indices"] = [frames["frames"].count(len(clip)) for clip in clips]
            inputs["mask_time_indices"] = _time_mask(lengths["mask_time_indices"], masked=name in CASES)
        arguments = {name: torch.from_numpy(inputs[name]) for name in model.inputs}
        if padding == "hf-exact":
            together = model(*arguments.values())
            expected = {
                name: tuple(value.numpy()) if value.ndim else (value.numpy(),) for name, value in together.items()
            }
        else:
            alone = [
                model(*(value[row : row + 1, : lengths[name][row]] for name, value in arguments.items()))
                for row in range(len(clips))
            ]
            expected = {name: tuple(each[name][0].numpy() for each in alone) for name in model.outputs}
        seconds = max(map(len, clips)) / features.sampling_rate
        result.append(Reference(name, len(clips), seconds, inputs, expected))
    return result


def verify(session: Session, cases: Sequence[Reference], budget: Budget, chosen: str | None) -> Verdict:
    """Run a graph on what PyTorch was run on, and compare within a budget.

    chosen: the output whose largest value, or nearest codevector, is a choice (`SpeechModel.chosen`).
    """
    scales = {
        name: max(float(np.abs(value).max()) for case in cases for value in case.expected[name])
        for name in cases[0].expected
    }
    rows, problems = [], []
    for case in cases:
        row = _compare(case, session.run(case.inputs), scales, chosen, budget)
        rows.append(row)
        if not np.isfinite(row.difference):
            problems.append(f"{row.case}: the graph gives NaN or a wrong number of frames")
        elif row.difference > budget.difference:
            problems.append(f"{row.case}: differs by {row.difference:.1e} of the largest value")
    verdict = Verdict(budget, tuple(rows), tuple(problems))
    if not problems and verdict.same is not None and verdict.same < budget.choices:
        problems.append(f"{verdict.same:.2%} of the choices are the same, {budget.choices:.1%} is required")
    return Verdict(budget, tuple(rows), tuple(problems))


def _by_clip(value: Array) -> tuple[Array, ...]:
    return tuple(value) if value.ndim else (value,)


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


def _rounded(difference: float) -> float | None:
    """Two digits; None for a difference that JSON has no number for."""
    return float(f"{difference:.1e}") if np.isfinite(difference) else None


def _compare(case: Reference, outputs: Tensors, scales: dict[str, float], chosen: str | None, budget: Budget) -> Row:
    difference, choices, same = 0.0, 0, 0
    changed: set[int] = set()
    for name, expected in case.expected.items():
        actual = outputs[name] if outputs[name].ndim else outputs[name][None]
        for index, (row, wanted) in enumerate(zip(actual, expected, strict=True)):
            got = row[: len(wanted)] if wanted.ndim == 2 else row
            if got.shape != wanted.shape or not np.isfinite(got).all():
                difference = float("inf")
                continue
            errors = np.abs(got - wanted) / scales[name]
            if name == chosen:
                if name == "logits":
                    equal = np.atleast_1d(got.argmax(-1) == wanted.argmax(-1))
                else:  # a frame with another codevector is another choice, and no small difference
                    equal = errors.max(-1) <= min(budget.difference, SAME_CODEVECTOR)
                    errors = errors[equal]
                    changed |= set() if equal.all() else {index}
                choices += equal.size
                same += int(equal.sum())
            elif name == "codevector_perplexity" and changed & ({index} if len(expected) > 1 else changed):
                continue  # it follows from the choices
            difference = max(difference, float(errors.max(initial=0.0)))
    return Row(case.case, case.batch, round(case.seconds, 4), difference, choices, same)
