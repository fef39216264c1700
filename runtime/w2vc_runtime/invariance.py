"""The contract ``padding-invariant``: what a graph gives for a clip in a batch beside what it gives for the clip alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .session import Session, Tensors

if TYPE_CHECKING:
    from .parity import Reference

# A codevector that is farther than this from another run's is another one; see `parity.SAME_CODEVECTOR`.
SAME_CODEVECTOR = 0.03


@dataclass(frozen=True)
class Alone:
    """How far the clips of a batch are from themselves alone.

    difference: largest |in the batch - alone|, relative to the largest |value| of that output; infinite where one is
    not finite, or has another number of frames. changed: how many choices are others.
    """

    difference: float
    changed: int


def beside_alone(
    session: Session, case: Reference, together: Tensors, scales: dict[str, float], chosen: str | None
) -> Alone:
    """Run each clip of a case alone, and compare it with its rows of ``together``, the outputs for the batch.

    scales: the largest |value| of each output. chosen: see `parity.verify`.
    """
    difference, changed = 0.0, 0
    for index, inputs in enumerate(case.alone):
        own = session.run(inputs)
        for name, expected in case.expected.items():
            if len(expected) != len(case.alone):  # of the whole batch
                continue
            frames = expected[index].frames
            one, other = (
                values[name][row] if frames is None else values[name][row][:frames]
                for values, row in ((own, 0), (together, index))
            )
            if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
                difference = float("inf")
                continue
            errors = np.abs(one - other) / scales[name]
            if name == chosen:
                if name == "logits":
                    equal = np.atleast_1d(one.argmax(-1) == other.argmax(-1))
                else:
                    equal = errors.max(-1) <= SAME_CODEVECTOR
                    errors = errors[equal]
                changed += int((~equal).sum())
            difference = max(difference, float(errors.max(initial=0.0)))
    return Alone(difference, changed)
