"""What results share: how they show themselves, and the arithmetic of scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Labels, Manifest

Array = NDArray[np.float32]
Outputs = dict[str, NDArray]
Table = tuple[Sequence[str], Sequence[Sequence[Any]]]

MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
# A class of several that may hold at once holds from here on, as in Hugging Face's examples.
THRESHOLD = 0.5


class Result(Protocol):
    """What a model answers for a recording. Times are in seconds."""

    @property
    def duration(self) -> float:
        """Seconds of audio."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""

    def to_text(self) -> str:
        """For people."""

    def table(self) -> Table:
        """A header and rows, for CSV."""


Answer = Callable[[Outputs, float], Result]
"""From the outputs of one clip, cut to its valid frames, and its duration in seconds, to its result."""


def frame_seconds(manifest: Manifest) -> float:
    """Seconds from one frame of the first output to the next."""
    return manifest.frames[str(manifest.outputs[0].shape[1])].step / manifest.features.sampling_rate


def labels_of(manifest: Manifest) -> Labels:
    """The classes of a manifest whose head has them."""
    assert manifest.labels is not None
    return manifest.labels


def probabilities(logits: NDArray, problem_type: str) -> NDArray[np.float32]:
    """Probabilities [..., labels], or the values themselves of a regression."""
    if problem_type == REGRESSION:
        return logits
    if problem_type == MULTI_LABEL:
        # The logistic function, without overflow; in float32 its last digit would be the processor's.
        return (0.5 * (1.0 + np.tanh(np.multiply(0.5, logits, dtype=np.float64)))).astype(np.float32)
    exponentials = np.exp(np.subtract(logits, logits.max(axis=-1, keepdims=True), dtype=np.float64))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)


def cosine(a: Array, b: Array) -> Any:
    """0 where one of the vectors is 0 and has no direction."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    product, norms = (a * b).sum(-1), np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)


def plain(array: Array) -> Any:
    """Numbers for JSON and CSV: as many digits as float32 has."""
    return [plain(row) for row in array] if array.ndim > 1 else [float(f"{value:.7g}") for value in array]
