"""The few lengths that batches are padded to on a GPU, so that what is made for a length is of use again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Frames, Interface
from w2vc_runtime.bundle.interface import Arrays

# Between one power of two and the next: padding to one of them adds an eighth at most.
BUCKETS = 8


def bucket(frames: int) -> int:
    """The next of the lengths, in frames; a multiple of 8 from 64 on, which is what the GPU's matrix units take."""
    step = max(1, (1 << (frames - 1).bit_length()) // (2 * BUCKETS))
    return -(-frames // step) * step


class Lengths:
    """Pads the inputs of an interface.

    repeat: whether lengths come again. That takes the contract ``padding-invariant``, by which padding changes nothing,
    and inputs on one time axis: a time mask is on another one than the features.
    """

    def __init__(self, interface: Interface) -> None:
        self._interface = interface
        self._features = interface.inputs[0].name
        axis = interface.inputs[0].shape[1]
        self.repeat = interface.invariant and len({tensor.shape[1] for tensor in interface.inputs}) == 1
        # A spectrogram's axis is frames already; of samples, as many as make some frames.
        single = Frames(field=1, step=1)
        self._steps = interface.frames.get(str(axis), single)
        self._frames = single if axis in interface.frames else interface.frames.get("frames", single)

    def steps(self, samples: int) -> int:
        """The length of the inputs, in their own steps, for a clip of so many samples."""
        return self._steps.count(samples)

    def next(self, length: int) -> int:
        """The length of the inputs, in their own steps, that one is padded to."""
        field, step = self._frames.field, self._frames.step
        return (bucket(max(1, self._frames.count(length))) - 1) * step + field + step - 1

    def fit(self, name: str, value: NDArray, sizes: list[int]) -> NDArray:
        """An input [batch, ...], padded at the end to these sizes of its other axes."""
        if list(value.shape[1:]) == sizes:
            return value
        fill = self._interface.features.padding_value if name == self._features else 0
        padding = [(0, 0), *((0, most - size) for most, size in zip(sizes, value.shape[1:]))]
        return np.pad(value, padding, constant_values=fill)

    def padded(self, inputs: Arrays) -> Arrays:
        """A batch, padded to the next length."""
        return {
            name: self.fit(name, value, [self.next(value.shape[1]), *value.shape[2:]]) for name, value in inputs.items()
        }

    def cut(self, outputs: Arrays, inputs: Arrays) -> Arrays:
        """Outputs without the padding of the inputs, as far as they are on an axis that the inputs have."""
        given: dict[str | int, int] = {}
        for each in self._interface.inputs:
            given |= dict(zip(each.shape, inputs[each.name].shape))
        result = {}
        for tensor in self._interface.outputs:
            axis = tensor.shape[1] if len(tensor.shape) > 1 else None
            value = outputs[tensor.name]
            result[tensor.name] = value if axis is None or axis not in given else value[:, : given[axis]]
        return result

    def up_to(self, least: int, most: int) -> list[int]:
        """Every length from one to another, which counts too."""
        lengths = set()
        while least < most:
            lengths.add(min(self.next(least), most))
            least = self.next(least) + 1
        return sorted({*lengths, most})

    def silent(self, lengths: Iterable[int]) -> Iterator[Arrays]:
        """One silent clip of each length."""
        for length in lengths:
            yield self._interface.feed([np.zeros((length - 1) * self._steps.step + self._steps.field, np.float32)])
