"""CTC decoders in C++."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy
from numpy.typing import NDArray

class DecodingError(ValueError):
    """
    Input that cannot be decoded, or a file that cannot be used: one line that says what would be right.
    """

class WordModel:
    """What a Decoder takes for a language model."""

class KenlmModel(WordModel):
    """
    A model of the package kenlm, whose binary files only it reads. Slower, and one thread at a time.
    """

    def __init__(self, model: object) -> None: ...

class LanguageModel(WordModel):
    """
    An n-gram language model. Immutable; any number of decoders and threads share one.
    """

    def __init__(self, path: str) -> None:
        """
        Open a compiled model, which is mapped, or an ARPA file, plain or gzip, which is compiled.
        """

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""

    @property
    def words(self) -> int:
        """How many words it has, <unk> among them."""

    @property
    def ngrams(self) -> int:
        """How many n-grams it has, of all orders."""

    def __contains__(self, word: str) -> bool: ...
    def save(self, path: str) -> None:
        """Write the compact form."""

    def some_words(self, count: int) -> list[str]:
        """Up to `count` of its words, from all over."""

    def score(self, words: Sequence[str], bos: bool = True, eos: bool = True) -> float:
        """
        log10 of the probability of words, after <s> with bos and with </s> after them with eos.
        """

def compile_arpa(source: str, target: str) -> None:
    """
    Write an ARPA file, plain or gzip, in the compact form, which is mapped and not read when it is opened.
    """

class Span:
    """A token or a word in frames start_frame <= f < end_frame."""

    @property
    def text(self) -> str: ...
    @property
    def start_frame(self) -> int: ...
    @property
    def end_frame(self) -> int: ...
    @property
    def confidence(self) -> float:
        """0..1; of a word the geometric mean over its tokens."""

    def __repr__(self) -> str: ...

class Hypothesis:
    """One reading of a clip. Scores are natural logarithms."""

    @property
    def text(self) -> str: ...
    @property
    def tokens(self) -> list[Span]: ...
    @property
    def words(self) -> list[Span]: ...
    @property
    def score(self) -> float:
        """What hypotheses are ordered by."""

    @property
    def acoustic_score(self) -> float:
        """Log probability of the paths that were kept."""

    @property
    def language_score(self) -> float:
        """What language model and hotwords added to it."""

    def __repr__(self) -> str: ...

class GreedyDecoder:
    """The best path, as the checkpoint's tokenizer reads it."""

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        blank: int,
        delimiter: str = "",
        replace_delimiter: str = " ",
        special_tokens: Sequence[str] = [],
        lower_case: bool = False,
        clean_up: bool = False,
        phonemes: bool = False,
        skip_special_tokens: bool = True,
    ) -> None: ...
    def decode(
        self,
        logits: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)],
    ) -> list[Hypothesis]:
        """One hypothesis of logits [frames, tokens]."""

    def decode_batch(
        self,
        clips: Sequence[
            Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)]
        ],
        threads: int = 0,
    ) -> list[list[Hypothesis]]:
        """Hypotheses of each clip; threads: 0 for one a core."""

class State:
    """
    A search that goes on: chunks give what the whole gives. One thread at a time.
    """

    def advance(
        self,
        logits: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)],
    ) -> None:
        """Take the next frames, [frames, tokens]."""

    def read(self) -> list[Hypothesis]:
        """The hypotheses for all frames so far; the search can go on."""

class Decoder:
    """
    Prefix beam search with a language model and hotwords. Thread-safe; scores, defaults and pruning are pyctcdecode's.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        blank: int,
        delimiter: str = "",
        replace_delimiter: str = " ",
        special_tokens: Sequence[str] = [],
        lower_case: bool = False,
        clean_up: bool = False,
        phonemes: bool = False,
        language_model: WordModel | None = None,
        unigrams: Sequence[str] | None = None,
        hotwords: Mapping[str, float] = {},
        alpha: float = 0.5,
        beta: float = 1.5,
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        unk_score_offset: float = -10.0,
        score_boundary: bool = True,
        prune_history: bool | None = None,
        nbest: int = 1,
    ) -> None: ...
    def decode(
        self,
        logits: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)],
    ) -> list[Hypothesis]:
        """The best hypotheses of logits [frames, tokens], best first."""

    def decode_batch(
        self,
        clips: Sequence[
            Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)]
        ],
        threads: int = 0,
    ) -> list[list[Hypothesis]]:
        """Hypotheses of each clip; threads: 0 for one a core."""

    def state(self) -> State:
        """A search that takes a stream in chunks."""

class Alignment:
    """A text in frames. Words that were left out are not there."""

    @property
    def tokens(self) -> list[Span]: ...
    @property
    def words(self) -> list[Span]: ...
    @property
    def score(self) -> float:
        """Log probability of the path."""

class Aligner:
    """
    Where in a clip a known text is said. Words are spelled in whatever case; * stands for any speech, [word] may be left out.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        blank: int,
        delimiter: str = "",
        replace_delimiter: str = " ",
        special_tokens: Sequence[str] = [],
        phonemes: bool = False,
    ) -> None: ...
    def align(
        self,
        logits: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)],
        text: str,
    ) -> Alignment:
        """The best path of logits [frames, tokens] through a text."""
