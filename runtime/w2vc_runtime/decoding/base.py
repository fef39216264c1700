"""What a decoder is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Span:
    """A token or a word in time.

    start, end: frames ``start <= f < end``. confidence: 0..1; of a token the highest probability that the model gave it
    in its frames, of a word the geometric mean over its tokens.
    """

    text: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True)
class Scores:
    """Why a hypothesis comes before others: natural logarithms.

    total: by which they are ordered, the sum of the others. acoustic: of all paths that were kept. language: what
    language model and hotwords added.
    """

    total: float
    acoustic: float
    language: float


@dataclass(frozen=True)
class Hypothesis:
    """What is said in a clip, as a decoder reads its logits.

    tokens: characters or phonemes, word delimiters among them. words: the tokens between delimiters. scores: None of a
    decoder that weighs nothing.
    """

    text: str
    tokens: tuple[Span, ...]
    words: tuple[Span, ...]
    scores: Scores | None = None


class Decoder(Protocol):
    """From logits to text. Safe to call from several threads at once."""

    def decode(self, logits: NDArray[np.floating]) -> Hypothesis:
        """The best hypothesis for one clip, from logits [frames, vocabulary].

        Raises `InferenceError` on NaN and infinite ones.
        """

    def hypotheses(self, logits: NDArray[np.floating]) -> list[Hypothesis]:
        """As many as the decoder gives, best first."""

    def stream(self) -> DecodingStream:
        """The same for a clip whose logits come in pieces."""


class DecodingStream(Protocol):
    """From the logits of one clip, piece by piece, to text: what is decoded is that of all of them at once.

    text: what was said in the frames so far. For one thread.
    """

    @property
    def text(self) -> str: ...

    def push(self, logits: NDArray[np.floating]) -> list[Span]:
        """Take the next logits [frames, vocabulary]; return the words that no later frame can change.

        Raises `InferenceError` on NaN and infinite ones.
        """

    def end(self) -> list[Span]:
        """The words that were still open when the clip ended."""

    def weighed(self) -> list[Hypothesis]:
        """The hypotheses for the frames so far, best first; none of a decoder that weighs nothing."""
