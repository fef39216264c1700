"""A known text in time (head ``ctc``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from w2vc_runtime.bundle import Manifest
from w2vc_runtime.decoding.align import Aligner

from .base import Outputs, Table, frame_seconds
from .transcript import Word, timed


@dataclass(frozen=True)
class Alignment:
    """Where a known text is said. tokens: letters or phonemes, word delimiters among them.

    A token's confidence is its highest probability in its frames, a word's the geometric mean of those of its tokens.
    score: natural logarithm of the probability of the path. Words that were left out are not there.
    """

    words: tuple[Word, ...]
    tokens: tuple[Word, ...]
    score: float
    duration: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times to a millisecond, confidences to four digits."""
        return {
            "words": [_rounded(word) for word in self.words],
            "tokens": [_rounded(token) for token in self.tokens],
            "score": round(self.score, 4),
            "duration": round(self.duration, 3),
        }

    def to_text(self) -> str:
        """One line for each word."""
        return "\n".join(f"{w.start:.2f}-{w.end:.2f} {w.text} {w.confidence:.3f}" for w in self.words)

    def table(self) -> Table:
        """One row for each word."""
        rows = [_rounded(word) for word in self.words]
        return ("start", "end", "text", "confidence"), [
            (r["start"], r["end"], r["text"], r["confidence"]) for r in rows
        ]


def _rounded(word: Word) -> dict[str, Any]:
    return {
        "text": word.text,
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.confidence, 4),
    }


class Alignments:
    """Makes an `Alignment` of the outputs of a clip and its text. Raises `MissingExtraError` without w2vc-native."""

    def __init__(self, manifest: Manifest) -> None:
        assert manifest.ctc is not None
        self._aligner, self._seconds = Aligner(manifest.ctc), frame_seconds(manifest)

    def __call__(self, outputs: Outputs, text: str, duration: float) -> Alignment:
        """Raises `OptionError` on text that the tokens cannot spell or that does not fit."""
        found = self._aligner.align(outputs["logits"], text)
        return Alignment(timed(found.words, self._seconds), timed(found.tokens, self._seconds), found.score, duration)
