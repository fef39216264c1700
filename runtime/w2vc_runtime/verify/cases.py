"""The audio that graphs are judged on: noise shaped like speech, the same wherever it is made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Interface
from w2vc_runtime.bundle.interface import Arrays

Array = NDArray[np.float32]

NOISE = "noise shaped like speech, seed 0"
# Seconds of each clip of each batch; most graphs are traced at one second. 0 stands for the shortest clip there is, and
# what is shorter than it becomes as long.
CASES: dict[str, tuple[float, ...]] = {
    "one frame": (0,),
    "0.1 s": (0.1,),
    "0.5 s": (0.5,),
    "1 s, as traced": (1.0,),
    "3.1 s": (3.1,),
    "12 s": (12.0,),
    "3 clips of 2 s": (2.0, 2.0, 2.0),
    "padded 0.7, 2.3, 1.2 s": (0.7, 2.3, 1.2),
    "padded 4 s, one frame": (4.0, 0),
    "padded 0.6 s quiet, 0.9 s past full scale": (0.6, 0.9),
    "padded 0.4 s silent, 0.7 s with a click, 0.5 s loud": (0.4, 0.7, 0.5),
}
# Largest sample. Past full scale: what was recorded as integers, or amplified, and not scaled to 1.
GAINS = {"silent": 0.0, "faint": 1e-4, "quiet": 1e-3, "loud": 1.0, "past full scale": 1e3}
GAIN_SECONDS = 1.3
# Level of each clip of a batch whose clips are not alike: one of `GAINS`, or CLICK.
CLICK = "click"
LEVELS = {
    "padded 0.6 s quiet, 0.9 s past full scale": ("quiet", "past full scale"),
    "padded 0.4 s silent, 0.7 s with a click, 0.5 s loud": ("silent", CLICK, "loud"),
}
SPEECH_LEVEL = 0.1
# Samples are rounded as 16-bit audio is: then a sine that another machine computes with another last bit is the same.
STEP = 2.0**-15


@dataclass(frozen=True)
class Case:
    """One batch. clips: float32 [samples] each. inputs: what the graph takes of them.

    alone: what it takes of each clip by itself; empty where a clip depends on its batch, or has none.
    """

    name: str
    clips: tuple[Array, ...]
    inputs: Arrays
    alone: tuple[Arrays, ...] = ()


def cases(interface: Interface) -> list[Case]:
    """`CASES` and `GAINS` for a model."""
    batches = _batches(interface.sampling_rate, interface.shortest)
    return [make(interface, name, clips, masked=name in CASES) for name, clips in batches]


def make(interface: Interface, name: str, clips: Sequence[Array], masked: bool = True) -> Case:
    """A case of some clips. masked: for head ``pretraining``, whether there are frames to guess."""
    several = interface.invariant and len(clips) > 1
    alone = tuple(feed(interface, [clip], masked) for clip in clips) if several else ()
    return Case(name, tuple(clips), feed(interface, clips, masked), alone)


def feed(interface: Interface, clips: Sequence[Array], masked: bool = True) -> Arrays:
    """What a graph takes of clips; for head ``pretraining`` every third frame of each is to be guessed, or none."""
    if not (interface.takes_time_masks and masked):
        return interface.feed(clips)
    return interface.feed(clips, [np.arange(interface.frames_of(clip)) % 3 == 0 for clip in clips])


def digest(clips: Iterable[Array]) -> bytes:
    """sha256 over the clips of all cases: another numpy could draw other numbers from the same seed."""
    total = hashlib.sha256()
    for clip in clips:
        total.update(clip.astype("<f4").tobytes())
    return total.digest()


def _batches(rate: int, shortest: int) -> Iterator[tuple[str, tuple[Array, ...]]]:
    generator = np.random.default_rng(0)
    for name, seconds in CASES.items():
        clips = [noise(max(shortest, round(s * rate)), rate, generator) for s in seconds]
        if name in LEVELS:
            clips = [_at(clip, level) for clip, level in zip(clips, LEVELS[name])]
        yield name, tuple(clips)
    for name in GAINS:
        yield name, (_at(noise(max(shortest, round(GAIN_SECONDS * rate)), rate, generator), name),)


def _at(clip: Array, level: str) -> Array:
    """A clip with that largest sample, or as it is but for one sample of full scale in the middle."""
    if level == CLICK:
        clip[len(clip) // 2] = 1
        return clip
    return (clip / np.abs(clip).max() * GAINS[level]).astype(np.float32)


def noise(samples: int, rate: int, generator: np.random.Generator) -> Array:
    """Noise with the slow rise and fall of speech, so that frames differ from each other."""
    time = np.arange(samples) / rate
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * (3.1 * time + generator.random()))
    wave = SPEECH_LEVEL * envelope * generator.standard_normal(samples)
    return (np.round(wave / STEP) * STEP).astype(np.float32)
