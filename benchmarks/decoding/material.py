"""Texts, language models and logits to decode: made up, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .ngrams import estimate, write_arpa

CONSONANTS, VOWELS = "bcdfghjklmnprstvwz", "aeiou"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Material:
    """tokens: a blank "", a space " " and letters. hotwords: some of the words, and some that no model knows."""

    tokens: list[str]
    words: list[str]
    hotwords: list[str]
    texts: list[str]
    logits: list[np.ndarray]


def tokens_of(count: int) -> list[str]:
    """A vocabulary: a blank, a space, the letters, and where there are more, rare ones of other scripts."""
    return ["", " ", *LETTERS, *(chr(0x4E00 + index) for index in range(count - 2 - len(LETTERS)))]


def make_words(random: np.random.Generator, count: int) -> list[str]:
    """Words that can be spoken, of one to four syllables."""
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = random.integers(1, 5)
        word = "".join(random.choice(list(CONSONANTS)) + random.choice(list(VOWELS)) for _ in range(syllables))
        words[word + (random.choice(list(CONSONANTS)) if random.random() < 0.3 else "")] = None
    return list(words)


def make_sentences(random: np.random.Generator, words: Sequence[str], count: int) -> list[list[str]]:
    """Sentences of a Markov chain whose words have few followers each, the frequent words first in ``words``."""
    weights = 1.0 / np.arange(1, len(words) + 1)
    weights /= weights.sum()
    followers = random.choice(len(words), size=(len(words), 20), p=weights)
    sentences = []
    for _ in range(count):
        state = int(random.choice(len(words), p=weights))
        sentence = [words[state]]
        for _ in range(int(random.integers(3, 16))):
            state = int(followers[state, random.integers(20)])
            sentence.append(words[state])
        sentences.append(sentence)
    return sentences


def emissions(
    random: np.random.Generator, text: str, tokens: Sequence[str], noise: float, frames: int | None = None
) -> np.ndarray:
    """Logits [frames, tokens] as a CTC model gives them: peaks for letters, blanks between, some mistaken.

    noise: how much they are in doubt. frames: as many, by repeating or leaving out text.
    """
    index = {token: place for place, token in enumerate(tokens)}
    path: list[int] = []
    while frames is None or len(path) < frames:
        for letter in text + " ":
            path += [index[letter]] * int(random.integers(1, 3)) + [0] * int(random.integers(0, 4))
        if frames is None:
            break
    path = path[:frames]
    logits = random.standard_normal((len(path), len(tokens))) * noise
    peak = 6.0 + 2.0 * random.standard_normal(len(path))
    wrong = random.random(len(path)) < 0.05 * noise
    shown = np.where(wrong, random.integers(len(tokens), size=len(path)), path)
    logits[np.arange(len(path)), shown] += peak
    logits[np.arange(len(path)), path] += np.where(wrong, peak * random.random(len(path)), 0.0)
    return logits.astype(np.float32)


def make(
    folder: Path,
    tokens: int = 28,
    words: int = 3000,
    utterances: int = 20,
    frames: int | None = 500,
    noise: float = 1.0,
    seed: int = 0,
) -> Material:
    """Material and, in ``folder``, its 3-gram as ``lm.arpa``."""
    random = np.random.default_rng(seed)
    vocabulary = make_words(random, words)
    write_arpa(folder / "lm.arpa", estimate(make_sentences(random, vocabulary, 5 * words), 3))
    texts = [" ".join(sentence) for sentence in make_sentences(random, vocabulary, utterances)]
    names = tokens_of(tokens)
    known = set(vocabulary)
    rare = [word for word in make_words(random, 40) if word not in known][:10]
    texts = [text + (" " + rare[place % len(rare)] if place % 4 == 0 else "") for place, text in enumerate(texts)]
    logits = [emissions(random, text, names, noise, frames) for text in texts]
    return Material(names, vocabulary, [*rare, *vocabulary[50:60]], texts, logits)
