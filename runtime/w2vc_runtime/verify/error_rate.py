"""Word and character error rates: edits as a share of what was said, over all recordings together.

Texts are compared in one form: Unicode's composed form (NFC), case folded, ``’`` as ``'``, all other punctuation as
white space, and white space as single spaces. Nothing else is rewritten: not numbers, not abbreviations.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from w2vc_runtime.bundle.types import ErrorRates

APOSTROPHE = "'"


def error_rates(pairs: Iterable[tuple[str, str]]) -> ErrorRates:
    """The rates over pairs of what was said and what was heard; raise `ValueError` where nothing was said."""
    word_edits = words = character_edits = characters = 0
    for said, heard in pairs:
        said, heard = normalised(said), normalised(heard)
        word_edits += edits(said.split(), heard.split())
        words += len(said.split())
        character_edits += edits(said, heard)
        characters += len(said)
    if not words:
        raise ValueError("there is no error rate of no words")
    return ErrorRates(word_edits / words, character_edits / characters)


def normalised(text: str) -> str:
    """A text in the form in which texts are compared; see the module."""
    folded = unicodedata.normalize("NFC", text).casefold().replace("’", APOSTROPHE)
    kept = (" " if unicodedata.category(c).startswith("P") and c != APOSTROPHE else c for c in folded)
    return " ".join("".join(kept).split())


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """The fewest insertions, deletions and substitutions that turn one sequence into the other (Levenshtein 1966)."""
    numbers = {item: number for number, item in enumerate({*reference, *hypothesis})}
    heard = np.array([numbers[item] for item in hypothesis], dtype=np.int64)
    columns = np.arange(len(heard) + 1)
    row = columns
    for item in reference:
        best = row + 1  # without this item of the reference, or in place of another
        best[1:] = np.minimum(best[1:], row[:-1] + (heard != numbers[item]))
        row = np.minimum.accumulate(best - columns) + columns  # or with more of the hypothesis
    return int(row[-1])
