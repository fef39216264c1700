"""Head ``frame-classification``: classes over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Manifest

from .base import MULTI_LABEL, THRESHOLD, Answer, Array, Outputs, Result, Table, frame_seconds, labels_of, probabilities


@dataclass(frozen=True)
class Segment:
    """A stretch of time in which a class holds. start, end: seconds. score: its mean probability there."""

    label: str
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class FrameLabels:
    """Probabilities of the classes over time (head ``frame-classification``).

    labels: names of the classes. scores: float32 [frames, labels]. frame_seconds: from one frame to the next.
    duration: seconds of audio.
    """

    labels: tuple[str, ...]
    scores: Array
    problem_type: str
    frame_seconds: float
    duration: float

    @property
    def times(self) -> NDArray[np.floating]:
        """Where each frame starts, in seconds."""
        return np.arange(len(self.scores)) * self.frame_seconds

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Where each class holds, by start: the likeliest in a frame; of a multi-label model all from one half up."""
        if self.problem_type == MULTI_LABEL:
            holds = self.scores >= THRESHOLD
        else:
            holds = self.scores.argmax(-1)[:, None] == np.arange(len(self.labels))
        found = [segment for index in range(len(self.labels)) for segment in self._segments(index, holds[:, index])]
        return tuple(sorted(found, key=lambda segment: (segment.start, segment.label)))

    def _segments(self, index: int, holds: NDArray[np.bool_]) -> Iterator[Segment]:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], holds.astype(np.int8), [0]))))
        for start, end in zip(edges[::2], edges[1::2]):
            mean = float(self.scores[start:end, index].mean())
            yield Segment(self.labels[index], start * self.frame_seconds, end * self.frame_seconds, mean)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; scores to six digits."""
        header, rows = self.table()
        return {
            "labels": list(self.labels),
            "segments": [dict(zip(header, row)) for row in rows],
            "scores": np.round(self.scores.astype(np.float64), 6).tolist(),
            "frame_seconds": self.frame_seconds,
            "duration": round(self.duration, 3),
        }

    def to_text(self) -> str:
        """One line for each segment."""
        return "\n".join(f"{s.start:.2f}-{s.end:.2f} {s.label} {s.score:.3f}" for s in self.segments)

    def table(self) -> Table:
        """One row for each segment."""
        rows = [(s.label, round(s.start, 3), round(s.end, 3), round(s.score, 6)) for s in self.segments]
        return ("label", "start", "end", "score"), rows


def frame_labels(manifest: Manifest) -> Answer:
    """Logits [frames, labels] to `FrameLabels`."""
    labels, seconds = labels_of(manifest), frame_seconds(manifest)

    def answer(outputs: Outputs, duration: float) -> Result:
        scores = probabilities(outputs["logits"], labels.problem_type)
        return FrameLabels(labels.names, scores, labels.problem_type, seconds, duration)

    return answer
