"""Forced alignment of a known text with audio, by ``w2vc-native``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Ctc
from w2vc_runtime.errors import OptionError

from .base import Span
from .beam import spans
from .native import checked, extension, vocabulary


@dataclass(frozen=True)
class Aligned:
    """Where a known text is said, in frames. tokens: letters or phonemes, word delimiters among them.

    score: natural logarithm of the probability of the path. Words that were left out are not there.
    """

    words: tuple[Span, ...]
    tokens: tuple[Span, ...]
    score: float


class Aligner:
    """Aligns by the rules of a manifest. Safe to call from several threads at once; it releases the GIL."""

    def __init__(self, rules: Ctc) -> None:
        self._native = extension("alignment")
        self._tokens = len(rules.vocabulary)
        self._aligner = self._native.Aligner(**vocabulary(rules))

    def align(self, logits: NDArray[np.floating], text: str) -> Aligned:
        """The best path of logits [frames, vocabulary] through a text.

        text: words in whatever case; phonemes between spaces. ``*`` stands for any speech of at least a frame,
        ``[word]`` may be left out. Raises `OptionError` on text that the tokens cannot spell or that does not fit.
        """
        try:
            found = self._aligner.align(checked(logits, self._tokens), text)
        except self._native.DecodingError as error:
            raise OptionError(str(error)) from error
        return Aligned(spans(found.words), spans(found.tokens), found.score)
