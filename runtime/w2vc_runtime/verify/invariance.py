"""``padding-invariant``: what a graph gives for a clip in a batch is what it gives for the clip alone.

What PyTorch computes is a budget away; this is held to what rounding does. A sum that is taken in another order
changes the last bit of float32: up to 1e-6 of the largest value at the end. Where results are rounded to halves, it
makes others of some: up to 1e-3 (fp16) and 1e-2 (bf16). Products of bytes whose rows are quantised by themselves are
exact; with one scale for the whole batch, results differ by 1e-2 to 6e-2. A choice may differ where two are as good.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from w2vc_runtime.bundle import Budget
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.sessions.base import Session

from .reference import Reference
from .verdict import Row

# Rounding moves a projected codevector by up to 0.01 of the largest value, another one is 0.05 away or more.
SAME_CODEVECTOR = 0.03


def beside_alone(
    session: Session, case: Reference, row: Row, together: Arrays, scales: dict[str, float], choice: str | None
) -> Row:
    """The row of a case with how far its clips are from themselves alone.

    As it is where there is nothing to run alone, or the batch has no answer.

    together: the outputs for the batch. scales: the largest |value| of each output. choice: see `parity.verify`.
    """
    if not case.alone or not np.isfinite(row.difference):
        return row
    difference, changed = 0.0, 0
    for index, inputs in enumerate(case.alone):
        own = session.run(inputs)
        for name, expected in case.expected.items():
            if len(expected) != len(case.alone):  # an output of the whole batch
                continue
            frames = expected[index].frames
            one, other = np.asarray(own[name][0]), np.asarray(together[name][index])
            if frames is not None:
                one, other = one[:frames], other[:frames]
            if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
                difference = float("inf")
                continue
            errors = np.abs(one - other) / scales[name]
            if name == choice:
                if name == "logits":
                    equal = np.atleast_1d(one.argmax(-1) == other.argmax(-1))
                else:
                    equal = errors.max(-1) <= SAME_CODEVECTOR
                    errors = errors[equal]
                changed += int(np.size(equal) - equal.sum())
            elif name == "codevector_perplexity" and changed:
                continue  # it follows from the choices
            difference = max(difference, float(errors.max(initial=0.0)))
    return replace(row, alone=difference, changed=changed)


def batch_problems(rows: list[Row], budget: Budget) -> list[str]:
    """Why the contract is broken; empty where it is kept."""
    several = [row for row in rows if row.alone is not None]
    problems = [
        f"{row.case}: a clip differs by {row.alone:.1e} of the largest value from itself alone, and "
        f"{budget.alone:.0e} is allowed under padding-invariant"
        for row in several
        if row.alone is not None and not row.alone <= budget.alone
    ]
    choices, changed = sum(row.choices for row in several), sum(row.changed for row in several)
    if not problems and changed > (1 - budget.same_alone) * choices:
        problems.append(f"{changed} of {choices} choices change with the batch, which padding-invariant rules out")
    return problems
