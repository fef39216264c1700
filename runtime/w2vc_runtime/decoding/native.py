"""The extension that decodes in C++, and the vocabulary of a manifest as it wants it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Ctc
from w2vc_runtime.errors import InferenceError, MissingExtraError


def extension(purpose: str) -> Any:
    """The module ``w2vc_native``; raise `MissingExtraError` with what to install."""
    try:
        return importlib.import_module("w2vc_native")
    except ImportError as error:
        raise MissingExtraError(purpose, "w2vc-native", "beam") from error


def vocabulary(rules: Ctc, tokens: Sequence[str] | None = None, skip_special_tokens: bool = True) -> dict[str, Any]:
    """Arguments that the classes of the extension share.

    tokens: what to call the tokens instead, one for each, with ``""`` for the blank and ``" "`` for the delimiter.
    """
    special = set(rules.special_tokens) - {rules.word_delimiter} if skip_special_tokens else set()
    if tokens is None:
        names, delimiter = list(rules.vocabulary), rules.word_delimiter
    else:
        names, delimiter = list(tokens), " "
    return {
        "tokens": names,
        "blank": rules.blank,
        "delimiter": delimiter,
        "replace_delimiter": rules.replace_word_delimiter_char,
        "special_tokens": [name for name, token in zip(names, rules.vocabulary) if token in special],
        "phonemes": rules.kind == "phonemes",
    }


def checked(logits: NDArray[np.floating], tokens: int) -> NDArray[np.float32]:
    """Logits [frames, tokens] as float32; raise `InferenceError` on others, and on NaN and infinite ones."""
    if logits.ndim != 2 or logits.shape[1] != tokens:
        raise InferenceError(f"the logits have the shape {list(logits.shape)}; expected [frames, {tokens}]")
    if not np.isfinite(logits).all():
        raise InferenceError("there are NaN or infinite values among the logits; expected finite ones")
    return np.ascontiguousarray(logits, np.float32)
