"""Outputs of chunks, one after the other, to what a model answers for the whole: one class a way, one way a head."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np

from w2vc_runtime.bundle import Manifest
from w2vc_runtime.decoding import Decoder, GreedyDecoder
from w2vc_runtime.errors import OptionError
from w2vc_runtime.results import (
    ANSWERS,
    HiddenStates,
    Outputs,
    Result,
    Transcript,
    Window,
    Windows,
    Word,
    alternatives,
    frame_seconds,
    timed,
)

Piece = Word | Window
"""What is answered for a part of a recording, and no later audio can change."""


class Collector(Protocol):
    """Takes the outputs of each chunk, cut to what it answers for, in order."""

    def add(self, outputs: Outputs, start: float, end: float) -> list[Piece]:
        """Take a chunk that answers for start to end, in seconds; return what no later one can change."""

    def end(self) -> list[Piece]:
        """What was still open when the recording ended."""

    def result(self, duration: float) -> Result:
        """The answer for the whole, after `end`."""


class Transcribed:
    """One transcript: tokens and words that go on in the next chunk are one."""

    def __init__(self, manifest: Manifest, kept: bool = True, decoder: Decoder | None = None) -> None:
        assert manifest.ctc is not None
        self._stream = (decoder or GreedyDecoder(manifest.ctc)).stream()
        self._seconds = frame_seconds(manifest)
        self._words: list[Word] = []
        self._kept = kept

    def add(self, outputs: Outputs, start: float, end: float) -> list[Piece]:
        return self._timed(self._stream.push(outputs["logits"]))

    def end(self) -> list[Piece]:
        return self._timed(self._stream.end())

    def _timed(self, spans: list) -> list[Piece]:
        words = timed(spans, self._seconds)
        if self._kept:
            self._words += words
        return list(words)

    def result(self, duration: float) -> Result:
        return Transcript(self._stream.text, tuple(self._words), duration, alternatives(self._stream.weighed()))


class Joined:
    """One answer from the outputs of all chunks, one behind the other."""

    def __init__(self, manifest: Manifest, kept: bool = True) -> None:
        self._answer = ANSWERS[manifest.head](manifest)
        self._outputs: list[Outputs] = []
        self._kept = kept

    def add(self, outputs: Outputs, start: float, end: float) -> list[Piece]:
        if self._kept:
            self._outputs.append(outputs)
        return [Window(start, end, self._answer(outputs, end - start))]

    def end(self) -> list[Piece]:
        return []

    def result(self, duration: float) -> Result:
        names = self._outputs[0]
        joined = {name: np.concatenate([outputs[name] for outputs in self._outputs]) for name in names}
        return self._answer(joined, duration)


class InWindows:
    """An answer for each chunk."""

    def __init__(self, manifest: Manifest, kept: bool = True) -> None:
        self._answer = ANSWERS[manifest.head](manifest)
        self._windows: list[Window] = []
        self._kept = kept

    def add(self, outputs: Outputs, start: float, end: float) -> list[Piece]:
        window = Window(start, end, self._answer(outputs, end - start))
        if self._kept:
            self._windows.append(window)
        return [window]

    def end(self) -> list[Piece]:
        return []

    def result(self, duration: float) -> Result:
        return Windows(tuple(self._windows), duration)


class Pooled:
    """One answer from the mean of each output: over the frames, or over windows by their length."""

    def __init__(self, manifest: Manifest, kept: bool = True) -> None:
        self._answer = ANSWERS[manifest.head](manifest)
        self._framewise = manifest.head == "base"
        self._sums: dict[str, np.ndarray] = {}
        self._weights: dict[str, float] = {}

    def add(self, outputs: Outputs, start: float, end: float) -> list[Piece]:
        for name, value in outputs.items():
            weight = len(value) if self._framewise else end - start
            total = value.sum(axis=0, keepdims=True, dtype=np.float64) if self._framewise else value * weight
            self._sums[name] = self._sums.get(name, 0.0) + total
            self._weights[name] = self._weights.get(name, 0.0) + weight
        return []

    def end(self) -> list[Piece]:
        return []

    def result(self, duration: float) -> Result:
        means = {name: (total / self._weights[name]).astype(np.float32) for name, total in self._sums.items()}
        result = self._answer(means, duration)
        return dataclasses.replace(result, frame_seconds=duration) if isinstance(result, HiddenStates) else result


COLLECTORS: dict[str, Callable[[Manifest, bool], Collector]] = {
    "base": InWindows,
    "ctc": Transcribed,
    "sequence-classification": InWindows,
    "frame-classification": Joined,
    "xvector": InWindows,
    "pretraining": InWindows,
}
POOLED = ("base", "sequence-classification", "xvector")


def collector_for(
    manifest: Manifest, pooled: bool = False, kept: bool = True, decoder: Decoder | None = None
) -> Collector:
    """What makes the answer of a head. kept: for `Collector.result`, which is not to be asked for without it.

    decoder: of head ``ctc``; by default the greedy one.

    Raises `OptionError` where there is no pooled answer.
    """
    if decoder is not None and not pooled:
        return Transcribed(manifest, kept, decoder)
    if not pooled:
        return COLLECTORS[manifest.head](manifest, kept)
    if manifest.head not in POOLED:
        raise OptionError(f"head {manifest.head!r} has no pooled answer; those that have: {', '.join(POOLED)}")
    return Pooled(manifest)
