"""What PyTorch computes, for a graph to be compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle.interface import Arrays

Array = NDArray[np.float32]


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

    @property
    def finite(self) -> bool:
        """Whether it is numbers, and something can be compared with it."""
        return bool(np.isfinite(self.largest) and np.isfinite(self.values).all())

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
    alone: what the graph takes of each clip by itself, where its result must be the same (`Case`).
    corpus: name of the directory of the recordings; None for noise. text: what is said in a recording, where known.
    """

    case: str
    clips: tuple[Array, ...]
    seconds: float
    inputs: Arrays
    expected: dict[str, tuple[Expected, ...]]
    corpus: str | None = None
    text: str | None = None
    alone: tuple[Arrays, ...] = ()
