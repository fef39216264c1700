"""Which profile of an engine takes a batch, and how the batch is made to fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Engine, Interface
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.errors import InferenceError
from w2vc_runtime.sessions.lengths import Lengths


def lengths_of(mask: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many steps of each clip are valid [batch], of a mask [batch, time] that is 1 at them and then 0.

    Raises `InferenceError` on any other mask: lengths do not say what it says.
    """
    lengths = mask.sum(axis=1)
    for row, length in zip(mask, lengths):
        if not (row[:length] == 1).all() or row[length:].any():
            raise InferenceError("engines take clips that are padded at their end; attention_mask has 1, and then 0")
    return lengths


@dataclass(frozen=True)
class Plan:
    """How a batch is run: on which profile, in parts of at most ``rows`` clips, and padded to ``sizes`` by input."""

    profile: int
    rows: int
    sizes: Mapping[str, Sequence[int]]


class Batches:
    """Fits batches to the profiles of an engine.

    The rule: of the profiles that take the batch's length, the one that needs the fewest runs, then the smallest one.
    More clips than it takes are run in parts, fewer than its least are filled up with copies of the first; not where an
    output is of the batch as a whole. A batch that is longer than all profiles is refused.

    Under the contract ``padding-invariant``, by which padding changes nothing, lengths are padded to the next of a few
    (`Lengths`), so that what is compiled or recorded for a length is of use again; and where no profile starts as short
    as the batch, it is padded to the shortest that is longer.

    repeats: whether lengths are padded to a few.
    """

    def __init__(self, engine: Engine, interface: Interface) -> None:
        self._engine = engine
        self._pads = interface.invariant
        self._features = interface.inputs[0].name
        self._parts = all(tensor.shape for tensor in interface.outputs)
        self._interface = interface
        self._lengths = Lengths(interface)
        self.repeats = self._lengths.repeat

    def plan(self, inputs: Arrays) -> Plan:
        """Choose for a batch; raise `InferenceError` where no profile takes it."""
        sizes = {name: list(value.shape[1:]) for name, value in inputs.items()}
        rows = len(inputs[self._features])
        plans = []
        for index, profile in enumerate(self._engine.profiles):
            shapes = profile.shapes
            padded = {name: [max(pair) for pair in zip(size, shapes[name][0][1:])] for name, size in sizes.items()}
            longer = padded != sizes
            if self.repeats:
                for name, (length, *rest) in padded.items():
                    padded[name] = [min(self._lengths.next(length), max(length, shapes[name][2][1])), *rest]
            if any(s > most for name in sizes for s, most in zip(sizes[name], shapes[name][2][1:])):
                continue
            if longer and not self._pads:
                continue
            least_rows, most_rows = shapes[self._features][0][0], shapes[self._features][2][0]
            if not (self._parts or least_rows <= rows <= most_rows):
                continue
            runs = -(-rows // most_rows)
            volume = most_rows * shapes[self._features][2][1]
            plans.append(((padded[self._features] if longer else [], runs, volume), Plan(index, most_rows, padded)))
        if plans:
            return min(plans, key=lambda each: each[0])[1]
        raise InferenceError(self._refusal(inputs))

    def parts(self, inputs: Arrays, plan: Plan) -> Iterator[tuple[Arrays, int]]:
        """The batch in parts that fit the profile, and of each how many rows are of the batch."""
        least = self._engine.profiles[plan.profile].shapes[self._features][0][0]
        count = len(inputs[self._features])
        for start in range(0, count, plan.rows):
            taken = min(plan.rows, count - start)
            yield (
                {
                    name: self._fit(name, value[start : start + taken], max(taken, least), plan.sizes[name])
                    for name, value in inputs.items()
                },
                taken,
            )

    def cut(self, outputs: Arrays, inputs: Arrays) -> Arrays:
        """Outputs without the padding of `parts`, as far as they are on an axis that the inputs have."""
        return self._lengths.cut(outputs, inputs)

    def every(self) -> Iterator[Arrays]:
        """One silent clip of every length that batches are padded to; without that, of each profile's typical one."""
        lengths: set[int] = set()
        for profile in self._engine.profiles:
            seconds = (round(each * self._interface.sampling_rate) for each in profile.seconds)
            least, typical, most = map(self._lengths.steps, seconds)
            lengths |= set(self._lengths.up_to(least, most)) if self.repeats else {typical}
        return self._lengths.silent(sorted(lengths))

    def _fit(self, name: str, value: NDArray, rows: int, sizes: Sequence[int]) -> NDArray:
        """Rows of an input, padded in time, and up to so many of them."""
        value = self._lengths.fit(name, value, list(sizes))
        if len(value) < rows:
            value = np.concatenate([value, np.repeat(value[:1], rows - len(value), axis=0)])
        return np.ascontiguousarray(value)

    def _refusal(self, inputs: Arrays) -> str:
        profiles = self._engine.profiles
        ranges = ", ".join(f"{p.seconds[0]:g} to {p.seconds[2]:g} s" for p in profiles)
        shape = list(inputs[self._features].shape)
        return (
            f"engine {self._engine.file} takes clips of {ranges}, and not {self._features} of shape {shape}; "
            "compile it for them with --profile seconds=MIN:OPT:MAX,batch=MIN:OPT:MAX, or take another provider"
        )
