"""Parity: a graph beside what PyTorch computed, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cases import NOISE
from .error_rate import ErrorRates, error_rates, normalised
from .manifest import Budget
from .session import Session, Tensors

Array = NDArray[np.float32]
Decode = Callable[[Array], str]
"""From the logits [frames, vocabulary] of a clip to its text."""


BUDGETS = {
    "fp32": Budget(1e-4, 0.999, 0.1),
    "fp16": Budget(2e-2, 0.99, 0.2),
    "bf16": Budget(1e-1, 0.95, 0.2),
    "int8": Budget(3e-1, 0.9, 0.5),
}
# Rounding moves a projected codevector by up to 0.01 of the largest value, another one is 0.05 away or more.
SAME_CODEVECTOR = 0.03


@dataclass(frozen=True)
class Row:
    """Outcome of one case. choices: how many there were; same: how many of them are equal. recorded: not noise."""

    case: str
    batch: int
    seconds: float
    difference: float
    choices: int
    same: int
    recorded: bool = False


@dataclass(frozen=True)
class Heard:
    """Error rates on recordings with transcripts, of PyTorch (``reference``) and of the graph. words: in them all."""

    words: int
    reference: ErrorRates
    graph: ErrorRates

    @property
    def rise(self) -> float:
        """What the graph adds to PyTorch's word error rate, in percentage points."""
        return round(100 * (self.graph.wer - self.reference.wer), 6)


@dataclass(frozen=True)
class Audio:
    """The recordings among the cases.

    directory: its name. clips: how many there are. seconds: of all of them. heard: None without transcripts.
    """

    directory: str
    clips: int
    seconds: float
    heard: Heard | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest and the report."""
        values: dict[str, Any] = {"directory": self.directory, "clips": self.clips, "seconds": round(self.seconds, 2)}
        if self.heard is not None:
            rates = {"reference": asdict(self.heard.reference), **asdict(self.heard.graph)}
            values |= {"words": self.heard.words, **rates}
        return values


@dataclass(frozen=True)
class Verdict:
    """Outcome of the gate; ``problems`` is empty where the graph may be published. audio: None for noise alone."""

    budget: Budget
    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    audio: Audio | None = None

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
    def heard(self) -> Heard | None:
        """Error rates; None without transcripts."""
        return self.audio.heard if self.audio else None

    @property
    def rise(self) -> float:
        """What the graph adds to PyTorch's word error rate, in percentage points; 0 without transcripts."""
        return self.heard.rise if self.heard else 0.0

    @property
    def material(self) -> str:
        """What the graph was judged on."""
        if self.audio is None:
            return f"{NOISE}, alone"
        return f"{NOISE}, and {self.audio.clips} recordings in {self.audio.directory}"

    @property
    def summary(self) -> str:
        """One line."""
        chosen = "" if self.same is None else f", {self.same:.2%} of the choices the same"
        recorded = sum(row.recorded for row in self.rows)
        recordings = f", {recorded} of recordings in {self.audio.directory}" if self.audio else " alone"
        rates = ""
        if self.heard:
            rates = (
                f", word error rate {self.heard.graph.wer:.2%} (PyTorch {self.heard.reference.wer:.2%}, "
                f"allowed {self.budget.wer:+g} points)"
            )
        return (
            f"{len(self.rows) - recorded} cases of noise{recordings}, worst difference {self.difference:.1e} of "
            f"the largest value (allowed {self.budget.difference:.0e}){chosen}{rates}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest and the report; differences to two digits, so that reports can be compared."""
        return {
            "passed": not self.problems,
            "summary": self.summary,
            "budget": asdict(self.budget),
            "problems": list(self.problems),
            "material": self.material,
            "audio": self.audio and self.audio.to_dict(),
            "cases": [{**asdict(row), "difference": _rounded(row.difference)} for row in self.rows],
        }


@dataclass(frozen=True)
class Expected:
    """What PyTorch computes of one output for one clip, whole or at some of its frames.

    values: float32 [rows, channels] at evenly spaced frames, or the whole of an output without frames. frames: how many
    frames there are; None for an output without. largest: the largest |value| of all frames. best: index of the largest
    channel of every frame; None where all frames are in ``values``.
    """

    values: Array
    frames: int | None
    largest: float
    best: NDArray[np.int32] | None = None

    @classmethod
    def whole(cls, values: Array) -> Expected:
        """All that PyTorch computed for a clip: [frames, channels], [channels] or []."""
        return cls(values, len(values) if values.ndim == 2 else None, float(np.abs(values).max()))

    def cut(self, rows: int) -> Expected:
        """Of a whole, no more than that many frames, and the best channel of all of them."""
        best = np.asarray(self.values.argmax(-1), dtype=np.int32) if self.values.ndim else None
        values = self.values
        if self.frames is not None and self.frames > rows:
            values = values[spaced(rows, self.frames)]
        return Expected(values, self.frames, self.largest, best)


def spaced(rows: int, frames: int) -> NDArray[np.int64]:
    """Indices of ``rows`` evenly spaced frames of a clip, the first and the last among them."""
    return np.round(np.linspace(0, frames - 1, rows)).astype(np.int64)


@dataclass(frozen=True)
class Reference:
    """What PyTorch computes for one case.

    clips: float32 [samples] each. inputs: what the graph takes of them. expected: for each output, that of each clip,
    cut to the frames that mean something; an output of the whole batch counts as one clip.
    corpus: name of the directory of the recordings; None for noise. text: what is said in a recording, where known.
    """

    case: str
    clips: tuple[Array, ...]
    seconds: float
    inputs: Tensors
    expected: dict[str, tuple[Expected, ...]]
    corpus: str | None = None
    text: str | None = None


def verify(
    session: Session,
    cases: Sequence[Reference],
    budget: Budget,
    chosen: str | None,
    decode: Decode | None = None,
) -> Verdict:
    """Run a graph on what PyTorch was run on, and compare within a budget.

    chosen: the output whose largest value, or nearest codevector, is a choice (`SpeechModel.chosen`).
    decode: for head ``ctc``, where the text of a case is known.
    """
    # Noise and recordings each by their own largest values: noise is judged again where the recordings are not.
    scales = {corpus: _scales(each for each in cases if each.corpus == corpus) for corpus in {c.corpus for c in cases}}
    rows, problems, texts = [], [], []
    for case in cases:
        outputs = session.run(case.inputs)
        row = _compare(case, outputs, scales[case.corpus], chosen, budget)
        rows.append(row)
        if decode is not None and case.text is not None:
            (expected,) = case.expected["logits"]
            actual = decode(outputs["logits"][0, : expected.frames]) if np.isfinite(row.difference) else ""
            texts.append((case.text, decode(expected.values), actual))
        if not np.isfinite(row.difference):
            problems.append(f"{row.case}: the graph gives NaN or a wrong number of frames")
        elif row.difference > budget.difference:
            problems.append(f"{row.case}: differs by {row.difference:.1e} of the largest value")
    verdict = Verdict(budget, tuple(rows), tuple(problems), _audio(cases, texts))
    if not problems and verdict.same is not None and verdict.same < budget.choices:
        problems.append(f"{verdict.same:.2%} of the choices are the same, {budget.choices:.1%} is required")
    if verdict.rise > budget.wer:
        problems.append(
            f"the word error rate on the recordings is {verdict.rise:.2f} points above PyTorch's, "
            f"{budget.wer:g} are allowed"
        )
    return replace(verdict, problems=tuple(problems))


def _scales(cases: Iterable[Reference]) -> dict[str, float]:
    """The largest |value| of each output."""
    largest: dict[str, float] = {}
    for case in cases:
        for name, values in case.expected.items():
            largest[name] = max(largest.get(name, 0.0), *(value.largest for value in values))
    return largest


def _audio(cases: Sequence[Reference], texts: Sequence[tuple[str, str, str]]) -> Audio | None:
    """texts: what is said in each recording, what PyTorch hears and what the graph hears."""
    clips = [case for case in cases if case.corpus is not None and len(case.clips) == 1]
    if not clips:
        return None
    rates = None
    if texts:
        rates = Heard(
            sum(len(normalised(said).split()) for said, _, _ in texts),
            error_rates((said, text) for said, text, _ in texts),
            error_rates((said, text) for said, _, text in texts),
        )
    return Audio(str(clips[0].corpus), len(clips), sum(case.seconds for case in clips), rates)


def _rounded(difference: float) -> float | None:
    """Two digits; None for a difference that JSON has no number for."""
    return float(f"{difference:.1e}") if np.isfinite(difference) else None


def _compare(case: Reference, outputs: Tensors, scales: dict[str, float], chosen: str | None, budget: Budget) -> Row:
    difference, choices, same = 0.0, 0, 0
    changed: set[int] = set()
    for name, expected in case.expected.items():
        actual = np.atleast_1d(outputs.get(name, np.nan))
        if len(actual) != len(expected):
            difference = float("inf")
            continue
        for index, (row, wanted) in enumerate(zip(actual, expected)):
            got = row if wanted.frames is None or not row.ndim else row[: wanted.frames]
            shape = wanted.values.shape if wanted.frames is None else (wanted.frames, *wanted.values.shape[1:])
            if got.shape != shape or not np.isfinite(got).all():
                difference = float("inf")
                continue
            rows = got if wanted.frames is None else got[spaced(len(wanted.values), wanted.frames)]
            errors = np.abs(rows - wanted.values) / scales[name]
            if name == chosen:
                if name == "logits":
                    best = wanted.values.argmax(-1) if wanted.best is None else wanted.best
                    equal = np.atleast_1d(got.argmax(-1) == best)
                else:  # a frame with another codevector is another choice, and no small difference
                    equal = errors.max(-1) <= min(budget.difference, SAME_CODEVECTOR)
                    errors = errors[equal]
                    changed |= set() if equal.all() else {index}
                choices += equal.size
                same += int(equal.sum())
            elif name == "codevector_perplexity" and changed & ({index} if len(expected) > 1 else changed):
                continue  # it follows from the choices
            difference = max(difference, float(errors.max(initial=0.0)))
    recorded = case.corpus is not None
    return Row(case.case, len(case.clips), round(case.seconds, 4), difference, choices, same, recorded)
