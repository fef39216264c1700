"""Forced alignment of a known text with audio, by ``w2vc-native``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.errors import OptionError
from w2vc_runtime.manifest import Ctc
from w2vc_runtime.results import Table, Word

from .native import checked, extension, vocabulary


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


class Aligner:
    """Aligns by the rules of a manifest. Safe to call from several threads at once; it releases the GIL."""

    def __init__(self, rules: Ctc) -> None:
        self._native = extension("alignment")
        self._tokens = len(rules.vocabulary)
        self._aligner = self._native.Aligner(**vocabulary(rules))

    def align(
        self, logits: NDArray[np.floating], text: str, seconds_per_frame: float, duration: float = 0.0
    ) -> Alignment:
        """The best path of logits [frames, vocabulary] through a text.

        text: words in whatever case; phonemes between spaces. ``*`` stands for any speech of at least a frame,
        ``[word]`` may be left out. Raises `OptionError` on text that the tokens cannot spell or that does not fit.
        """
        try:
            found = self._aligner.align(checked(logits, self._tokens), text)
        except self._native.DecodingError as error:
            raise OptionError(str(error)) from error

        def timed(spans: Any) -> tuple[Word, ...]:
            return tuple(
                Word(s.text, s.start_frame * seconds_per_frame, s.end_frame * seconds_per_frame, s.confidence)
                for s in spans
            )

        return Alignment(timed(found.words), timed(found.tokens), found.score, duration)
