"""The waveform itself, normalised (HF ``Wav2Vec2FeatureExtractor``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.audio.reader import Samples

from .limits import Epsilon, Filling, Rate


@dataclass(frozen=True)
class Waveform:
    """Clips with zero mean and unit variance, padded to the longest (HF ``Wav2Vec2FeatureExtractor``).

    sampling_rate: Hz. do_normalize: ``(x - mean) / sqrt(var + eps)`` over the clip. return_attention_mask: false where
    the checkpoint expects padding to be read as silence.
    """

    kind: ClassVar[str] = "waveform"
    input: ClassVar[str] = "input_values"
    extractor: ClassVar[str] = "Wav2Vec2FeatureExtractor"
    shape: ClassVar[tuple[str | int, ...]] = ("batch", "samples")
    convolutions: ClassVar[tuple[tuple[int, int], ...]] = ()

    sampling_rate: Rate
    do_normalize: bool
    return_attention_mask: bool
    padding_value: Filling = 0.0
    eps: Epsilon = 1e-7

    @classmethod
    def from_preprocessor(cls, values: dict[str, Any]) -> Waveform:
        """Read a parsed ``preprocessor_config.json``; raise ``ValueError`` on what is not supported."""
        for name, only in (("feature_size", 1), ("padding_side", "right")):
            if values.get(name, only) != only:
                raise ValueError(f"{name} {values[name]!r} is not supported; supported: {only!r}")
        rate = values.get("sampling_rate", 16000)
        if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
            raise ValueError(f"sampling_rate must be a positive number of Hz, got {rate!r}")
        return cls(
            sampling_rate=rate,
            do_normalize=bool(values.get("do_normalize", True)),
            return_attention_mask=bool(values.get("return_attention_mask", False)),
            padding_value=float(values.get("padding_value", 0.0)),
        )

    def __call__(self, clips: Sequence[Samples], padding: str) -> dict[str, NDArray]:
        """Compute ``input_values`` float32 [batch, samples] and ``attention_mask`` int64 of the same shape.

        clips: float32 [samples] each, of any lengths. padding: the bundle's padding contract. A checkpoint whose
        preprocessor returns no attention mask gets one of all ones under ``hf-exact``; under ``padding-invariant`` the
        mask is always the true one.
        """
        longest = max(len(clip) for clip in clips)
        values = np.full((len(clips), longest), self.padding_value, dtype=np.float32)
        mask = np.zeros((len(clips), longest), dtype=np.int64)
        for row, clip in enumerate(clips):
            values[row, : len(clip)] = self.normalize(clip) if self.do_normalize else clip
            mask[row, : len(clip)] = 1
        if padding == "hf-exact" and not self.return_attention_mask:
            mask[:] = 1
        return {self.input: values, "attention_mask": mask}

    def normalize(self, clip: Samples) -> Samples:
        """Zero mean and unit variance."""
        return (clip - clip.mean()) / np.sqrt(clip.var() + self.eps)
