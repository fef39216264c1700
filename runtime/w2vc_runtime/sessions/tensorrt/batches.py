"""Which profile of an engine takes a batch, and how the batch is made to fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Engine, Frames, Interface
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.errors import InferenceError

# Lengths between one power of two and the next: padding to one of them adds an eighth at most.
BUCKETS = 8


def bucket(length: int) -> int:
    """The next length of those that batches are padded to."""
    step = max(1, (1 << (length - 1).bit_length()) // (2 * BUCKETS))
    return -(-length // step) * step


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
    (`bucket`), so that what is compiled or recorded for a length is of use again; and where no profile starts as short
    as the batch, it is padded to the shortest that is longer.

    repeats: whether lengths are padded to a few.
    """

    def __init__(self, engine: Engine, interface: Interface) -> None:
        self._engine = engine
        self._pads = interface.padding == "padding-invariant"
        self._features = interface.inputs[0].name
        self._value = interface.features.padding_value
        self._parts = all(tensor.shape for tensor in interface.outputs)
        self._interface = interface
        # A time mask is on another axis than the features, and is padded by its own measure.
        self.repeats = self._pads and len({tensor.shape[1] for tensor in interface.inputs}) == 1

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
                    padded[name] = [min(bucket(length), max(length, shapes[name][2][1])), *rest]
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
        given: dict[str | int, int] = {}
        for each in self._interface.inputs:
            given |= dict(zip(each.shape, inputs[each.name].shape))
        result = {}
        for tensor in self._interface.outputs:
            axis = tensor.shape[1] if len(tensor.shape) > 1 else None
            value = outputs[tensor.name]
            result[tensor.name] = value if axis is None or axis not in given else value[:, : given[axis]]
        return result

    def every(self) -> Iterator[Arrays]:
        """One silent clip of every length that batches are padded to; without that, of each profile's typical one."""
        rate = self._interface.sampling_rate
        # Lengths of the inputs: samples, or frames that are made of some.
        frames = self._interface.frames.get(str(self._interface.inputs[0].shape[1]), Frames(field=1, step=1))
        lengths: set[int] = set()
        for profile in self._engine.profiles:
            least, typical, most = (frames.count(round(seconds * rate)) for seconds in profile.seconds)
            if not self.repeats:
                lengths.add(typical)
                continue
            while least < most:
                lengths.add(min(bucket(least), most))
                least = bucket(least) + 1
            lengths.add(most)
        for length in sorted(lengths):
            yield self._interface.feed([np.zeros((length - 1) * frames.step + frames.field, np.float32)])

    def _fit(self, name: str, value: NDArray, rows: int, sizes: Sequence[int]) -> NDArray:
        """Rows of an input, padded in time, and up to so many of them."""
        if list(value.shape[1:]) != list(sizes):
            fill = self._value if name == self._features else 0
            padding = [(0, 0), *((0, most - size) for most, size in zip(sizes, value.shape[1:]))]
            value = np.pad(value, padding, constant_values=fill)
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
