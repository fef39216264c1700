"""Greedy CTC decoding with the rules of the checkpoint's tokenizer (Graves et al. 2006, best path)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Ctc
from w2vc_runtime.errors import InferenceError

from .base import Hypothesis, Span


class Run(NamedTuple):
    """Frames ``start <= f < end`` with one best token, by its id, and its highest probability there."""

    token: int
    start: int
    end: int
    confidence: float


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
        tokens = tuple(filter(None, map(self.token, self.runs(logits, 0))))
        letters: list[Span] = []
        words = [*self.words(letters, tokens), *([self.word(letters)] if letters else [])]
        return Hypothesis(self.text(token.text for token in tokens), tokens, tuple(words))

    def hypotheses(self, logits: NDArray[np.floating]) -> list[Hypothesis]:
        return [self.decode(logits)]

    def stream(self) -> GreedyStream:
        """The same for a clip whose logits come in pieces; see `Decoder.stream`."""
        return GreedyStream(self)

    def runs(self, logits: NDArray[np.floating], first: int) -> list[Run]:
        """Frames in a row whose best token is the same; the first of them is frame ``first`` of its clip."""
        if len(logits) == 0:
            return []
        if not np.isfinite(logits).all():
            raise InferenceError("there are NaN or infinite values among the logits; expected finite ones")
        best = logits.argmax(axis=-1)
        ids = self._canonical[best]
        shifted = np.exp(np.subtract(logits, logits.max(axis=-1, keepdims=True), dtype=np.float64))
        probability = 1.0 / shifted.sum(axis=-1)  # of the best token, whose shifted score is exp(0)
        starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
        ends = np.append(starts[1:], len(ids))
        return [
            Run(int(ids[start]), first + int(start), first + int(end), float(probability[start:end].max()))
            for start, end in zip(starts, ends)
        ]

    def token(self, run: Run) -> Span | None:
        """What a run says; None for nothing, as the blank does."""
        if run.token in self._hidden:
            return None
        return Span(self._text(run.token), run.start, run.end, run.confidence)

    def text(self, tokens: Iterable[str]) -> str:
        """The text that tokens make."""
        shown = [token for token in tokens if not self._phonemes or token != self._boundary]
        text = self._joiner.join(shown).strip()
        if self.rules.do_lower_case:
            text = text.lower()
        return clean_up(text) if self.rules.clean_up_tokenization_spaces else text

    def words(self, letters: list[Span], tokens: Iterable[Span]) -> Iterator[Span]:
        """The words that tokens complete. letters: those of a word that has begun, which is changed."""
        for token in tokens:
            if token.text != self._boundary:
                letters.append(token)
            if letters and (self._wordless or token.text == self._boundary):
                yield self.word(letters)
                letters.clear()

    def word(self, letters: Sequence[Span]) -> Span:
        """The word that tokens make."""
        text = self._joiner.join(letter.text for letter in letters)
        confidence = float(np.exp(np.mean(np.log([letter.confidence for letter in letters]))))
        return Span(text.lower() if self.rules.do_lower_case else text, letters[0].start, letters[-1].end, confidence)

    def _text(self, index: int) -> str:
        token = self.rules.vocabulary[index]
        delimits = token == self._delimiter and not self._phonemes
        return self.rules.replace_word_delimiter_char if delimits else token


class GreedyStream:
    """Greedy decoding of logits that come in pieces: a token that goes on from one piece to the next is one token."""

    def __init__(self, decoder: GreedyDecoder) -> None:
        self._decoder = decoder
        self._frames = 0
        self._open: Run | None = None
        self._letters: list[Span] = []
        self._said: list[str] = []

    @property
    def text(self) -> str:
        """What was said in the frames so far."""
        return self._decoder.text([*self._said, *(token.text for token in self._token(self._open))])

    def push(self, logits: NDArray[np.floating]) -> list[Span]:
        """The words that no later frame can change; see `DecodingStream.push`."""
        runs = self._decoder.runs(logits, self._frames)
        self._frames += len(logits)
        if not runs:
            return []
        before = self._open
        if before is not None and before.token == runs[0].token:
            confidence = max(before.confidence, runs[0].confidence)
            runs[0] = Run(before.token, before.start, runs[0].end, confidence)
        elif before is not None:
            runs.insert(0, before)
        self._open = runs.pop()
        return self._words(runs)

    def end(self) -> list[Span]:
        """The words that were still open; see `DecodingStream.end`."""
        last, self._open = self._open, None
        words = self._words([last] if last else [])
        if self._letters:
            words.append(self._decoder.word(self._letters))
            self._letters = []
        return words

    def weighed(self) -> list[Hypothesis]:
        return []

    def _words(self, runs: Sequence[Run]) -> list[Span]:
        tokens = [token for run in runs for token in self._token(run)]
        self._said += [token.text for token in tokens]
        return list(self._decoder.words(self._letters, tokens))

    def _token(self, run: Run | None) -> list[Span]:
        token = None if run is None else self._decoder.token(run)
        return [] if token is None else [token]


CLEAN_UPS = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


def clean_up(text: str) -> str:
    """Join English punctuation and contractions (HF ``clean_up_tokenization``)."""
    for spaced, joined in CLEAN_UPS:
        text = text.replace(spaced, joined)
    return text
