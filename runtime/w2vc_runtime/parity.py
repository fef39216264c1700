"""Parity: a graph beside what PyTorch computed, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .session import Session, Tensors

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Budget:
    """What a precision may cost.

    difference: largest |graph - PyTorch| allowed, relative to PyTorch's largest |value| of that output.
    choices: smallest share of equal choices: the best token or class, or the codevectors of a frame.
    """

    difference: float
    choices: float


BUDGETS = {
    "fp32": Budget(1e-4, 0.999),
    "fp16": Budget(2e-2, 0.99),
    "bf16": Budget(1e-1, 0.95),
    "int8": Budget(3e-1, 0.9),
}


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
                    equal = errors.max(-1) <= budget.difference
                    errors = errors[equal]
                    changed |= set() if equal.all() else {index}
                choices += equal.size
                same += int(equal.sum())
            elif name == "codevector_perplexity" and changed & ({index} if len(expected) > 1 else changed):
                continue  # it follows from the choices
            difference = max(difference, float(errors.max(initial=0.0)))
    return Row(case.case, case.batch, round(case.seconds, 4), difference, choices, same)
