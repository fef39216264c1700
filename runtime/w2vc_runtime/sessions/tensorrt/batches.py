"""Which profile of an engine takes a batch, and how the batch is made to fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Engine, Interface
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.errors import InferenceError


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
    output is of the batch as a whole. Where no profile starts as short as the batch, it is padded to the shortest that
    is longer: only under the contract ``padding-invariant``, by which padding changes nothing. A batch that is longer
    than all profiles is refused.
    """

    def __init__(self, engine: Engine, interface: Interface) -> None:
        self._engine = engine
        self._pads = interface.padding == "padding-invariant"
        self._features = interface.inputs[0].name
        self._value = interface.features.padding_value
        self._parts = all(tensor.shape for tensor in interface.outputs)

    def plan(self, inputs: Arrays) -> Plan:
        """Choose for a batch; raise `InferenceError` where no profile takes it."""
        sizes = {name: list(value.shape[1:]) for name, value in inputs.items()}
        rows = len(inputs[self._features])
        plans = []
        for index, profile in enumerate(self._engine.profiles):
            shapes = profile.shapes
            padded = {name: [max(pair) for pair in zip(size, shapes[name][0][1:])] for name, size in sizes.items()}
            longer = padded != sizes
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
