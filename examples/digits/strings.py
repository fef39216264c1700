"""Digit strings cut from the Free Spoken Digit Dataset, and the word error rate that scores them.

Needs numpy, soundfile and soxr only, so that any run time can be scored with the same strings.
Audio is float32 of shape (samples,) at 16 kHz in -1..1; a transcript is lower-case words joined by spaces.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16000
"""Samples a second of everything this module yields."""

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""The spoken form of each digit, at its own index."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
"""The six speakers of the dataset."""

TEST_INDICES = range(5)
"""The recordings of each digit and speaker that the dataset sets aside for testing."""

MAX_DIGITS = 7
GAP_SECONDS = (-0.05, 0.5)


def clip_path(fsdd_dir: str | Path, digit: int, speaker: str, index: int) -> Path:
    """Where one recording lies: the `digit` spoken by `speaker` for the `index`th time."""
    return Path(fsdd_dir) / f"{digit}_{speaker}_{index}.wav"


def read_clip(path: str | Path) -> np.ndarray:
    """One recording as float32 (samples,) at 16 kHz."""
    audio, rate = soundfile.read(path, dtype="float32")
    return soxr.resample(audio, rate, SAMPLE_RATE).astype(np.float32)


def join_clips(clips: Sequence[np.ndarray], gaps: Sequence[int]) -> np.ndarray:
    """Lay `clips` one after the other; `gaps[i]` samples of silence follow clip i (negative: overlap)."""
    starts = [0]
    for clip, gap in zip(clips[:-1], gaps, strict=True):
        starts.append(max(0, starts[-1] + len(clip) + gap))
    joined = np.zeros(max(start + len(clip) for start, clip in zip(starts, clips, strict=True)), np.float32)
    for start, clip in zip(starts, clips, strict=True):
        joined[start : start + len(clip)] += clip
    return joined


def test_strings(
    fsdd_dir: str | Path,
    count: int = 300,
    seed: int = 0,
    speakers: Sequence[str] | None = None,
) -> Iterator[tuple[np.ndarray, str]]:
    """`count` strings of 1 to 7 test recordings, each string by one speaker: (audio, transcript).

    The same arguments always give the same strings. Nothing is added but gaps of -50 ms to 0.5 s.
    """
    rng = np.random.default_rng(seed)
    speakers = tuple(speakers or SPEAKERS)
    for _ in range(count):
        speaker = speakers[rng.integers(len(speakers))]
        digits = rng.integers(10, size=rng.integers(1, MAX_DIGITS + 1))
        indices = rng.integers(len(TEST_INDICES), size=len(digits))
        gaps = rng.uniform(*GAP_SECONDS, size=len(digits) - 1) * SAMPLE_RATE
        clips = [
            read_clip(clip_path(fsdd_dir, digit, speaker, TEST_INDICES[index]))
            for digit, index in zip(digits, indices, strict=True)
        ]
        yield join_clips(clips, gaps.astype(int).tolist()), " ".join(WORDS[digit] for digit in digits)


test_strings.__test__ = False  # The name starts with "test", but it is no test for pytest to collect.


def single_clips(
    fsdd_dir: str | Path, indices: Iterable[int] = TEST_INDICES, speakers: Sequence[str] | None = None
) -> Iterator[tuple[np.ndarray, str]]:
    """Every recording with one of `indices`, alone: (audio, transcript), by speaker, digit and index."""
    indices = tuple(indices)
    for speaker in speakers or SPEAKERS:
        for digit, word in enumerate(WORDS):
            for index in indices:
                yield read_clip(clip_path(fsdd_dir, digit, speaker, index)), word


def word_errors(reference: str, hypothesis: str) -> int:
    """The fewest words to insert, delete or replace to turn `hypothesis` into `reference`."""
    wanted, got = reference.split(), hypothesis.split()
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Word errors as a share of the reference words, over (reference, hypothesis) pairs."""
    errors = words = 0
    for reference, hypothesis in pairs:
        errors += word_errors(reference, hypothesis)
        words += len(reference.split())
    return errors / max(words, 1)
