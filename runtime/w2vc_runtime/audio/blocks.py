"""Recordings to mono samples at the model's rate, block by block: memory does not grow with the recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.errors import AudioError, MissingExtraError, NotAudioError

from .quiet import silent_c_library
from .reader import AudioSource, Bounds, Samples, floats, mono, name_of, open_source

BlockSource = Union[AudioSource, "tuple[Iterable[NDArray[Any]], float]"]
"""An `AudioSource`, or ``(blocks, sample_rate)`` with an iterator over arrays [time] or [time, channels]."""

# Frames of a recording that are decoded at a time.
BLOCK = 1 << 16


def read_blocks(source: BlockSource, sampling_rate: int) -> Iterator[Samples]:
    """Decode, mix to mono and resample, as `read_audio` does, without the whole ever being there.

    sampling_rate: wanted rate in Hz. Yields float32 [time] of any lengths. Raises `AudioError` as `read_audio`, where
    it comes to what is wrong; a file that breaks off ends the blocks.
    """
    name = name_of(source)
    if isinstance(source, tuple) and len(source) == 2:
        blocks, rate = _from_arrays(source[0], source[1], Bounds(name, sampling_rate, lambda samples: None))
    else:
        blocks, rate = _from_file(source, Bounds(name, sampling_rate, lambda samples: None))
    mixed = (mono(block, name) for block in blocks if block.size)
    return mixed if rate == sampling_rate else _resampled(mixed, rate, sampling_rate)


def seconds_of(source: AudioSource) -> float | None:
    """How long a file says it is; None where it does not. Nothing is decoded; raises `AudioError` as `read_audio`."""
    file = _opened(source, name_of(source))
    with file:
        return None if file.frames == np.iinfo(np.int64).max else file.frames / file.samplerate


def _from_arrays(samples: Any, rate: float, bounds: Bounds) -> tuple[Iterator[NDArray[np.float32]], int]:
    if not hasattr(samples, "__next__"):
        array = np.asarray(samples)
        samples = (array[start : start + BLOCK] for start in range(0, len(array), BLOCK))
    return (floats(np.asarray(block)) for block in samples), bounds.check_format(1, rate)


def _opened(source: Any, name: str) -> Any:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("reading audio files", "soundfile", "cpu") from error
    stream = open_source(source, name)
    with silent_c_library():
        try:
            return soundfile.SoundFile(stream)
        except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
            raise NotAudioError(f"{name} is not audio that can be read; expected wav, flac, ogg or mp3") from error


def _from_file(source: Any, bounds: Bounds) -> tuple[Iterator[NDArray[np.float32]], int]:
    file = _opened(source, bounds.name)
    rate = bounds.check_format(file.channels, file.samplerate)

    def blocks() -> Iterator[NDArray[np.float32]]:
        with file:
            while True:
                with silent_c_library():
                    try:
                        block = file.read(BLOCK, dtype="float32")
                    except (RuntimeError, TypeError) as error:  # soundfile's own is a RuntimeError
                        problem = f"{file.format} audio that cannot be decoded to its end"
                        raise AudioError(f"{bounds.name} is damaged: {problem}") from error
                if not len(block):
                    return
                yield block

    return blocks(), rate


def _resampled(blocks: Iterable[Samples], rate: int, wanted: int) -> Iterator[Samples]:
    try:
        import soxr
    except ImportError as error:
        raise MissingExtraError(f"resampling from {rate} Hz", "soxr", "cpu") from error
    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32")
    for block in blocks:
        yield np.asarray(stream.resample_chunk(block), dtype=np.float32)
    yield np.asarray(stream.resample_chunk(np.zeros(0, np.float32), last=True), dtype=np.float32)
