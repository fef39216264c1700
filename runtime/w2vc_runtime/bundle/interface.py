"""How a model is fed, and how its answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.audio.reader import Samples
from w2vc_runtime.errors import InferenceError, OptionError
from w2vc_runtime.features import Recipe

from .types import Frames, Tensor

Arrays = dict[str, NDArray]
TimeMask = NDArray[np.bool_]
TIME_MASK = "mask_time_indices"


@dataclass(frozen=True)
class Interface:
    """How clips become the inputs of a graph, and its outputs those of each clip.

    features: from samples to the first inputs. padding: the contract. frames: how many valid frames a clip has on each
    time axis that the shapes name. shortest: the fewest samples for which there is an answer.
    """

    features: Recipe
    padding: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    frames: dict[str, Frames]
    shortest: int

    @property
    def sampling_rate(self) -> int:
        """Samples a second, of every clip."""
        return self.features.sampling_rate

    @cached_property
    def takes_time_masks(self) -> bool:
        """Whether the graph is told which frames to guess, as that of head ``pretraining`` is."""
        return any(tensor.name == TIME_MASK for tensor in self.inputs)

    @property
    def invariant(self) -> bool:
        """Whether the result of a clip is the same in every batch."""
        return self.padding == "padding-invariant"

    def feed(self, clips: Sequence[Samples], time_masks: Sequence[TimeMask] | None = None) -> Arrays:
        """The inputs by name for a batch of clips, float32 [samples] each, of any lengths.

        time_masks: the frames [frames] of each clip to guess, for a graph that takes them; None for none. Raises
        `OptionError` on masks that do not fit.
        """
        inputs = self.features(clips, self.padding)
        if self.takes_time_masks:
            inputs[TIME_MASK] = self._padded(time_masks, clips)
        return inputs

    def split(self, outputs: Arrays, clips: Sequence[Samples]) -> list[Arrays]:
        """The outputs by name for each clip of a batch, cut to its valid frames.

        What has no batch axis belongs to the batch as a whole, and every clip gets it. Raises `InferenceError` where an
        output has fewer frames than a clip.
        """
        return [{each.name: self._of(each, outputs[each.name], row, len(clip)) for each in self.outputs}
                for row, clip in enumerate(clips)]  # fmt: skip

    def shapes(self, seconds: float, batch: int) -> dict[str, tuple[int, ...]]:
        """The shape of every input for a batch of clips of a length."""
        one = self.feed([np.zeros(round(seconds * self.sampling_rate), dtype=np.float32)])
        return {each.name: (batch, *one[each.name].shape[1:]) for each in self.inputs}

    def frames_of(self, clip: Samples, axis: str = "frames") -> int:
        """How many valid frames a clip has on a time axis."""
        return self.frames[axis].count(len(clip))

    def _of(self, tensor: Tensor, values: NDArray, row: int, samples: int) -> NDArray:
        if not tensor.shape:
            return values
        axis = tensor.shape[1] if len(tensor.shape) > 1 else None
        if not isinstance(axis, str) or axis not in self.frames:
            return values[row]
        count = self.frames[axis].count(samples)
        if len(values[row]) < count:
            raise InferenceError(f"{tensor.name} has {len(values[row])} frames, and a clip like this has {count}")
        return values[row][:count]

    def _padded(self, masks: Sequence[TimeMask] | None, clips: Sequence[Samples]) -> TimeMask:
        counts = [self.frames_of(clip) for clip in clips]
        padded = np.zeros((len(clips), max(counts)), dtype=bool)
        if masks is None:
            return padded
        for row, count in enumerate(counts):
            if len(masks) != len(clips) or np.shape(masks[row]) != (count,):
                raise OptionError(f"{TIME_MASK} must have one mask a clip; clip {row} has {count} frames")
            padded[row, :count] = masks[row]
        return padded
