"""Lengths and masks: which frames of a padded batch are real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

PaddingContract = Literal["padding-invariant", "hf-exact"]
"""What a padded batch computes.

``padding-invariant``: every clip as if it were alone. ``hf-exact``: what Hugging Face's model computes for the padded
batch, in which the convolution modules, the group norm and the adapters see the padding.
"""

# Finite in fp16, and far enough down that softmax gives an exact zero.
MASKED_SCORE = -30000.0


class Convolution(NamedTuple):
    """What one convolution does to the number of frames. padding: frames of zeros on either side."""

    kernel: int
    stride: int = 1
    padding: int = 0


def receptive_field(convolutions: Sequence[Convolution]) -> tuple[int, int]:
    """(field, step) of a stack of convolutions: n inputs give ``(n - field) // step + 1`` outputs.

    Without padding, output i sees the inputs from ``i * step`` up to ``i * step + field``; padding shortens the field.
    Floors of floors are one floor, so this is the layers' own formula at every length.
    """
    field, step = 1, 1
    for kernel, stride, padding in convolutions:
        field += (kernel - 1 - 2 * padding) * step
        step *= stride
    return field, step


def fewest_inputs(convolutions: Sequence[Convolution], outputs: int = 1) -> int:
    """The smallest number of inputs from which a stack of convolutions gives ``outputs`` outputs."""
    for kernel, stride, padding in reversed(convolutions):
        outputs = max(1, (outputs - 1) * stride + kernel - 2 * padding)
    return outputs


def frame_mask(lengths: Tensor, frames: int, convolutions: Sequence[Convolution]) -> Tensor:
    """Boolean [batch, frames]: true at the frames that a clip of ``lengths[b]`` inputs has.

    The same frames as the integer formula of ``torch.nn.Conv1d`` applied layer by layer (HF
    ``_get_feat_extract_output_lengths``), without a division: frame i exists if ``i * step + field <= length``.
    """
    field, step = receptive_field(convolutions)
    ends = torch.arange(frames, device=lengths.device) * step + field
    return ends[None, :] <= lengths[:, None]


def key_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive attention mask [batch, 1, 1, time] from a boolean [batch, time]: 0 at valid keys, -30000 elsewhere."""
    return torch.where(mask[:, None, None, :], 0.0, MASKED_SCORE).to(dtype)


def masked(x: Tensor, mask: Tensor) -> Tensor:
    """x [batch, time, channels] with zeros where mask [batch, time] is false.

    By selection: unlike a product it stops infinities, and unlike boolean assignment it does not become ``NonZero``,
    which TensorRT's parser refuses.
    """
    return x.masked_fill(~mask[:, :, None], 0.0)
