"""Estimate small n-gram language models and write them as ARPA files."""

from __future__ import annotations

import gzip
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

Ngram = tuple[str, ...]

DISCOUNT = 0.5
IMPOSSIBLE = -99.0
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


def estimate(sentences: Iterable[Sequence[str]], order: int = 3, unknown: float = 0.01) -> list[dict[Ngram, tuple]]:
    """Probability and backoff (base-10 logarithms) of each n-gram, a dictionary an order.

    Absolute discounting (Ney et al. 1994) with backoff. unknown: probability of ``<unk>``, taken from all words.
    """
    counts: list[dict[Ngram, int]] = [defaultdict(int) for _ in range(order)]
    for sentence in sentences:
        words = (BEGIN, *sentence, END)
        for size in range(1, order + 1):
            for start in range(len(words) - size + 1):
                counts[size - 1][words[start : start + size]] += 1
    probability: list[dict[Ngram, float]] = []
    total = sum(count for (word,), count in counts[0].items() if word != BEGIN)
    unigrams = {ngram: (1 - unknown) * count / total for ngram, count in counts[0].items() if ngram != (BEGIN,)}
    probability.append({**unigrams, (UNKNOWN,): unknown, (BEGIN,): 0.0})
    backoff: dict[Ngram, float] = {}
    for size in range(2, order + 1):
        followers: dict[Ngram, list[tuple[Ngram, int]]] = defaultdict(list)
        for ngram, count in counts[size - 1].items():
            followers[ngram[:-1]].append((ngram, count))
        level: dict[Ngram, float] = {}
        for context, found in followers.items():
            seen = sum(count for _, count in found)
            for ngram, count in found:
                level[ngram] = (count - DISCOUNT) / seen
            left = DISCOUNT * len(found) / seen
            covered = sum(probability[size - 2][ngram[1:]] for ngram, _ in found)
            backoff[context] = left / max(1e-9, 1 - covered)
        probability.append(level)

    def entry(ngram: Ngram, value: float) -> tuple[float, float]:
        return (math.log10(value) if value > 0 else IMPOSSIBLE, math.log10(backoff.get(ngram, 1.0)))

    return [{ngram: entry(ngram, value) for ngram, value in level.items()} for level in probability]


def write_arpa(path: Path, levels: list[dict[Ngram, tuple]]) -> Path:
    """Write an ARPA file, compressed where its name ends in ``.gz``."""
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write("\\data\\\n")
        file.writelines(f"ngram {size}={len(level)}\n" for size, level in enumerate(levels, start=1))
        for size, level in enumerate(levels, start=1):
            file.write(f"\n\\{size}-grams:\n")
            for ngram, (probability, backoff) in sorted(level.items()):
                weight = f"\t{backoff:.6f}" if size < len(levels) and ngram != (END,) else ""
                file.write(f"{probability:.6f}\t{' '.join(ngram)}{weight}\n")
        file.write("\n\\end\\\n")
    return path
