"""Answers for recordings without end, in their order, computed in batches of like length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from w2vc_runtime.audio.reader import AudioSource, Samples, name_of
from w2vc_runtime.errors import OptionError
from w2vc_runtime.results import Result

from .ahead import ahead
from .buckets import buckets

Outcome = Result | Exception
"""An answer, or why there is none."""

# Batches' worth of clips that are sorted by length together, and the samples after which no more are taken, of which
# there are 17 minutes at 16 kHz in 64 MB. The more there are to choose from, the less is padded.
WINDOW_BATCHES = 32
WINDOW_SAMPLES = 1 << 24


class Steps(Protocol):
    """What a model does for each recording, and for each batch."""

    def read_or_fail(self, source: AudioSource) -> Samples | Exception:
        """The samples of a recording, or why there are none."""

    def answer_unread(self, problem: Exception) -> Outcome:
        """What a recording comes to that was not read whole: its answer all the same, or the problem."""

    def answer_or_fail(self, clips: Sequence[Samples], names: Sequence[str]) -> list[Outcome]:
        """What each clip of a batch comes to. names: of the recordings, for messages."""

    def shares(self, lengths: Sequence[int]) -> bool:
        """Whether clips of so many samples may share a batch."""


def outcomes(steps: Steps, sources: Iterable[AudioSource], batch_size: int, jobs: int) -> Iterator[Outcome]:
    """What each recording comes to, in order; recordings are read as their turn comes, by ``jobs`` threads.

    No more of them are held than a window has; see `WINDOW_SAMPLES`. With a batch size of 1 that is one recording.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, got {batch_size}")
    if jobs < 1:
        raise OptionError(f"jobs must be at least 1, got {jobs}")
    for window in _windows(ahead(steps.read_or_fail, sources, jobs), batch_size):
        yield from _answered(steps, window, batch_size)


Window = list[tuple[str, "Samples | Exception"]]


def _windows(read: Iterable[tuple[AudioSource, Samples | Exception]], batch_size: int) -> Iterator[Window]:
    most = WINDOW_BATCHES * batch_size if batch_size > 1 else 1
    window: Window = []
    samples = 0
    for source, got in read:
        window.append((name_of(source), got))
        samples += len(got) if isinstance(got, np.ndarray) else 0
        if len(window) == most or samples >= WINDOW_SAMPLES:
            yield window
            window, samples = [], 0
    if window:
        yield window


def _answered(steps: Steps, window: Window, batch_size: int) -> list[Outcome]:
    """What each recording of a window comes to; its samples are let go of as they are answered."""
    names = [name for name, _ in window]
    clips = {index: got for index, (_, got) in enumerate(window) if isinstance(got, np.ndarray)}
    found: dict[int, Outcome] = {
        index: steps.answer_unread(got) for index, (_, got) in enumerate(window) if isinstance(got, Exception)
    }
    window.clear()
    keys = list(clips)
    for bucket in buckets([len(clip) for clip in clips.values()], batch_size, steps.shares):
        indices = [keys[each] for each in bucket]
        answers = steps.answer_or_fail([clips.pop(index) for index in indices], [names[index] for index in indices])
        found.update(zip(indices, answers))
    return [found[index] for index in range(len(names))]
