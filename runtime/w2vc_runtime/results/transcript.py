"""Head ``ctc``: text, with words in time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from w2vc_runtime.bundle import Manifest
from w2vc_runtime.decoding import GreedyDecoder, Span

from .base import Answer, Outputs, Result, Table, frame_seconds


@dataclass(frozen=True)
class Word:
    """One recognised word, or phoneme where a phoneme model knows no words.

    start, end: seconds. confidence: 0..1, see `Transcript`.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """Text of a recording with its words in time (head ``ctc``).

    duration: seconds of audio. A word's confidence is the geometric mean, over its letters, of the highest probability
    that the model gave the letter in the frames where it emitted it.
    """

    text: str
    words: tuple[Word, ...]
    duration: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times to a millisecond, confidences to four digits."""
        words = [
            {"text": w.text, "start": round(w.start, 3), "end": round(w.end, 3), "confidence": round(w.confidence, 4)}
            for w in self.words
        ]
        return {**dataclasses.asdict(self), "words": words, "duration": round(self.duration, 3)}

    def to_text(self) -> str:
        """The recognised text."""
        return self.text

    def table(self) -> Table:
        """One row for each word."""
        words = self.to_dict()["words"]
        return ("start", "end", "text", "confidence"), [
            (w["start"], w["end"], w["text"], w["confidence"]) for w in words
        ]


def timed(words: Iterable[Span], seconds: float) -> tuple[Word, ...]:
    """Words in frames to words in time. seconds: of a frame."""
    return tuple(Word(word.text, word.start * seconds, word.end * seconds, word.confidence) for word in words)


def transcripts(manifest: Manifest) -> Answer:
    """Logits [frames, vocabulary] to a `Transcript`."""
    assert manifest.ctc is not None
    decoder, seconds = GreedyDecoder(manifest.ctc), frame_seconds(manifest)

    def answer(outputs: Outputs, duration: float) -> Result:
        read = decoder.decode(outputs["logits"])
        return Transcript(read.text, timed(read.words, seconds), duration)

    return answer
