"""What a model answers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


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
    """Text of a recording with its words in time.

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
