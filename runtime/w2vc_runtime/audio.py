"""Recordings to mono samples at the model's rate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO, Union

import numpy as np
from numpy.typing import NDArray

from .errors import AudioError, MissingExtraError

Samples = NDArray[np.float32]
AudioSource = Union[str, "os.PathLike[str]", bytes, BinaryIO, "tuple[NDArray[Any], int]"]
"""A path, the bytes of a file, a file object, or ``(samples, sample_rate)``."""


def read_audio(source: AudioSource, sampling_rate: int, shortest: int = 1) -> Samples:
    """Decode, mix to mono and resample.

    source: a path, bytes or file object in a format that libsndfile reads (wav, flac, ogg, mp3 ...), or
    ``(samples, sample_rate)`` with samples [time] or [time, channels], floating point in -1..1 or integers.
    sampling_rate: wanted rate in Hz. shortest: the fewest samples at that rate that there is an answer for.
    Returns float32 [time]. Raises `AudioError` when there is no sound in it that could be recognised.
    """
    name = name_of(source)
    samples, rate = _from_array(*source) if isinstance(source, tuple) else _decode(source, name)
    if samples.size == 0:
        raise AudioError(f"{name} is empty: it holds no samples")
    if samples.ndim == 2:
        samples = samples.mean(axis=1, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds NaN or infinite samples; expected finite ones")
    if rate != sampling_rate:
        samples = _resample(samples, rate, sampling_rate)
    if len(samples) < shortest:
        milliseconds = 1000 * shortest / sampling_rate
        raise AudioError(f"{name} is too short: {len(samples)} samples; at least {milliseconds:g} ms are needed")
    return samples


def name_of(source: AudioSource) -> str:
    """What to call a recording in a message: its path, if it has one."""
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else "audio"


def _from_array(samples: NDArray[Any], rate: int) -> tuple[Samples, int]:
    array = np.asarray(samples)
    if array.ndim not in (1, 2):
        raise AudioError(f"samples must be [time] or [time, channels], got {array.ndim} dimensions")
    if not isinstance(rate, (int, np.integer)) or rate < 1:
        raise AudioError(f"the sample rate must be a positive number of Hz, got {rate!r}")
    if np.issubdtype(array.dtype, np.signedinteger):
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32), int(rate)
    if not np.issubdtype(array.dtype, np.floating):
        raise AudioError(f"samples must be floating point or signed integers, got {array.dtype}")
    return array.astype(np.float32), int(rate)


def _decode(source: Any, name: str) -> tuple[Samples, int]:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("reading audio files", "soundfile", "cpu") from error
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.exists():
            raise AudioError(f"{name} does not exist")
        if path.is_dir():
            raise AudioError(f"{name} is a directory; expected an audio file")
        if path.stat().st_size == 0:
            raise AudioError(f"{name} is empty: it holds no bytes")
    elif isinstance(source, bytes):
        import io

        source = io.BytesIO(source)
    try:
        samples, rate = soundfile.read(source, dtype="float32")
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise AudioError(f"{name} is not audio that can be read; expected wav, flac, ogg or mp3") from error
    return samples, rate


def _resample(samples: Samples, rate: int, wanted: int) -> Samples:
    try:
        import soxr
    except ImportError as error:
        raise MissingExtraError(f"resampling from {rate} Hz", "soxr", "cpu") from error
    return np.asarray(soxr.resample(samples, rate, wanted), dtype=np.float32)
