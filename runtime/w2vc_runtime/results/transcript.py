"""Head ``ctc``: text, with words in time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from w2vc_runtime.bundle import Manifest
from w2vc_runtime.decoding import Decoder, GreedyDecoder, Hypothesis, Span

from .base import Answer, Outputs, Result, Table, frame_seconds

SCORES = ("score", "acoustic_score", "language_score")


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
class Alternative:
    """A text that a recording may be. score: natural logarithm, by which they are ordered; see `Scores`."""

    text: str
    score: float
    acoustic_score: float
    language_score: float


@dataclass(frozen=True)
class Transcript:
    """Text of a recording with its words in time (head ``ctc``).

    duration: seconds of audio. A word's confidence is the geometric mean, over its letters, of the highest probability
    that the model gave the letter in the frames where it emitted it. alternatives: of a decoder that weighs
    texts, those that it was asked for, best first; the first is the text itself.
    """

    text: str
    words: tuple[Word, ...]
    duration: float
    alternatives: tuple[Alternative, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times to a millisecond, confidences to four digits."""
        words = [
            {"text": w.text, "start": round(w.start, 3), "end": round(w.end, 3), "confidence": round(w.confidence, 4)}
            for w in self.words
        ]
        alternatives = [
            {"text": each.text, **{name: round(getattr(each, name), 4) for name in SCORES}}
            for each in self.alternatives
        ]
        found = {"alternatives": alternatives} if alternatives else {}
        return {"text": self.text, "words": words, "duration": round(self.duration, 3), **found}

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


def alternatives(found: Iterable[Hypothesis]) -> tuple[Alternative, ...]:
    """Those of the hypotheses that have scores."""
    scored = ((each.text, each.scores) for each in found if each.scores is not None)
    return tuple(Alternative(text, of.total, of.acoustic, of.language) for text, of in scored)


def transcripts(manifest: Manifest, decoder: Decoder | None = None) -> Answer:
    """Logits [frames, vocabulary] to a `Transcript`. decoder: by default the greedy one."""
    assert manifest.ctc is not None
    chosen, seconds = decoder or GreedyDecoder(manifest.ctc), frame_seconds(manifest)

    def answer(outputs: Outputs, duration: float) -> Result:
        found = chosen.hypotheses(outputs["logits"])
        return Transcript(found[0].text, timed(found[0].words, seconds), duration, alternatives(found))

    return answer
