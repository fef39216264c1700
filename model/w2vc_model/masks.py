"""Lengths and masks: which frames of a padded batch are real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

PaddingContract = Literal["padding-invariant", "hf-exact"]
"""What a padded batch computes.

``padding-invariant``: every clip as if it were alone. ``hf-exact``: what Hugging Face's model computes for the padded
batch, in which the convolution modules and the group norm see the padding.
"""

# Finite in fp16, and far enough down that softmax gives an exact zero.
MASKED_SCORE = -30000.0


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Samples under one frame of a stack of unpadded convolutions, and samples from one frame to the next."""
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * step
        step *= stride
    return field, step


def frame_mask(lengths: Tensor, frames: int, kernels: Sequence[int], strides: Sequence[int]) -> Tensor:
    """Boolean [batch, frames]: true at frames that see nothing but the first ``lengths[b]`` samples.

    The same frames as the integer formula of ``torch.nn.Conv1d`` applied layer by layer (HF
    ``_get_feat_extract_output_lengths``), without a division: frame i ends at sample ``i * step + field``.
    """
    field, step = receptive_field(kernels, strides)
    ends = torch.arange(frames, device=lengths.device) * step + field
    return ends[None, :] <= lengths[:, None]


def key_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive attention mask [batch, 1, 1, time] from a boolean [batch, time]: 0 at valid keys, -30000 elsewhere."""
    return torch.where(mask[:, None, None, :], 0.0, MASKED_SCORE).to(dtype)
