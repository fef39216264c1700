"""Digits spoken by espeak-ng: many synthetic voices for training, and whole sentences for demonstrations."""

import io
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from strings import MAX_DIGITS, SAMPLE_RATE, WORDS

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")

VARIANTS = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky",
    "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "RicishayMax", "RicishayMax2", "RicishayMax3", "Storm",
    "adam", "anika", "announcer", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed",
    "edward", "edward2", "f1", "f2", "f4", "f5", "gustave", "iven", "iven2", "iven3", "john", "kaukovalta",
    "linda", "m1", "m2", "m3", "m5", "m6", "m8", "marcelo", "miguel", "norbert", "pablo", "paul", "pedro",
    "quincy", "rob", "robert", "steph", "steph2", "victor", "zac",
)  # fmt: skip
"""Voices to train on."""

UNHEARD_VARIANTS = ("f3", "m4", "m7", "max", "michel", "sandro", "shelby", "steph3", "travis")
"""Voices kept from the training, to score the model on."""


class MissingProgramError(Exception):
    """espeak-ng is not installed."""


@dataclass
class SyntheticVoice:
    """What one espeak-ng voice says, as int16 arrays (samples,) at 16 kHz without silence at the ends."""

    digits: list[np.ndarray]
    strings: list[tuple[np.ndarray, list[int]]]


def require_espeak() -> None:
    """Raise MissingProgramError unless espeak-ng can be run."""
    if shutil.which("espeak-ng") is None:
        raise MissingProgramError("espeak-ng is not installed (on Debian and Ubuntu: apt-get install espeak-ng)")


def speak(text: str, voice: str, pitch: int = 50, words_a_minute: int = 160) -> np.ndarray:
    """`text` spoken by espeak-ng: float32 (samples,) at 16 kHz."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(words_a_minute), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    audio, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    return soxr.resample(audio, rate, SAMPLE_RATE).astype(np.float32)


def trim(audio: np.ndarray, threshold_db: float = -40.0) -> np.ndarray:
    """`audio` without the ends that stay `threshold_db` below its peak."""
    loud = np.flatnonzero(np.abs(audio) > np.abs(audio).max() * 10 ** (threshold_db / 20))
    return audio[loud[0] : loud[-1] + 1] if len(loud) else audio


def synthetic_voices(count: int, strings_each: int, seed: int) -> list[SyntheticVoice]:
    """`count` random voices, each saying every digit once and `strings_each` whole strings of digits."""
    rng = np.random.default_rng([seed, 1])
    plans = []
    for _ in range(count):
        voice = f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}"
        strings = []
        for _ in range(strings_each):
            strings.append(rng.integers(10, size=rng.integers(2, MAX_DIGITS + 1)).tolist())
        plans.append((voice, int(rng.integers(20, 81)), int(rng.integers(110, 211)), strings))

    def render(plan: tuple[str, int, int, list[list[int]]]) -> SyntheticVoice:
        voice, pitch, speed, strings = plan

        def say(text: str) -> np.ndarray:
            audio = trim(speak(text, voice, pitch, speed))
            return (audio / max(np.abs(audio).max(), 1e-4) * 16000).astype(np.int16)

        spoken = [(say(" ".join(WORDS[digit] for digit in string)), string) for string in strings]
        return SyntheticVoice([say(word) for word in WORDS], spoken)

    with ThreadPoolExecutor() as workers:
        return list(workers.map(render, plans))


def unheard_strings(count: int = 100, seed: int = 0, max_digits: int = MAX_DIGITS) -> Iterator[tuple[np.ndarray, str]]:
    """`count` strings of 1 to `max_digits` digits spoken at a stretch by voices kept from training."""
    rng = np.random.default_rng([seed, 3])
    for _ in range(count):
        words = " ".join(WORDS[digit] for digit in rng.integers(10, size=rng.integers(1, max_digits + 1)))
        voice = f"{rng.choice(ACCENTS)}+{rng.choice(UNHEARD_VARIANTS)}"
        yield speak(words, voice, int(rng.integers(30, 71)), int(rng.integers(110, 181))), words
