"""CTC decoders in C++: greedy, beam search with n-gram language models and hotwords, forced alignment."""

from ._native import (
    Aligner,
    Alignment,
    Decoder,
    DecodingError,
    GreedyDecoder,
    Hypothesis,
    KenlmModel,
    LanguageModel,
    Span,
    State,
    compile_arpa,
)  # fmt: skip

__all__ = [
    "Aligner",
    "Alignment",
    "Decoder",
    "DecodingError",
    "GreedyDecoder",
    "Hypothesis",
    "KenlmModel",
    "LanguageModel",
    "Span",
    "State",
    "compile_arpa",
]
