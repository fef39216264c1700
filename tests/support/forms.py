"""Other ways to write a model down than the exporter's, which a benchmark measures beside it.

Each is a context: what is exported inside it is written that way. What helps becomes the exporter's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F

from w2vc_exporter.graph.passes import reduce_precision
from w2vc_exporter.precision.forms import FORMS as FITTED
from w2vc_model.attention import RelativeAttention, RelativeKeyAttention, SelfAttention
from w2vc_model.positions import RelativePositions, skew
from w2vc_model.wav2vec2 import PositionalConvEmbedding

# Frames of 30 s, the longest clip of the usual profiles.
LONGEST = 1500
GROUPS = 4


@dataclass(frozen=True)
class Form:
    """A way to write a model down.

    what: in a few words. context: in which it is. concerns: kinds of models, by their names in the tests or families.
    graph: whether it is the graph that is made otherwise, of the same model.
    """

    name: str
    what: str
    context: Callable[[], Any]
    concerns: tuple[str, ...] = ("wav2vec2", "conformer", "bert")
    graph: bool = False

    def changes(self, architecture: str) -> bool:
        """Whether models of a kind are written otherwise."""
        return any(architecture == each or architecture.startswith(f"{each}-") for each in self.concerns)


def _terms(self: RelativeAttention, query: Tensor) -> tuple[Tensor, Tensor]:
    """Queries for the terms of content and of position."""
    bias_u, bias_v = ((each * self.scaling)[:, None, :] for each in (self.pos_bias_u, self.pos_bias_v))
    return query + bias_u, query + bias_v


def _offsets(self: RelativeAttention, positions: Tensor) -> Tensor:
    return self.linear_pos(positions).unflatten(-1, (self.heads, self.head_size)).permute(1, 2, 0)


def _gathered(self: RelativeAttention, query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    content, position = _terms(self, query)
    batch, heads, frames, _ = query.shape
    time = torch.arange(frames)
    index = (time[:, None] * (2 * frames - 1) + (frames - 1) + time[None, :]).flatten()
    flat = (position @ _offsets(self, positions)).flatten(2)
    return content @ key.transpose(2, 3) + flat.index_select(2, index).reshape(batch, heads, frames, frames)


def _folded(self: RelativeAttention, query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    content, position = _terms(self, query)
    frames = query.shape[2]
    table = RelativePositions(self.linear_pos.in_features)(LONGEST)
    offsets = _offsets(self, table).contiguous().narrow(2, LONGEST - frames, 2 * frames)
    return content @ key.transpose(2, 3) + skew(position @ offsets)


def _grouped(self: RelativeAttention, x: Tensor, key_mask: Tensor, positions: Tensor) -> Tensor:
    query, key, value = self.project(x, positions)
    content, position = _terms(self, query * self.scaling)
    offsets, size, attended = _offsets(self, positions), self.heads // GROUPS, []
    for start in range(0, GROUPS * size, size):
        some, other, keys, values = (each.narrow(1, start, size) for each in (content, position, key, value))
        bias = skew(other @ offsets.narrow(0, start, size))
        attended.append(torch.softmax(some @ keys.transpose(2, 3) + bias + key_mask, dim=-1) @ values)
    return self.linear_out(torch.cat(attended, dim=1).transpose(1, 2).flatten(2))


def position_bias(
    self: RelativeAttention | RelativeKeyAttention, query: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor]:
    """The query that meets the keys, of a scaled one, and what positions add to the scores [batch, heads, T, T]."""
    if isinstance(self, RelativeAttention):
        query, position = _terms(self, query)
        return query, skew(position @ _offsets(self, positions))
    batch, heads, frames, _ = query.shape
    distances = (query @ self.distance_embedding.weight.T).flatten(2)
    return query, distances.index_select(2, positions).reshape(batch, heads, frames, frames)


def _one_addend(self: SelfAttention, x: Tensor, key_mask: Tensor, positions: Any) -> Tensor:
    if not isinstance(self, (RelativeAttention, RelativeKeyAttention)):  # an adapter's, whose mask is the only addend
        return _attention(self, x, key_mask, positions)
    query, key, value = self.project(x, positions)
    query, bias = position_bias(self, query * self.scaling, positions)
    attended = torch.softmax(query @ key.transpose(2, 3) + (bias + key_mask), dim=-1) @ value
    return self.linear_out(attended.transpose(1, 2).flatten(2))


def _scaled_weights(self: SelfAttention, x: Tensor, key_mask: Tensor, positions: Any) -> Tensor:
    query, scaling = self.linear_q, self.scaling
    scaled = SimpleNamespace(weight=query.weight * scaling, bias=query.bias * scaling)
    with patch.object(query, "forward", lambda x: F.linear(x, scaled.weight, scaled.bias)):
        projected = self.project(x, positions)
    with patch.object(self, "project", lambda *_: (_Scaled(projected[0]), *projected[1:])):
        return _attention(self, x, key_mask, positions)


class _Scaled:
    """A query whose scale is in the weights already."""

    def __init__(self, query: Tensor) -> None:
        self.query = query

    def __mul__(self, scaling: float) -> Tensor:
        return self.query


_attention = SelfAttention.forward


def _depthwise(self: torch.nn.Conv1d, x: Tensor) -> Tensor:
    """A depthwise convolution as a sum of shifted products."""
    (padding,), (taps,) = self.padding, self.kernel_size
    x = F.pad(x, (padding, padding)) if padding else x
    frames = x.shape[2] - (taps - 1)
    weight = self.weight[:, 0]
    total = x.narrow(2, 0, frames) * weight[:, 0:1]
    for tap in range(1, taps):
        total = total + x.narrow(2, tap, frames) * weight[:, tap : tap + 1]
    return total


def _positional(self: PositionalConvEmbedding, x: Tensor) -> Tensor:
    """The grouped convolution as a product for each group, over neighbouring frames side by side."""
    conv = self.conv
    (taps,), (padding,), groups = conv.kernel_size, conv.padding, conv.groups
    frames, size = x.shape[1], conv.in_channels // groups
    padded = F.pad(x.transpose(1, 2), (padding, padding)).transpose(1, 2)
    beside = torch.cat([padded.narrow(1, tap, frames).unflatten(-1, (groups, size)) for tap in range(taps)], dim=-1)
    weight = conv.weight.unflatten(0, (groups, size)).permute(0, 3, 2, 1).flatten(1, 2)
    product = (beside.transpose(1, 2) @ weight).transpose(1, 2).flatten(2) + conv.bias
    return self.activation(product)


def _with_depthwise() -> Any:
    forward = torch.nn.Conv1d.forward

    def either(self: torch.nn.Conv1d, x: Tensor) -> Tensor:
        return _depthwise(self, x) if self.groups == self.in_channels > 1 else forward(self, x)

    return patch.object(torch.nn.Conv1d, "forward", either)


def _kept(without: frozenset[str]) -> Any:
    return patch.object(reduce_precision, "KEPT", reduce_precision.KEPT - without)


CONFORMERS = ("conformer", "bert")
RELATIVE = ("conformer-relative", "bert-relative")
FORMS = {
    each.name: each
    for each in (
        Form(
            "scores in fp32",
            "bias, mask and scores are added in fp32: as it was",
            lambda: patch.object(reduce_precision, "FED_HALF", reduce_precision.NORMS),
            graph=True,
        ),
        Form("softmax in half", "no fp32 in attention at all", lambda: _kept(reduce_precision.SOFTMAX), graph=True),
        Form(
            "norms in half",
            "half to half, statistics in fp32",
            lambda: _kept(frozenset({"LayerNormalization"})),
            graph=True,
        ),
        Form(
            "for cuda",
            "as `w2vc-export --provider cuda` writes it: norms and softmax take and give half, and keep fp32 inside",
            lambda: patch.dict(FITTED, {None: replace(FITTED["cuda"], static=False, steady=True)}),
            graph=True,
        ),
        Form(
            "one addend",
            "bias and mask are added before the scores",
            lambda: patch.object(SelfAttention, "forward", _one_addend),
            ("conformer-relative", "bert-relative", "bert-relative_key"),
        ),
        Form(
            "scale in the weights",
            "of the queries",
            lambda: patch.object(SelfAttention, "forward", _scaled_weights),
        ),
        Form(
            "bias by gather",
            "instead of the skew",
            lambda: patch.object(RelativeAttention, "scores", _gathered),
            RELATIVE,
        ),
        Form(
            "positions folded",
            "their projection is a constant, of 30 s at most",
            lambda: patch.object(RelativeAttention, "scores", _folded),
            RELATIVE,
        ),
        Form(
            "heads in groups",
            f"attention in {GROUPS} groups of heads, one after another",
            lambda: patch.object(RelativeAttention, "forward", _grouped),
            RELATIVE,
        ),
        Form(
            "front end as products",
            "instead of convolutions",
            lambda: patch.dict(FITTED, {None: replace(FITTED[None], products=True)}),
            ("wav2vec2", "conformer"),
            graph=True,
        ),
        Form(
            "positional convolution as products",
            "of neighbouring frames side by side",
            lambda: patch.object(PositionalConvEmbedding, "forward", _positional),
            ("wav2vec2",),
        ),
        Form("depthwise convolution as a sum", "of shifted frames, tap by tap", _with_depthwise, CONFORMERS),
    )
}
