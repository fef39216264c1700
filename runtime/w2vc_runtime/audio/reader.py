"""Recordings to mono samples at the model's rate."""

from __future__ import annotations

import io
import os
import stat
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Union

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.errors import AudioError, MissingExtraError, NotAudioError, TooLongError
from w2vc_runtime.system.memory import bytes_shown, duration_shown, shortage

from .quiet import silent_c_library

Samples = NDArray[np.float32]
AudioSource = Union[
    str, "os.PathLike[str]", bytes, bytearray, memoryview, BinaryIO, "tuple[NDArray[Any] | Sequence[float], float]"
]
"""A path (``-``: standard input), the bytes of a file, a file object, or ``(samples, sample_rate)``."""

STANDARD_INPUT = "-"
# What is read whole before it is decoded, from pipes and file objects: eight hours of 16-bit samples at 16 kHz.
MOST_BYTES = 1 << 30
# Below, there is no speech left; above, no converter.
RATES = (1000, 1_000_000)
MOST_CHANNELS = 64
# Floats that hold integers of 32 bits are that large. What is larger is no sound, and its squares leave float32.
LOUDEST = 2.0**31
# What a decoder may lack of what a file claims: headers of mp3 are estimates.
WHOLE = 0.95
NAME_CHARACTERS = 200


def read_audio(
    source: AudioSource,
    sampling_rate: int,
    shortest: int = 1,
    too_long: Callable[[int], str | None] = lambda samples: None,
) -> Samples:
    """Decode, mix to mono and resample.

    source: a path, bytes or file object in a format that libsndfile reads (wav, flac, ogg, mp3 ...), or
    ``(samples, sample_rate)`` with samples [time] or [time, channels], floating point in -1..1 or integers. What has
    more columns than sound has channels is taken as [channels, time].
    sampling_rate: wanted rate in Hz. shortest: the fewest samples at that rate that there is an answer for. too_long:
    says why so many samples at that rate have none, before they are decoded; None where they have.
    Returns float32 [time]. Raises `AudioError` when there is no sound in it that could be recognised. A recording that
    breaks off before its end gives what could be read, and a warning.
    """
    name = name_of(source)
    bounds = Bounds(name, sampling_rate, too_long)
    try:
        if isinstance(source, tuple):
            samples, rate = _from_array(source, bounds)
        else:
            samples, rate = _decode(source, bounds)
        if samples.size == 0:
            raise AudioError(f"{name} is empty: it holds no samples")
        samples = mono(samples, name)
        if rate != sampling_rate:
            samples = _resample(samples, rate, sampling_rate)
    except MemoryError as error:
        raise AudioError(f"{name} needs more memory than there is; cut it into shorter recordings") from error
    expect_length(len(samples), shortest, sampling_rate, name)
    return samples


def mono(samples: NDArray[np.float32], name: str) -> Samples:
    """Samples [time] or [time, channels], at least one, as [time]; raise `AudioError` on what is no sound."""
    low, high = float(samples.min()), float(samples.max())
    if not np.isfinite([low, high]).all():
        raise AudioError(f"{name} holds NaN or infinite samples; expected finite ones")
    if max(-low, high) > LOUDEST:
        raise AudioError(f"{name} holds samples of up to {max(-low, high):.0e}; expected -1 to 1")
    return samples.mean(axis=1, dtype=np.float32) if samples.ndim == 2 else samples


def expect_length(samples: int, shortest: int, sampling_rate: int, name: str) -> None:
    """Raise `AudioError` on a recording that has fewer samples than there is an answer for."""
    if samples < shortest:
        milliseconds = 1000 * shortest / sampling_rate
        raise AudioError(f"{name} is too short: {samples} samples; at least {milliseconds:g} ms are needed")


def name_of(source: object) -> str:
    """What to call a recording in a message: its path, if it has one, cut where that is long."""
    if not isinstance(source, (str, os.PathLike)):
        return "audio"
    name = os.fsdecode(source)
    if name == STANDARD_INPUT:
        return "standard input"
    return name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS // 2]}...{name[-NAME_CHARACTERS // 2 :]}"


class Bounds:
    """What is checked before a recording is decoded."""

    def __init__(self, name: str, sampling_rate: int, too_long: Callable[[int], str | None]) -> None:
        self.name = name
        self._sampling_rate = sampling_rate
        self._too_long = too_long

    def check(self, frames: int, channels: int, rate: float, source: Any = None) -> int:
        """Its rate in Hz; raise `AudioError` on what is no sound, or more than can be answered or decoded here.

        source: what it is read from.
        """
        whole = self.check_format(channels, rate)
        samples = int(frames * self._sampling_rate / rate)
        decoded = 4 * (frames * (channels + 1) + samples)  # and mixed, and resampled
        problem = self._too_long(samples) or shortage(f"{frames} samples in {channels} channels", decoded)
        if problem is not None:
            raise TooLongError(f"{self.name} is too long: {problem}; cut it into shorter recordings", _again(source))
        return whole

    def check_format(self, channels: int, rate: float) -> int:
        """The rate in Hz; raise `AudioError` on what is no sound."""
        low, high = RATES
        if not low <= rate <= high:
            shown = f"{rate:g}" if rate <= high else "too many"
            raise AudioError(f"{self.name} has a sample rate of {shown} Hz; expected {low} to {high}")
        if rate != int(rate):
            raise AudioError(f"{self.name} has a sample rate of {rate:g} Hz; expected a whole number")
        if channels > MOST_CHANNELS:
            raise AudioError(f"{self.name} has {channels} channels; expected 1 to {MOST_CHANNELS}")
        return int(rate)


def _from_array(source: tuple[Any, ...], bounds: Bounds) -> tuple[Samples, int]:
    if len(source) != 2:
        raise AudioError(f"expected (samples, sample_rate), got a tuple of {len(source)}")
    samples, rate = source
    try:
        array = np.asarray(samples)
    except (ValueError, TypeError) as error:  # lists of several lengths
        raise AudioError("samples must be an array [time] or [time, channels]") from error
    if isinstance(rate, np.ndarray) and rate.ndim == 0:
        rate = rate.item()
    if isinstance(rate, int) and rate > RATES[1]:
        rate = np.inf  # integers may be too large for a float, or to print
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.integer, np.floating)) or not rate > 0:
        raise AudioError(f"the sample rate must be a positive number of Hz, got {_shown(rate)}")
    if array.ndim not in (1, 2):
        raise AudioError(f"samples must be [time] or [time, channels], got {array.ndim} dimensions")
    if array.ndim == 2 and array.shape[0] <= MOST_CHANNELS < array.shape[1]:
        array = array.T
    bounds.check(len(array), array.shape[1] if array.ndim == 2 else 1, float(rate), source)
    return floats(array), int(rate)


def floats(array: NDArray[Any]) -> NDArray[np.float32]:
    """Samples as float32 in -1..1; raise `AudioError` on other numbers than floating point and signed integers."""
    if np.issubdtype(array.dtype, np.signedinteger):
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise AudioError(f"samples must be floating point or signed integers, got {array.dtype}")
    with np.errstate(over="ignore"):  # infinite then, which is refused
        return array.astype(np.float32)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"a {type(value).__name__}"


def _decode(source: Any, bounds: Bounds) -> tuple[Samples, int]:
    name = bounds.name
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("reading audio files", "soundfile", "cpu") from error
    stream = open_source(source, name)
    broken = (soundfile.SoundFileError, RuntimeError, TypeError)
    with silent_c_library():  # libmpg123 writes notes to standard error, hundreds on one bad mp3
        try:
            file = soundfile.SoundFile(stream)
        except broken as error:
            raise NotAudioError(f"{name} is not audio that can be read; expected wav, flac, ogg or mp3") from error
        with file:
            if file.frames == np.iinfo(np.int64).max:
                raise AudioError(f"{name} does not say how long it is; expected a file with a complete header")
            rate = bounds.check(file.frames, file.channels, file.samplerate, stream)
            try:
                samples = file.read(dtype="float32")
            except broken as error:
                raise AudioError(f"{name} is damaged: {file.format} audio that cannot be decoded to its end") from error
            if len(samples) < WHOLE * file.frames:
                read, claimed = duration_shown(len(samples) / rate), duration_shown(file.frames / rate)
                warnings.warn(f"{name} is damaged: {read} of {claimed} could be read", stacklevel=4)
    return samples, rate


def open_source(source: Any, name: str) -> Any:
    """What libsndfile reads: the path of a plain file as bytes, or the content of anything else."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(source, name)
    if isinstance(source, (np.ndarray, list)):
        raise AudioError("samples alone have no sample rate; pass (samples, sample_rate)")
    if not hasattr(source, "read"):
        expected = "a path, bytes, a file object or (samples, sample_rate)"
        raise AudioError(f"audio must be {expected}, got {_shown(source)}")
    try:
        return _content(source, name)
    except AudioError:
        raise
    except (OSError, ValueError) as error:  # closed, not open for reading
        raise AudioError(f"the file object cannot be read: {_reason(error)}") from error


def _again(stream: Any) -> Any:
    """What was opened, to be read once more."""
    if isinstance(stream, io.BytesIO):
        return stream.getbuffer()
    return os.fsdecode(stream) if isinstance(stream, bytes) else stream


def _open_path(path: str | os.PathLike[str], name: str) -> Any:
    try:
        if os.fspath(path) == STANDARD_INPUT:
            if sys.stdin is None or sys.stdin.isatty():
                raise AudioError("standard input is a terminal; expected audio in a pipe or from a file")
            return _content(sys.stdin.buffer, name)
        encoded = os.fsencode(path)  # whatever bytes the name is made of
        status = os.stat(encoded)
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{name} is a directory; expected an audio file")
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
            with open(encoded, "rb", buffering=0) as stream:
                return _content(stream, name)
        if status.st_size == 0:
            raise AudioError(f"{name} is empty: it holds no bytes")
        os.close(os.open(encoded, os.O_RDONLY))  # libsndfile does not say why it cannot
        return encoded
    except AudioError:
        raise
    except FileNotFoundError as error:
        raise AudioError(f"{name} does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a name that holds a NUL
        raise AudioError(f"{name} cannot be read: {_reason(error)}") from error


def _content(stream: Any, name: str) -> io.BytesIO:
    content = bytearray()
    while chunk := stream.read(1 << 20):
        if not isinstance(chunk, (bytes, bytearray)):
            raise AudioError(f"{name} gives text; open it for reading bytes (mode 'rb')")
        content += chunk
        if len(content) > MOST_BYTES:
            raise AudioError(
                f"{name} gives more than {bytes_shown(MOST_BYTES)}, which is what is read of pipes and file objects; "
                "pass the path of a file"
            )
    if not content:
        raise AudioError(f"{name} is empty: it holds no bytes")
    return io.BytesIO(content)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _resample(samples: Samples, rate: int, wanted: int) -> Samples:
    try:
        import soxr
    except ImportError as error:
        raise MissingExtraError(f"resampling from {rate} Hz", "soxr", "cpu") from error
    return np.asarray(soxr.resample(samples, rate, wanted), dtype=np.float32)
