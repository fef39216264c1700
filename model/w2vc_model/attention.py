"""Self-attention, one class for each position kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .config import BertConfig, SpeechConfig
from .positions import NoPositions, RelativeKeyPositions, RelativePositions, RotaryPositions, rotate, skew


class SelfAttention(nn.Module):
    """Multi-head self-attention without positions (HF ``Wav2Vec2ConformerSelfAttention``)."""

    def __init__(self, config: SpeechConfig, width: int | None = None) -> None:
        super().__init__()
        width = width or config.hidden_size
        self.heads, self.head_size = config.num_attention_heads, width // config.num_attention_heads
        self.scaling = self.head_size**-0.5
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)

    def forward(self, x: Tensor, key_mask: Tensor, positions: Any) -> Tensor:
        """x [batch, time, hidden]; key_mask [batch, 1, 1, time] is additive; positions as the kind's module gives."""
        query, key, value = self.project(x, positions)
        scores = self.scores(query * self.scaling, key, positions) + key_mask
        attended = torch.softmax(scores, dim=-1) @ value
        return self.linear_out(attended.transpose(1, 2).flatten(2))

    def project(self, x: Tensor, positions: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each [batch, heads, time, head_size]."""
        return self.split(self.linear_q(x)), self.split(self.linear_k(x)), self.split(self.linear_v(x))

    def scores(self, query: Tensor, key: Tensor, positions: Any) -> Tensor:
        """Scores [batch, heads, time, time] of scaled queries against keys."""
        return query @ key.transpose(2, 3)

    def split(self, x: Tensor) -> Tensor:
        """[batch, time, hidden] -> [batch, heads, time, head_size]."""
        return x.unflatten(-1, (self.heads, self.head_size)).transpose(1, 2)


class RotaryAttention(SelfAttention):
    """Self-attention whose queries and keys are projected from the rotated input, as in Hugging Face."""

    def project(self, x: Tensor, positions: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        rotated = rotate(x.unflatten(-1, (self.heads, self.head_size)), *positions).flatten(2)
        return self.split(self.linear_q(rotated)), self.split(self.linear_k(rotated)), self.split(self.linear_v(x))


class RelativeAttention(SelfAttention):
    """Self-attention with Transformer-XL relative positions (arXiv 1901.02860, section 3.3, terms a to d)."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        self.linear_pos = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.empty(self.heads, self.head_size))
        self.pos_bias_v = nn.Parameter(torch.empty(self.heads, self.head_size))

    def scores(self, query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
        # Two steps rather than one: OpenVINO's product takes the second by itself.
        offsets = self.linear_pos(positions).unflatten(-1, (self.heads, self.head_size)).transpose(0, 1).transpose(1, 2)
        bias_u = (self.pos_bias_u * self.scaling)[:, None, :]
        bias_v = (self.pos_bias_v * self.scaling)[:, None, :]
        return (query + bias_u) @ key.transpose(2, 3) + skew((query + bias_v) @ offsets)


class RelativeKeyAttention(SelfAttention):
    """Self-attention with a learnt key for each clipped distance (Shaw et al., arXiv 1803.02155, equation 4).

    Queries meet the distance table, and the scores by distance are then gathered by key: the [time, time, head_size]
    keys of the paper are never built.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        rows = config.left_max_position_embeddings + config.right_max_position_embeddings + 1
        # Not drawn at random: without data, PyTorch would load its compiler for that.
        self.distance_embedding = nn.Embedding.from_pretrained(torch.empty(rows, self.head_size))

    def scores(self, query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
        batch, heads, frames, _ = query.shape
        distances = query @ self.distance_embedding.weight.T
        bias = distances.flatten(2).index_select(2, positions).reshape(batch, heads, frames, frames)
        return query @ key.transpose(2, 3) + bias


@dataclass(frozen=True)
class PositionKind:
    """One value of ``position_embeddings_type``: its attention, and what all layers share."""

    attention: Callable[[Any], SelfAttention]
    shared: Callable[[Any], nn.Module]


POSITION_KINDS: dict[str | None, PositionKind] = {
    None: PositionKind(SelfAttention, lambda config: NoPositions()),
    "relative": PositionKind(RelativeAttention, lambda config: RelativePositions(config.hidden_size)),
    "relative_key": PositionKind(
        RelativeKeyAttention,
        lambda config: RelativeKeyPositions(config.left_max_position_embeddings, config.right_max_position_embeddings),
    ),
    "rotary": PositionKind(
        RotaryAttention, lambda config: RotaryPositions(config.head_size, config.rotary_embedding_base)
    ),
}
