"""Prefix beam search with an n-gram language model and hotwords, by ``w2vc-native``; scores are pyctcdecode's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Ctc
from w2vc_runtime.errors import OptionError

from .base import Hypothesis, Scores, Span
from .language_model import LanguageModel, LanguageModelFiles, load_language_model
from .native import checked, extension, vocabulary

UNKNOWN, PIECE = "⁇", "▁"  # pyctcdecode's names of <unk> and of the start of a word
LEAST_COVERAGE = 0.2


@dataclass(frozen=True)
class BeamOptions:
    """How to search; docs/decoding.md has the scores. None: as stored with the language model, else pyctcdecode's.

    alpha: weight of the language model (0.5). beta: gain for each word (1.5). unk_score_offset: of a word that it does
    not have, base 10 (-10). score_boundary: score beginning and end of a sentence (True). beam_width: hypotheses kept
    after a frame. beam_prune_logp: those further below the best are dropped. token_min_logp: tokens below are not
    tried, except the best of a frame. hotwords: words and what a text gains for each. nbest: readings to give.
    prune_history: drop what differs only in words that the model forgot; by default where one reading is wanted.
    lm: a language model: a file, a directory as `find_language_model` reads it, or one that is loaded; None for none.
    """

    alpha: float | None = None
    beta: float | None = None
    unk_score_offset: float | None = None
    score_boundary: bool | None = None
    beam_width: int = 100
    beam_prune_logp: float = -10.0
    token_min_logp: float = -5.0
    hotwords: Mapping[str, float] = field(default_factory=dict)
    nbest: int = 1
    prune_history: bool | None = None
    lm: str | os.PathLike[str] | LanguageModel | None = None


class BeamDecoder:
    """Beam search by the rules of a manifest. Safe to call from several threads at once; it releases the GIL.

    Raises `MissingExtraError` without w2vc-native, and `OptionError` on options, a language model or hotwords that do
    not fit.
    """

    def __init__(
        self,
        rules: Ctc,
        options: BeamOptions | None = None,
        language_model: LanguageModelFiles | None = None,
        skip_special_tokens: bool = True,
    ) -> None:
        options = options or BeamOptions()
        native = extension("beam search")
        given = options.lm if language_model is None else language_model
        tokens, files = None, None
        chosen: dict[str, Any] = {}
        if given is not None:
            loaded = load_language_model(given)
            files, chosen["language_model"] = loaded.files, loaded.opened
            if files.labels is not None:
                tokens = _matched(rules, files.labels)
            if files.unigrams is not None:
                chosen["unigrams"] = list(files.unigrams)
        names = vocabulary(rules, tokens, skip_special_tokens)
        if files is not None:
            special = {*names["special_tokens"], names["tokens"][rules.blank]}
            letters = [token for token in names["tokens"] if token not in special]
            _check_letters(files, chosen, letters, rules.do_lower_case)
        for name in ("alpha", "beta", "unk_score_offset", "score_boundary"):
            value = getattr(options, name)
            value = getattr(files, name, None) if value is None else value
            if value is not None:
                chosen[name] = value
        if options.beam_width < 1 or options.nbest < 1:
            raise OptionError(
                f"beam_width is {options.beam_width} and nbest {options.nbest}; expected at least 1 of each"
            )
        self._tokens = len(rules.vocabulary)
        try:
            self._decoder = native.Decoder(
                **names,
                **chosen,
                lower_case=rules.do_lower_case,
                clean_up=rules.clean_up_tokenization_spaces,
                hotwords=dict(options.hotwords),
                beam_width=options.beam_width,
                beam_prune_logp=options.beam_prune_logp,
                token_min_logp=options.token_min_logp,
                nbest=options.nbest,
                prune_history=options.prune_history,
            )
        except native.DecodingError as error:
            raise OptionError(str(error)) from error

    def decode(self, logits: NDArray[np.floating]) -> Hypothesis:
        """The best hypothesis for logits [frames, vocabulary]."""
        return self.hypotheses(logits)[0]

    def hypotheses(self, logits: NDArray[np.floating]) -> list[Hypothesis]:
        """The ``nbest`` best hypotheses for logits [frames, vocabulary], best first."""
        return _hypotheses(self._decoder.decode(checked(logits, self._tokens)))

    def batch(self, clips: Sequence[NDArray[np.floating]], threads: int = 0) -> list[list[Hypothesis]]:
        """The hypotheses for each clip, on several threads; 0 for one a core."""
        found = self._decoder.decode_batch([checked(clip, self._tokens) for clip in clips], threads)
        return [_hypotheses(each) for each in found]

    def stream(self) -> BeamStream:
        """A search that takes a recording in chunks; what it reads is what the whole gives."""
        return BeamStream(self._decoder.state(), self._tokens)


class BeamStream:
    """One recording in chunks; a later frame may change any word, so that all come at the end. For one thread."""

    def __init__(self, state: Any, tokens: int) -> None:
        self._state, self._tokens = state, tokens

    @property
    def text(self) -> str:
        """The best text of all frames so far."""
        return self.weighed()[0].text

    def push(self, logits: NDArray[np.floating]) -> list[Span]:
        """Take the next frames [frames, vocabulary]."""
        self._state.advance(checked(logits, self._tokens))
        return []

    def end(self) -> list[Span]:
        """The words of the best text."""
        return list(self.weighed()[0].words)

    def weighed(self) -> list[Hypothesis]:
        """The best hypotheses for all frames so far. The stream can go on."""
        return _hypotheses(self._state.read())


def spans(found: Sequence[Any]) -> tuple[Span, ...]:
    """Tokens or words of the extension."""
    return tuple(Span(each.text, each.start_frame, each.end_frame, each.confidence) for each in found)


def _hypotheses(found: Sequence[Any]) -> list[Hypothesis]:
    return [
        Hypothesis(
            each.text,
            spans(each.tokens),
            spans(each.words),
            Scores(each.score, each.acoustic_score, each.language_score),
        )
        for each in found
    ]


def _matched(rules: Ctc, labels: Sequence[str]) -> list[str]:
    """The labels of an ``alphabet.json``, one for each token of the vocabulary."""
    count = len(rules.vocabulary)
    if len(labels) != count:
        raise OptionError(f"the alphabet has {len(labels)} labels and the vocabulary {count} tokens; expected the same")
    if labels[rules.blank] != "":
        raise OptionError(
            f"the alphabet calls token {rules.blank}, which is the blank, {labels[rules.blank]!r}; expected ''"
        )
    if rules.word_delimiter in rules.vocabulary:
        index = rules.vocabulary.index(rules.word_delimiter)
        if labels[index] not in (" ", rules.word_delimiter):
            raise OptionError(f"the alphabet calls the word delimiter {labels[index]!r}; expected ' '")
    return list(labels)


def _check_letters(files: LanguageModelFiles, chosen: dict[str, Any], tokens: Sequence[str], lower_case: bool) -> None:
    """Raise `OptionError` where the words of a model cannot be spelled: of another language, or in another case."""
    words = list(files.unigrams or getattr(chosen["language_model"], "some_words", lambda count: [])(1000))
    words = [word for word in words if word not in ("<s>", "</s>", "<unk>")]
    letters = set("".join(words))
    known = set("".join(token.lower() if lower_case else token for token in tokens))
    if letters and len(letters & known) < LEAST_COVERAGE * len(letters):
        other = {letter.swapcase() for letter in letters}
        cased = len(other & known) >= LEAST_COVERAGE * len(other)
        expected = "words in the vocabulary's case" if cased else "words of the vocabulary's letters"
        raise OptionError(
            f"the vocabulary cannot spell words such as {words[0]!r} of {files.model}; expected {expected}"
        )
