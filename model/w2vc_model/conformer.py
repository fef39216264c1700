"""Wav2Vec2-Conformer for inference: the same numbers as Hugging Face's model, in a form that exports well.

Parameter names are Hugging Face's. There is no dropout, no layerdrop and no training branch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from .activations import ACTIVATIONS
from .attention import POSITION_KINDS
from .backbone import WaveformBackbone
from .config import ConformerConfig, ConformerFields, SpeechConfig
from .masks import PaddingContract, key_mask, masked


class FeedForward(nn.Module):
    """Position-wise feed-forward network (HF ``Wav2Vec2FeedForward``)."""

    def __init__(self, config: SpeechConfig, width: int | None = None, activation: str | None = None) -> None:
        super().__init__()
        width = width or config.hidden_size
        self.intermediate_dense = nn.Linear(width, config.intermediate_size)
        self.output_dense = nn.Linear(config.intermediate_size, width)
        self.activation = ACTIVATIONS[activation or config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        return self.output_dense(self.activation(self.intermediate_dense(x)))


class ConvolutionModule(nn.Module):
    """Convolution module of the conformer (arXiv 2005.08100; HF ``Wav2Vec2ConformerConvolutionModule``).

    The pointwise convolutions are linear layers, so that only the depthwise one needs channels before time.
    """

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        width, kernel = config.hidden_size, config.conv_depthwise_kernel_size
        self.layer_norm = nn.LayerNorm(width)
        self.pointwise_conv1 = nn.Linear(width, 2 * width, bias=False)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.batch_norm = nn.BatchNorm1d(width)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.pointwise_conv2 = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [batch, time, hidden]; mask [batch, time] true at valid frames, None to let padding in as HF does."""
        x = F.glu(self.pointwise_conv1(self.layer_norm(x)), dim=-1)
        if mask is not None:
            x = masked(x, mask)
        x = self.activation(self.batch_norm(self.depthwise_conv(x.transpose(1, 2))))
        return self.pointwise_conv2(x.transpose(1, 2))


class ConformerLayer(nn.Module):
    """One conformer block (HF ``Wav2Vec2ConformerEncoderLayer`` and ``Wav2Vec2BertEncoderLayer``)."""

    def __init__(self, config: ConformerFields, convolution: nn.Module, eps: float = 1e-5) -> None:
        super().__init__()
        width = config.hidden_size
        self.ffn1_layer_norm = nn.LayerNorm(width, eps=eps)
        self.ffn1 = FeedForward(config)
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=eps)
        self.self_attn = POSITION_KINDS[config.position_embeddings_type].attention(config)
        self.conv_module = convolution
        self.ffn2_layer_norm = nn.LayerNorm(width, eps=eps)
        self.ffn2 = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, key_mask: Tensor, conv_mask: Tensor | None, positions: Any) -> Tensor:
        x = x + 0.5 * self.ffn1(self.ffn1_layer_norm(x))
        x = x + self.self_attn(self.self_attn_layer_norm(x), key_mask, positions)
        x = x + self.conv_module(x, conv_mask)
        x = x + 0.5 * self.ffn2(self.ffn2_layer_norm(x))
        return self.final_layer_norm(x)


class ConformerEncoder(nn.Module):
    """The stack of conformer blocks (HF ``Wav2Vec2ConformerEncoder`` and ``Wav2Vec2BertEncoder``).

    layer_norm: what follows the last block. masked_conv: whether the convolution modules know the padding.
    """

    def __init__(
        self, config: ConformerFields, layers: Iterable[ConformerLayer], layer_norm: nn.Module, masked_conv: bool
    ) -> None:
        super().__init__()
        self.embed_positions = POSITION_KINDS[config.position_embeddings_type].shared(config)
        self.layers = nn.ModuleList(layers)
        self.layer_norm = layer_norm
        self.masked_conv = masked_conv

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x [batch, time, hidden], mask [batch, time] true at valid frames -> last hidden state, all hidden states."""
        x = masked(x, mask)
        positions = self.embed_positions(x.shape[1])
        keys = key_mask(mask, x.dtype)
        states = [x]
        for layer in self.layers:
            x = layer(x, keys, mask if self.masked_conv else None, positions)
            states.append(x)
        return self.layer_norm(x), tuple(states)


class Wav2Vec2Conformer(WaveformBackbone):
    """The model of this family without a head (HF ``Wav2Vec2ConformerModel``)."""

    def __init__(self, config: ConformerConfig, padding: PaddingContract) -> None:
        layers = [ConformerLayer(config, ConvolutionModule(config)) for _ in range(config.num_hidden_layers)]
        norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        super().__init__(config, padding, ConformerEncoder(config, layers, norm, padding == "padding-invariant"))
