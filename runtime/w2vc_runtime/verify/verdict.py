"""The verdict on a graph: what every case came to, within a budget, as one line and as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from w2vc_runtime.bundle import Budget

from .cases import NOISE
from .error_rate import ErrorRates

BUDGETS = {
    "fp32": Budget(1e-4, 0.999, 0.1, 1e-5, 0.999),
    "fp16": Budget(2e-2, 0.99, 0.2, 5e-3, 0.995),
    "bf16": Budget(1e-1, 0.95, 0.2, 3e-2, 0.97),
    "int8": Budget(3e-1, 0.9, 0.5, 5e-3, 0.999),
}


@dataclass(frozen=True)
class Row:
    """Outcome of one case.

    difference: infinite where PyTorch's values or the graph's are not finite, or of another shape. choices: how many
    there were; same: how many of them are equal. recorded: whether it is a recording, and not noise.
    alone: largest relative difference of its clips from what the graph gives for each alone; None where nothing is
    compared. changed: how many choices differ from those alone.
    """

    case: str
    batch: int
    seconds: float
    difference: float
    choices: int
    same: int
    recorded: bool = False
    alone: float | None = None
    changed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest and the report."""
        return {**asdict(self), "difference": _rounded(self.difference), "alone": _rounded(self.alone)}


@dataclass(frozen=True)
class WordErrors:
    """Error rates on recordings with transcripts, of PyTorch (``reference``) and of the graph. words: in them all."""

    words: int
    reference: ErrorRates
    graph: ErrorRates

    @property
    def wer_rise(self) -> float:
        """What the graph adds to PyTorch's word error rate, in percentage points."""
        return round(100 * (self.graph.wer - self.reference.wer), 6)


@dataclass(frozen=True)
class Audio:
    """The recordings among the cases.

    directory: its name. clips: how many there are. seconds: of all of them. word_errors: None without transcripts.
    """

    directory: str
    clips: int
    seconds: float
    word_errors: WordErrors | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest and the report."""
        values: dict[str, Any] = {"directory": self.directory, "clips": self.clips, "seconds": round(self.seconds, 2)}
        if self.word_errors is not None:
            rates = {"reference": asdict(self.word_errors.reference), **asdict(self.word_errors.graph)}
            values |= {"words": self.word_errors.words, **rates}
        return values


@dataclass(frozen=True)
class Judged:
    """What one session made of a graph. session: what ran it. same, wer: None without choices or transcripts."""

    session: str
    passed: bool
    difference: float
    same: float | None
    wer: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest and the report."""
        return {
            "session": self.session,
            "passed": self.passed,
            "difference": _rounded(self.difference),
            "same_percent": None if self.same is None else percent(self.same),
            "error_percent": None if self.wer is None else error_percent(self.wer),
        }

    @property
    def summary(self) -> str:
        """In a few words."""
        same = "" if self.same is None else f", {percent_text(percent(self.same))}"
        return f"{self.session}: {_text(self.difference)}{same}"


@dataclass(frozen=True)
class Verdict:
    """Outcome of the gate; ``problems`` is empty where the graph may be published.

    audio: None without recordings. sessions: what each session made of it, where a certificate is to show them.
    """

    budget: Budget
    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    audio: Audio | None = None
    sessions: tuple[Judged, ...] = ()

    @property
    def difference(self) -> float:
        """Worst relative difference."""
        return max(row.difference for row in self.rows)

    @property
    def same(self) -> float | None:
        """Share of choices that are equal, on noise or on recordings: the lower; None for a head that makes none."""
        shares = []
        for recorded in (False, True):
            rows = [row for row in self.rows if row.recorded == recorded]
            if choices := sum(row.choices for row in rows):
                shares.append(sum(row.same for row in rows) / choices)
        return min(shares, default=None)

    @property
    def changed(self) -> float:
        """Share of choices that are not equal, on noise or on recordings: the higher."""
        return 0.0 if self.same is None else 1.0 - self.same

    @property
    def word_errors(self) -> WordErrors | None:
        """Error rates; None without transcripts."""
        return self.audio.word_errors if self.audio else None

    @property
    def wer_rise(self) -> float:
        """What the graph adds to PyTorch's word error rate, in percentage points; 0 without transcripts."""
        return self.word_errors.wer_rise if self.word_errors else 0.0

    @property
    def material(self) -> str:
        """What the graph was judged on."""
        if self.audio is None:
            return f"{NOISE}; no recordings"
        return f"{NOISE}, and {self.audio.clips} recordings in {self.audio.directory}"

    @property
    def summary(self) -> str:
        """One line."""
        recorded = sum(row.recorded for row in self.rows)
        parts = [
            f"{len(self.rows) - recorded} cases of noise and "
            + (f"{recorded} of recordings in {self.audio.directory}" if self.audio else "no recordings"),
            f"worst difference {_text(self.difference)} of the largest value (allowed {self.budget.difference:.0e})",
        ]
        if self.same is not None:
            parts.append(f"{percent_text(percent(self.same))} of the choices the same")
        if self.word_errors:
            parts.append(
                f"word error rate {percent_text(error_percent(self.word_errors.graph.wer))} (PyTorch "
                f"{percent_text(error_percent(self.word_errors.reference.wer))}, allowed {self.budget.wer:+g} points)"
            )
        if len(self.sessions) == 1:
            parts.append(f"run by {self.sessions[0].session}")
        elif self.sessions:
            runs = "; ".join(each.summary for each in self.sessions)
            parts.append(f"the worst of {len(self.sessions)} runs ({runs})")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest and the report; differences to two digits, so that reports can be compared."""
        return {
            "passed": not self.problems,
            "summary": self.summary,
            "budget": asdict(self.budget),
            "problems": list(self.problems),
            "material": self.material,
            "audio": self.audio and self.audio.to_dict(),
            "sessions": [each.to_dict() for each in self.sessions],
            "cases": [row.to_dict() for row in self.rows],
        }


def worst(verdicts: Mapping[str, Verdict]) -> Verdict:
    """One verdict on a graph that several sessions ran on the same cases: each figure is that of the worst of them.

    verdicts: by what ran the graph. It passes where all pass: the differences of a case are the largest, choices are
    those of the session with the smallest share, words those of the session with the highest error rate.
    """
    every = list(verdicts.values())
    choosing = min(every, key=lambda verdict: 1.0 if verdict.same is None else verdict.same)
    heard = max(every, key=lambda verdict: verdict.wer_rise)
    cases = zip(choosing.rows, zip(*(verdict.rows for verdict in every)), strict=True)
    rows = tuple(_worst_row(row, others) for row, others in cases)
    problems = tuple(
        problem if len(every) == 1 else f"{name}: {problem}"
        for name, verdict in verdicts.items()
        for problem in verdict.problems
    )
    sessions = tuple(
        Judged(
            name,
            not each.problems,
            each.difference,
            each.same,
            each.word_errors.graph.wer if each.word_errors else None,
        )
        for name, each in verdicts.items()
    )
    return Verdict(every[0].budget, rows, problems, heard.audio, sessions)


def _worst_row(choosing: Row, others: tuple[Row, ...]) -> Row:
    """The row of the session whose choices count, with the largest differences of all."""
    alone = [row.alone for row in others if row.alone is not None]
    return replace(
        choosing,
        difference=max(row.difference for row in others),
        alone=max(alone, default=None),
        changed=max(row.changed for row in others),
    )


def percent(share: float) -> float:
    """A share of equal choices in percent with two decimals, the rest cut off: not quite all is never called 100."""
    return math.floor(round(10_000 * share, 6)) / 100


def error_percent(rate: float) -> float:
    """An error rate in percent with two decimals, rounded up: not quite none is never called 0."""
    return math.ceil(round(10_000 * rate, 6)) / 100


def percent_text(value: float) -> str:
    """What `percent` and `error_percent` give, as every message and page has it."""
    return f"{value:.2f} %"


def _rounded(difference: float | None) -> float | None:
    """Two digits; None for a difference that JSON has no number for, and for none."""
    return None if difference is None or not np.isfinite(difference) else float(f"{difference:.1e}")


def _text(difference: float) -> str:
    return f"{difference:.1e}" if np.isfinite(difference) else "not finite"
