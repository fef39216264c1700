"""Samples to graph inputs, as the checkpoint's feature extractor does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .audio import Samples
from .manifest import Features

Inputs = dict[str, NDArray]


def waveform(clips: Sequence[Samples], recipe: Features, padding: str) -> Inputs:
    """Normalise clips and pad them to the longest (HF ``Wav2Vec2FeatureExtractor``).

    clips: float32 [samples] each, of any lengths. padding: the bundle's padding contract.
    Returns ``input_values`` float32 [batch, samples] and ``attention_mask`` int64 of the same shape.

    A checkpoint whose preprocessor returns no attention mask expects padding to be read as silence; under ``hf-exact``
    its mask is all ones. Under ``padding-invariant`` the mask is always the true one.
    """
    longest = max(len(clip) for clip in clips)
    values = np.full((len(clips), longest), recipe.padding_value, dtype=np.float32)
    mask = np.zeros((len(clips), longest), dtype=np.int64)
    for row, clip in enumerate(clips):
        values[row, : len(clip)] = normalize(clip, recipe.eps) if recipe.do_normalize else clip
        mask[row, : len(clip)] = 1
    if padding == "hf-exact" and not recipe.return_attention_mask:
        mask[:] = 1
    return {"input_values": values, "attention_mask": mask}


def normalize(clip: Samples, eps: float) -> Samples:
    """Zero mean and unit variance, ``(x - mean) / sqrt(var + eps)``."""
    return (clip - clip.mean()) / np.sqrt(clip.var() + eps)


RECIPES: dict[str, Callable[[Sequence[Samples], Features, str], Inputs]] = {
    "waveform": waveform,
}
