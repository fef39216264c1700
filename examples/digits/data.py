"""Training batches: digit strings from human and synthetic clips, made to sound like many rooms and devices.

Audio is float32 (samples,) at 16 kHz throughout.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from strings import GAP_SECONDS, MAX_DIGITS, SAMPLE_RATE, SPEAKERS, TEST_INDICES, WORDS, clip_path, join_clips
from synthesis import SyntheticVoice
from torch.utils.data import Dataset

from model import BLANK, FIELD_SAMPLES, FRAME_SAMPLES, VOCABULARY, WORD_END, frame_count, normalize

BATCH_SECONDS = 16
GROUP_BATCHES = 16
RECORDINGS_A_DIGIT = 50
UNKNOWN = -100
TOKENS = {word: [VOCABULARY.index(letter) for letter in word] for word in WORDS}


class MissingDataError(Exception):
    """A recording of the dataset is not where it should be."""


@dataclass(frozen=True)
class Front:
    """What a model is given for a recording."""

    prepare: Callable[[np.ndarray], np.ndarray] = normalize
    """Turns audio (samples,) into the model's input, float32 (samples or frames, ...)."""
    field: int = FIELD_SAMPLES
    """Samples that one output frame is made from."""
    level_db: float = 0.0
    """Spread of the recordings' level, for a `prepare` that lets it through."""


WAVEFORM = Front()


@dataclass
class Batch:
    """Recordings of like length, padded with zeros at their ends."""

    inputs: torch.Tensor
    """float32 (batch, samples or frames, ...): what Front.prepare makes of each."""
    lengths: torch.Tensor
    """int64 (batch,): samples or frames of each."""
    labels: torch.Tensor
    """int64 (sum of label lengths,): the tokens of all, one recording after the other."""
    label_lengths: torch.Tensor
    """int64 (batch,)."""
    frame_labels: torch.Tensor
    """int64 (batch, frames): a rough token for each frame, or UNKNOWN."""


@dataclass(frozen=True)
class Lesson:
    """What a stretch of the training is made of."""

    max_digits: int
    synthetic_share: float
    single_share: float = 0.0
    """Extra single digits, half of them cut close at both ends."""


def lesson_at(progress: float) -> Lesson:
    """The curriculum at `progress` (0 to 1): short human strings first."""
    max_digits = 2 if progress < 0.1 else 4 if progress < 0.2 else MAX_DIGITS
    return Lesson(max_digits, synthetic_share=0.0 if progress < 0.12 else 0.4)


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """Let the command line say where the dataset lies."""
    shared = os.environ.get("W2VC_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(shared) / "fsdd",
        help="folder of the Free Spoken Digit Dataset (default: $W2VC_DATA/fsdd, here %(default)s)",
    )


def require_recordings(fsdd_dir: Path) -> None:
    """Raise MissingDataError unless `fsdd_dir` has every recording of the dataset."""
    for speaker in SPEAKERS:
        for digit in range(10):
            for index in range(RECORDINGS_A_DIGIT):
                path = clip_path(fsdd_dir, digit, speaker, index)
                if not path.is_file():
                    raise MissingDataError(f"{path} is missing; --data must name the Free Spoken Digit Dataset")


def read_training_clips(fsdd_dir: Path, held_out: Sequence[str]) -> list[list[list[np.ndarray]]]:
    """The recordings at 8 kHz, indexed [speaker][digit][i], without test recordings and held-out speakers."""
    require_recordings(fsdd_dir)
    speakers = []
    for speaker in SPEAKERS:
        if speaker in held_out:
            continue
        digits = []
        for digit in range(10):
            paths = [clip_path(fsdd_dir, digit, speaker, i) for i in range(TEST_INDICES.stop, RECORDINGS_A_DIGIT)]
            digits.append([soundfile.read(path, dtype="float32")[0] for path in paths])
        speakers.append(digits)
    return speakers


def frame_labels(samples: int, field: int, spans: Sequence[tuple[int, int]], words: Sequence[str]) -> np.ndarray:
    """A rough alignment, int64 (frames,): the letters of each word spread evenly over its `spans` samples."""
    centres = np.arange(frame_count(samples, field)) * FRAME_SAMPLES + field // 2
    labels = np.full(len(centres), BLANK, np.int64)
    for (start, end), word in zip(spans, words, strict=True):
        units: list[int] = []
        for token in TOKENS[word]:
            # CTC tells a double letter from a long one by the blank between.
            units += [BLANK, token] if units and units[-1] == token else [token]
        inside = np.flatnonzero((centres >= start) & (centres < end))
        labels[inside] = np.array(units)[(centres[inside] - start) * len(units) // (end - start)]
    for _, end in spans[:-1]:
        labels[np.searchsorted(centres, end) :][:1] = WORD_END
    return labels


def colour(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`audio` through a random room, microphone and line: reverberation, equalizer, band limits."""
    size = 1 << int(np.ceil(np.log2(len(audio) + SAMPLE_RATE // 4)))
    spectrum = np.fft.rfft(audio, size)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    knots = np.geomspace(80, 8000, 8)
    gain_db = np.interp(np.log(hertz + 1), np.log(knots + 1), rng.normal(0, 4, len(knots)))
    if rng.random() < 0.4:
        gain_db -= 24 * np.maximum(0, np.log2(rng.uniform(80, 400) / np.maximum(hertz, 1)))
    if rng.random() < 0.5:
        gain_db -= 48 * np.maximum(0, np.log2(np.maximum(hertz, 1) / rng.uniform(2500, 7000)))
    spectrum *= 10 ** (np.maximum(gain_db, -80) / 20)
    if rng.random() < 0.4:
        seconds = rng.uniform(0.05, 0.25)
        time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        room = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds) * rng.uniform(0.02, 0.12)
        room[0] = 1.0
        spectrum *= np.fft.rfft(room, size)
    return np.fft.irfft(spectrum, size)[: len(audio)].astype(np.float32)


def noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Steady noise of power 1, from white to brown."""
    size = 1 << int(np.ceil(np.log2(samples)))
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(size, np.float32))
    spectrum *= np.maximum(hertz, 40) ** -rng.uniform(0, 1)
    hiss = np.fft.irfft(spectrum, size)[:samples].astype(np.float32)
    return hiss / np.sqrt(np.mean(hiss**2) + 1e-12)


def degrade(audio: np.ndarray, level: float, noisy: bool, rng: np.random.Generator) -> np.ndarray:
    """`audio` as some device hears it; the noise, if any, is 10 to 50 dB below `level`."""
    audio = colour(audio, rng)
    if noisy or rng.random() < 0.85:
        audio += noise(len(audio), rng) * level * 10 ** (-rng.uniform(10, 50) / 20)
    return audio


def at_speed(clip: np.ndarray, rate: float) -> np.ndarray:
    """`clip` (float32 or int16) as float32, played at `rate` samples a second."""
    clip = clip / np.float32(32768) if clip.dtype == np.int16 else clip
    return clip if rate == SAMPLE_RATE else soxr.resample(clip, rate, SAMPLE_RATE, quality="MQ").astype(np.float32)


class TrainingGroups(Dataset):
    """Groups of GROUP_BATCHES batches; each depends on the seed and its place in the training alone."""

    def __init__(
        self,
        humans: list[list[list[np.ndarray]]],
        synthetic: list[SyntheticVoice],
        steps: int,
        seed: int,
        front: Front = WAVEFORM,
        lesson_at: Callable[[float], Lesson] = lesson_at,
    ) -> None:
        self.humans = humans
        self.synthetic = synthetic
        self.steps = steps
        self.seed = seed
        self.front = front
        self.lesson_at = lesson_at

    def __len__(self) -> int:
        return -(-self.steps // GROUP_BATCHES)

    def __getitem__(self, group: int) -> list[Batch]:
        rng = np.random.default_rng([self.seed, 2, group])
        lesson = self.lesson_at(group * GROUP_BATCHES / self.steps)
        budget = GROUP_BATCHES * BATCH_SECONDS * SAMPLE_RATE
        examples = []
        while budget > 0:
            examples.append(self.example(lesson, rng))
            budget -= len(examples[-1][0])
        # Recordings of like length share a batch, so that padding hardly reaches the batch statistics.
        examples.sort(key=lambda example: len(example[0]))
        starts = np.cumsum([0] + [len(audio) for audio, _, _ in examples[:-1]])
        places = starts // (BATCH_SECONDS * SAMPLE_RATE)
        batches = [
            self.collate([example for example, place in zip(examples, places, strict=True) if place == wanted])
            for wanted in range(GROUP_BATCHES)
        ]
        return [batches[i] for i in rng.permutation(GROUP_BATCHES)]

    def example(self, lesson: Lesson, rng: np.random.Generator) -> tuple[np.ndarray, list[int], np.ndarray]:
        """One recording: audio, its tokens, and its frame labels."""
        clean = rng.random() < 0.25
        if rng.random() < 0.02:
            audio, digits, spans = np.zeros(rng.integers(8000, 48000), np.float32), [], []
        elif rng.random() < lesson.synthetic_share:
            voice = self.synthetic[rng.integers(len(self.synthetic))]
            if voice.strings and rng.random() < 0.3:
                audio, digits = voice.strings[rng.integers(len(voice.strings))]
                audio, spans = audio / np.float32(32768), None
            else:
                bank = [[clip] for clip in voice.digits]
                audio, digits, spans = self.string(bank, SAMPLE_RATE, (0.92, 1.08), lesson, clean, rng)
        else:
            bank = self.humans[rng.integers(len(self.humans))]
            audio, digits, spans = self.string(bank, 8000, (0.82, 1.22), lesson, clean, rng)

        before, after = (rng.uniform(0, 0.4, 2) * SAMPLE_RATE * (rng.random(2) < 0.5)).astype(int)
        if lesson.single_share and len(digits) == 1 and rng.random() < 0.5:
            before = after = 0
        # Every token needs a frame of its own, and the masks of the training need a few to lie in.
        words = [WORDS[digit] for digit in digits]
        shortest = self.front.field + FRAME_SAMPLES * (sum(len(word) + 2 for word in words) + 1)
        after += max(0, shortest - before - len(audio) - after)
        audio = np.pad(audio, (before, after))
        if not clean:
            level = np.sqrt(np.mean(audio**2)) if digits else 1e-2
            audio = degrade(audio, level, not digits, rng)
        if self.front.level_db:
            audio = audio * np.float32(10 ** (rng.normal(0, self.front.level_db) / 20))

        tokens = [token for word in words for token in [WORD_END, *TOKENS[word]]][1:]
        if spans is None:
            labels = np.full(frame_count(len(audio), self.front.field), UNKNOWN, np.int64)
        else:
            spans = [(start + before, end + before) for start, end in spans]
            labels = frame_labels(len(audio), self.front.field, spans, words)
        return audio, tokens, labels

    def string(
        self,
        bank: list[list[np.ndarray]],
        rate: int,
        speeds: tuple[float, float],
        lesson: Lesson,
        clean: bool,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, list[int], list[tuple[int, int]]]:
        """Clips of `bank` [digit][i], at one speed: audio, digits, and the samples each digit spans."""
        single = lesson.single_share and rng.random() < lesson.single_share
        digits = rng.integers(10, size=1 if single else rng.integers(1, lesson.max_digits + 1)).tolist()
        speed = 1.0 if rng.random() < 0.3 else rng.uniform(*speeds)
        clips = []
        for digit in digits:
            clip = at_speed(bank[digit][rng.integers(len(bank[digit]))], rate * speed)
            if not clean and rng.random() < 0.5:
                level = np.sqrt(np.mean(clip**2)) + 1e-6
                clip = clip * np.float32(0.05 / level * 10 ** (rng.normal(0, 3) / 20))
            clips.append(clip)
        gaps = (rng.uniform(*GAP_SECONDS, size=len(digits) - 1) * SAMPLE_RATE).astype(int).tolist()
        spans, start = [], 0
        for clip, gap in zip(clips, [*gaps, 0], strict=True):
            spans.append((start, start + len(clip)))
            start = max(0, start + len(clip) + gap)
        return join_clips(clips, gaps), digits, spans

    def collate(self, examples: list[tuple[np.ndarray, list[int], np.ndarray]]) -> Batch:
        """Pad `examples` (audio, tokens, frame labels) to the longest."""
        prepared = [self.front.prepare(audio) for audio, _, _ in examples]
        lengths = [len(values) for values in prepared]
        inputs = torch.zeros(len(examples), max(lengths), *prepared[0].shape[1:])
        frames = torch.full((len(examples), max(len(labels) for _, _, labels in examples)), UNKNOWN)
        for row, (values, (_, _, labels)) in enumerate(zip(prepared, examples, strict=True)):
            inputs[row, : len(values)] = torch.from_numpy(values)
            frames[row, : len(labels)] = torch.from_numpy(labels)
        tokens = [tokens for _, tokens, _ in examples]
        return Batch(
            inputs=inputs,
            lengths=torch.tensor(lengths),
            labels=torch.tensor([token for row in tokens for token in row], dtype=torch.long),
            label_lengths=torch.tensor([len(row) for row in tokens]),
            frame_labels=frames,
        )
