"""Positions of the conformer's self-attention: what all layers share, computed once.

The sinusoidal encodings are computed from the length inside the graph rather than cut from a table: no maximum length
is baked in, and the angles stay in fp32 whatever the precision of the rest.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class NoPositions(nn.Module):
    """No position information in the attention (``position_embeddings_type: null``)."""

    def forward(self, frames: int) -> None:
        return None


class RelativePositions(nn.Module):
    """Sinusoids of the relative offset (Transformer-XL, arXiv 1901.02860, section 3.3).

    Same values as HF ``Wav2Vec2ConformerRelPositionalEmbedding``, for the offsets ``T-1 .. -T``: one row more than the
    attention needs, so that `skew` is two slices and two reshapes.
    """

    inverse_frequency: Tensor

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        # On the CPU even where a checkpoint is loaded into a model built without memory.
        exponent = torch.arange(0, hidden_size, 2, dtype=torch.float32, device="cpu")
        frequency = torch.exp(exponent * -(math.log(10000.0) / hidden_size))
        self.register_buffer("inverse_frequency", frequency, persistent=False)

    def forward(self, frames: int) -> Tensor:
        """Return [2 * frames, hidden]: row r holds the encoding of offset ``frames - 1 - r``."""
        # Of bounds: a length that meets a tensor would have to be copied to the GPU in every run.
        offset = -torch.arange(1 - frames, frames + 1, device=self.inverse_frequency.device)
        angle = offset[:, None].to(torch.float32) * self.inverse_frequency
        return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


class RotaryPositions(nn.Module):
    """Rotary angles (arXiv 2104.09864), as in HF ``Wav2Vec2ConformerRotaryPositionalEmbedding``."""

    inverse_frequency: Tensor

    def __init__(self, head_size: int, base: int) -> None:
        super().__init__()
        exponent = torch.arange(0, head_size, 2, dtype=torch.float32, device="cpu") / head_size
        self.register_buffer("inverse_frequency", 1.0 / (base**exponent), persistent=False)

    def forward(self, frames: int) -> tuple[Tensor, Tensor]:
        """Return (cos, sin), each [frames, 1, head_size / 2]."""
        time = torch.arange(frames, device=self.inverse_frequency.device).to(torch.float32)
        angle = (time[:, None] * self.inverse_frequency)[:, None, :]
        return angle.cos(), angle.sin()


class RelativeKeyPositions(nn.Module):
    """Which row of a distance table each pair of frames reads (Shaw et al., arXiv 1803.02155, section 3.2)."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, frames: int) -> Tensor:
        """Return [frames * frames]: for query i and key j, ``i * rows + clamp(j - i, -left, right) + left``.

        Flat, to read one row of scores by distance for each query with a single gather.
        """
        time = torch.arange(frames)
        distance = (time[None, :] - time[:, None]).clamp(-self.left, self.right) + self.left
        return (distance + time[:, None] * (self.left + self.right + 1)).flatten()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the two halves of each head: x [batch, time, heads, head_size], cos and sin [time, 1, head_size / 2]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def skew(scores: Tensor) -> Tensor:
    """Shift scores by offset into scores by key: [batch, heads, T, 2T] -> [batch, heads, T, T].

    Column c of row i belongs to offset ``T-1-c``; the result's (i, j) is the score of offset ``i-j``. Dropping the
    first T-1 values of the flattened rows and re-cutting them one shorter moves row i by i places.
    """
    batch, heads, frames, _ = scores.shape
    flat = scores.reshape(batch, heads, 2 * frames * frames)
    flat = flat.narrow(-1, frames - 1, frames * (2 * frames - 1))
    return flat.reshape(batch, heads, frames, 2 * frames - 1).narrow(-1, 0, frames)
