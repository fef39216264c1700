"""Parity: a graph beside what PyTorch computed, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from w2vc_runtime.bundle import Budget
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.sessions.base import Session

from .error_rate import error_rates, normalised
from .invariance import SAME_CODEVECTOR, batch_problems, beside_alone
from .reference import Array, Reference, spaced
from .verdict import Audio, Row, Verdict, WordErrors, percent, percent_text

Decode = Callable[[Array], str]
"""From the logits [frames, vocabulary] of a clip to its text."""

# Differences are relative to the largest value of an output, or to this where it is smaller: an output of nothing but
# zeros has no size of its own, and sums of values near 1 are rounded by about as much in float32.
LEAST_SCALE = 1e-6


def verify(
    session: Session,
    cases: Sequence[Reference],
    budget: Budget,
    choice: str | None,
    decode: Decode | None = None,
) -> Verdict:
    """Run a graph on what PyTorch was run on, and compare within a budget.

    choice: the output whose largest value, or nearest codevector, is a choice (`SpeechModel.choice`).
    decode: for head ``ctc``, where the text of a case is known.
    """
    # Noise and recordings each by their own largest values: noise is judged again where the recordings are not.
    scales = {corpus: _scales(each for each in cases if each.corpus == corpus) for corpus in {c.corpus for c in cases}}
    rows, problems, texts = [], [], []
    for case in cases:
        sound = all(each.finite for expected in case.expected.values() for each in expected)
        outputs = session.run(case.inputs)
        row = _compare(case, outputs, scales[case.corpus], choice, budget)
        row = beside_alone(session, case, row, outputs, scales[case.corpus], choice)
        rows.append(row)
        if decode is not None and case.text is not None:
            (expected,) = case.expected["logits"]
            actual = decode(outputs["logits"][0, : expected.frames]) if np.isfinite(row.difference) else ""
            texts.append((case.text, decode(expected.values) if sound else "", actual))
        if not sound:
            problems.append(f"{row.case}: what PyTorch computes is not finite, and nothing can equal it")
        elif not np.isfinite(row.difference):
            problems.append(f"{row.case}: the graph gives NaN, infinity or a wrong number of frames")
        elif not row.difference <= budget.difference:
            problems.append(f"{row.case}: differs by {row.difference:.1e} of the largest value")
    problems += batch_problems(rows, budget)
    verdict = Verdict(budget, tuple(rows), tuple(problems), _audio(cases, texts))
    if not problems and verdict.same is not None and not verdict.same >= budget.choices:
        problems.append(
            f"{percent_text(percent(verdict.same))} of the choices are the same, {100 * budget.choices:g} % is required"
        )
    if not verdict.wer_rise <= budget.wer:
        problems.append(
            f"the word error rate on the recordings is {verdict.wer_rise:.2f} points above PyTorch's, "
            f"{budget.wer:g} are allowed"
        )
    return replace(verdict, problems=tuple(problems))


def _scales(cases: Iterable[Reference]) -> dict[str, float]:
    """The largest |value| of each output, at least `LEAST_SCALE`."""
    largest: dict[str, float] = {}
    for case in cases:
        for name, values in case.expected.items():
            finite = (value.largest for value in values if value.finite)
            largest[name] = max(largest.get(name, LEAST_SCALE), *finite, LEAST_SCALE)
    return largest


def _audio(cases: Sequence[Reference], texts: Sequence[tuple[str, str, str]]) -> Audio | None:
    """texts: what is said in each recording, what PyTorch hears and what the graph hears."""
    clips = [case for case in cases if case.corpus is not None and len(case.clips) == 1]
    if not clips:
        return None
    rates = None
    if texts:
        rates = WordErrors(
            sum(len(normalised(said).split()) for said, _, _ in texts),
            error_rates((said, text) for said, text, _ in texts),
            error_rates((said, text) for said, _, text in texts),
        )
    return Audio(str(clips[0].corpus), len(clips), sum(case.seconds for case in clips), rates)


def _compare(case: Reference, outputs: Arrays, scales: dict[str, float], choice: str | None, budget: Budget) -> Row:
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
            if got.shape != shape or not np.isfinite(got).all() or not wanted.finite:
                difference = float("inf")
                continue
            rows = got if wanted.frames is None else got[spaced(len(wanted.values), wanted.frames)]
            errors = np.abs(rows.astype(np.float64) - wanted.values) / scales[name]  # float32 could overflow
            if name == choice:
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
