"""Greedy CTC decoding with the rules of the checkpoint's tokenizer (Graves et al. 2006, best path)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Ctc
from w2vc_runtime.errors import InferenceError

from .base import Hypothesis, Span


class GreedyDecoder:
    """Best-path decoding; equal to HF ``Wav2Vec2CTCTokenizer`` and ``Wav2Vec2PhonemeCTCTokenizer``, offsets included.

    skip_special_tokens: leave out tokens like ``<s>`` and ``<unk>``. They are dropped after repeats are merged, so the
    blank keeps double letters apart (Hugging Face drops them before, and loses a letter of "hello").
    """

    def __init__(self, rules: Ctc, skip_special_tokens: bool = True) -> None:
        self.rules = rules
        first: dict[str, int] = {}
        for index, token in enumerate(rules.vocabulary):
            first.setdefault(token, index)
        # Repeats are merged by token, and two ids may be the same token (ids past the vocabulary are all <unk>).
        self._canonical = np.array([first[token] for token in rules.vocabulary])
        self._blank = first[rules.vocabulary[rules.blank]]
        hidden = set(rules.special_tokens) - {rules.word_delimiter} if skip_special_tokens else set()
        self._hidden = {first[token] for token in hidden if token in first} | {self._blank}
        self._phonemes = rules.kind == "phonemes"
        self._joiner = " " if self._phonemes else ""
        self._delimiter = rules.word_delimiter or None  # which an empty token is not
        self._boundary = self._delimiter if self._phonemes else rules.replace_word_delimiter_char
        self._wordless = self._phonemes and self._boundary not in first

    def decode(self, logits: NDArray[np.floating]) -> Hypothesis:
        """Characters or phonemes, words and text of one clip; see `Decoder.decode`.

        The phonemes of a word are joined by spaces. Without a word delimiter in the vocabulary, each phoneme is a word.
        """
        tokens = self._tokens(logits)
        return Hypothesis(self._joined(tokens), tokens, tuple(self._words(tokens)))

    def _tokens(self, logits: NDArray[np.floating]) -> tuple[Span, ...]:
        if len(logits) == 0:
            return ()
        if not np.isfinite(logits).all():
            raise InferenceError("there are NaN or infinite values among the logits; expected finite ones")
        best = logits.argmax(axis=-1)
        ids = self._canonical[best]
        shifted = np.exp(np.subtract(logits, logits.max(axis=-1, keepdims=True), dtype=np.float64))
        probability = 1.0 / shifted.sum(axis=-1)  # of the best token, whose shifted score is exp(0)
        starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
        ends = np.append(starts[1:], len(ids))
        return tuple(
            Span(self._text(int(ids[start])), int(start), int(end), float(probability[start:end].max()))
            for start, end in zip(starts, ends)
            if int(ids[start]) not in self._hidden
        )

    def _joined(self, tokens: Sequence[Span]) -> str:
        shown = [token.text for token in tokens if not self._phonemes or token.text != self._boundary]
        text = self._joiner.join(shown).strip()
        if self.rules.do_lower_case:
            text = text.lower()
        return clean_up(text) if self.rules.clean_up_tokenization_spaces else text

    def _words(self, tokens: Sequence[Span]) -> Iterator[Span]:
        letters: list[Span] = []
        for token in tokens:
            if token.text != self._boundary:
                letters.append(token)
            if letters and (self._wordless or token.text == self._boundary):
                yield self._word(letters)
                letters = []
        if letters:
            yield self._word(letters)

    def _word(self, letters: Sequence[Span]) -> Span:
        text = self._joiner.join(letter.text for letter in letters)
        confidence = float(np.exp(np.mean(np.log([letter.confidence for letter in letters]))))
        return Span(text.lower() if self.rules.do_lower_case else text, letters[0].start, letters[-1].end, confidence)

    def _text(self, index: int) -> str:
        token = self.rules.vocabulary[index]
        delimits = token == self._delimiter and not self._phonemes
        return self.rules.replace_word_delimiter_char if delimits else token


CLEAN_UPS = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


def clean_up(text: str) -> str:
    """Join English punctuation and contractions (HF ``clean_up_tokenization``)."""
    for spaced, joined in CLEAN_UPS:
        text = text.replace(spaced, joined)
    return text
