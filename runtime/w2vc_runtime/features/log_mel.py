"""Log-mel features in numpy, as Kaldi and Hugging Face's Wav2Vec2-BERT front end compute them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from w2vc_runtime.audio.reader import Samples
from w2vc_runtime.documents.typed import Range

from .limits import Epsilon, Filling, Rate

# Frames computed together: their float64 buffers stay in the cache, and memory does not grow with the recording.
BLOCK = 64
# Frames in one matrix product, few enough for one thread: threads that wait for each other after every block are many
# times slower where something else wants the cores.
PRODUCT = 8


@dataclass(frozen=True)
class LogMel:
    """Log energies of triangular mel filters, normalised over the clip (HF ``SeamlessM4TFeatureExtractor``).

    In order, each frame of ``frame_length`` samples, one every ``hop_length``, of the clip times ``scale``: subtract
    its mean; pre-emphasis ``y[i] = x[i] - preemphasis * x[i - 1]``, ``y[0] = (1 - preemphasis) * x[0]``; times the
    symmetric window ``hann ** window_power`` (Kaldi's povey); power spectrum by an FFT of ``fft_length``, the frame
    first, then zeros; filters that are triangles on the scale ``mel_factor * log(1 + hertz / mel_break)``, equally
    spaced from ``min_frequency`` to ``max_frequency`` (Hz); natural logarithm, of ``mel_floor`` at least. Each filter
    is then normalised over the frames of its clip, ``(x - mean) / sqrt(var + eps)`` with ``n - ddof`` in the variance.
    Clips are padded with ``padding_value`` to the longest, then to a multiple of ``pad_to_multiple_of`` frames;
    ``stride`` frames in a row become one time step, which is valid if its second frame is.
    """

    kind: ClassVar[str] = "log-mel"
    input: ClassVar[str] = "input_features"
    extractor: ClassVar[str] = "SeamlessM4TFeatureExtractor"

    sampling_rate: Rate = 16000
    num_mel_bins: Annotated[int, Range(1, 1024)] = 80
    stride: Annotated[int, Range(2, 2)] = 2
    padding_value: Filling = 0.0
    return_attention_mask: bool = True
    scale: Annotated[float, Range(1e-6, 1e6)] = 32768.0
    frame_length: Annotated[int, Range(2, 16384)] = 400
    hop_length: Annotated[int, Range(1, 16384)] = 160
    fft_length: Annotated[int, Range(2, 16384)] = 512
    preemphasis: Annotated[float, Range(0, 1)] = 0.97
    window_power: Annotated[float, Range(0, 100)] = 0.85
    min_frequency: Annotated[float, Range(0, 96_000)] = 20.0
    max_frequency: Annotated[float, Range(0, 96_000)] = 8000.0
    mel_factor: Annotated[float, Range(1e-6, 1e6)] = 1127.0
    mel_break: Annotated[float, Range(1e-6, 1e6)] = 700.0
    mel_floor: Annotated[float, Range(1e-30, 1)] = 1.192092955078125e-07
    eps: Epsilon = 1e-7
    ddof: Annotated[int, Range(0, 1)] = 1
    pad_to_multiple_of: Annotated[int, Range(1, 16384)] = 2

    @classmethod
    def from_preprocessor(cls, values: dict[str, Any]) -> LogMel:
        """The recipe of a parsed ``preprocessor_config.json``; raise `ValueError` on one that cannot be followed."""
        rate = _count(values, "sampling_rate", 16000, 1, "a positive number of Hz")
        bins = _count(values, "num_mel_bins", 80, 1, "a positive number")
        padding_value = values.get("padding_value", 0.0)
        if isinstance(padding_value, bool) or not isinstance(padding_value, (int, float)):
            raise ValueError(f"padding_value {padding_value!r} is not supported; supported: a number")
        # Hugging Face's mask follows the second frame of each step: with 1 it is empty, and past 2 the number of steps
        # of a clip depends on what else is in its batch.
        for name, only in (("padding_side", "right"), ("stride", 2)):
            value = values.get(name, only)
            if value != only or isinstance(value, bool):
                raise ValueError(f"{name} {value!r} is not supported; supported: {only!r}")
        _count(values, "feature_size", 80, 2, "2 or more")  # of no effect but that with 1 the mel axis is padded too
        mask = values.get("return_attention_mask", True)
        if not isinstance(mask, bool):
            raise ValueError(f"return_attention_mask {mask!r} is not supported; supported: true, false")
        return cls(
            sampling_rate=rate,
            num_mel_bins=bins,
            padding_value=float(padding_value),
            return_attention_mask=mask,
            max_frequency=float(rate // 2),
        )

    @property
    def shape(self) -> tuple[str | int, ...]:
        """Shape of ``input_features``."""
        return ("batch", "frames", self.num_mel_bins * self.stride)

    @property
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        """(kernel, stride) pairs by which samples become valid time steps, outermost first."""
        return ((self.frame_length, self.hop_length), (2, self.stride))

    def __call__(self, clips: Sequence[Samples], padding: str) -> dict[str, NDArray]:
        """Features of clips, float32 [samples] each, of any lengths. padding: the bundle's padding contract.

        Returns ``input_features`` float32 [batch, frames, num_mel_bins * stride] and ``attention_mask`` int64
        [batch, frames]. A clip that is one mel frame long has no variance: its features are 0 (in Hugging Face: NaN).
        """
        frames = [max(0, (len(clip) - self.frame_length) // self.hop_length + 1) for clip in clips]
        longest = -(-max(frames) // self.pad_to_multiple_of) * self.pad_to_multiple_of
        steps = longest // self.stride
        values = np.full((len(clips), longest, self.num_mel_bins), self.padding_value, dtype=np.float32)
        mask = np.zeros((len(clips), longest), dtype=np.int64)
        for row, (clip, count) in enumerate(zip(clips, frames)):
            if count:
                values[row, :count] = self._normalize(self._log_energies(clip, count)).T
                mask[row, :count] = 1
        if padding == "hf-exact" and not self.return_attention_mask:
            mask[:] = 1
        whole = steps * self.stride
        return {
            "input_features": values[:, :whole].reshape(len(clips), steps, -1),
            "attention_mask": np.ascontiguousarray(mask[:, 1 : whole : self.stride]),
        }

    def _log_energies(self, clip: Samples, count: int) -> NDArray[np.float32]:
        """Log energies float32 [mel, frames]. float64 inside: in float32 a loud tone drowns the quiet filters."""
        energies = np.empty((self.num_mel_bins, count), dtype=np.float32)
        views = sliding_window_view(clip, self.frame_length)[:: self.hop_length]
        buffer = np.zeros((BLOCK, self.fft_length))
        for start in range(0, count, BLOCK):
            block = views[start : start + BLOCK]
            samples = np.multiply(block, self.scale, dtype=np.float64)
            samples -= samples.mean(axis=1, keepdims=True)
            emphasised = buffer[: len(block), : self.frame_length]
            np.multiply(samples[:, :-1], -self.preemphasis, out=emphasised[:, 1:])
            emphasised[:, 1:] += samples[:, 1:]
            np.multiply(samples[:, 0], 1 - self.preemphasis, out=emphasised[:, 0])
            emphasised *= self._window
            # Rounded to complex64, as Hugging Face's are: where nothing but rounding errors is left to normalise, as
            # in a steady tone, they are the same.
            products = -(-len(block) // PRODUCT)
            spectrum = np.fft.rfft(buffer[: products * PRODUCT]).astype(np.complex64)
            power = np.square(spectrum.view(np.float32), dtype=np.float64)
            power = (power[:, ::2] + power[:, 1::2]).reshape(products, PRODUCT, -1)
            mel = (power @ self._filters.T).reshape(-1, self.num_mel_bins)[: len(block)]
            energies[:, start : start + len(block)] = np.log(np.maximum(mel, self.mel_floor, out=mel), out=mel).T
        return energies

    def _normalize(self, energies: NDArray[np.float32]) -> NDArray[np.float32]:
        """Zero mean and unit variance of each filter [mel, frames], summed in float32 as Hugging Face does."""
        centred = energies - energies.mean(axis=1, keepdims=True)
        if energies.shape[1] <= self.ddof:
            return centred
        return centred / np.sqrt(energies.var(axis=1, ddof=self.ddof, keepdims=True) + np.float32(self.eps))

    @cached_property
    def _window(self) -> NDArray[np.float64]:
        return np.hanning(self.frame_length) ** self.window_power

    @cached_property
    def _filters(self) -> NDArray[np.float64]:
        """Filters [mel, frequency]."""
        hertz = np.arange(self.fft_length // 2 + 1, dtype=np.float64) * (self.sampling_rate / self.fft_length)
        bins = self._mel(hertz)
        low, high = self._mel(np.array([self.min_frequency, self.max_frequency]))
        corners = np.linspace(low, high, self.num_mel_bins + 2)
        left, centre, right = (corners[i : len(corners) - 2 + i, None] for i in range(3))
        return np.maximum(0.0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))

    def _mel(self, hertz: NDArray[np.floating]) -> NDArray[np.floating]:
        return self.mel_factor * np.log(1.0 + hertz / self.mel_break)


def _count(values: dict[str, Any], name: str, default: int, least: int, wanted: str) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} {value!r} is not supported; supported: {wanted}")
    return value
