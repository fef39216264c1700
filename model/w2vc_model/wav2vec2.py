"""Wav2Vec2 for inference (arXiv 2006.11477): the same numbers as Hugging Face's model, in a form that exports well."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .activations import ACTIVATIONS
from .attention import SelfAttention
from .backbone import WaveformBackbone
from .config import Wav2Vec2Config
from .conformer import FeedForward
from .masks import PaddingContract, key_mask, masked


class PositionalConvEmbedding(nn.Module):
    """Grouped convolution over time whose output is added as position (HF ``Wav2Vec2PositionalConvEmbedding``).

    Its weight norm is folded when a checkpoint is loaded.
    """

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        width, kernel = config.hidden_size, config.num_conv_pos_embeddings
        groups = config.num_conv_pos_embedding_groups
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=groups)
        self.activation = ACTIVATIONS[config.feat_extract_activation]

    def forward(self, x: Tensor) -> Tensor:
        """[batch, time, hidden] -> the same shape; an even kernel gives one frame too many, which is cut."""
        return self.activation(self.conv(x.transpose(1, 2))).transpose(1, 2).narrow(1, 0, x.shape[1])


class EncoderLayer(nn.Module):
    """Transformer layer, normalised after each part (HF ``Wav2Vec2EncoderLayer``)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, key_mask: Tensor) -> Tensor:
        x = self.layer_norm(x + self.attention(x, key_mask, None))
        return self.final_layer_norm(x + self.feed_forward(x))


class LanguageAdapter(nn.Module):
    """Bottleneck at the end of a layer, with weights for each language (HF ``Wav2Vec2AttnAdapterLayer``)."""

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear_1 = nn.Linear(width, bottleneck)
        self.linear_2 = nn.Linear(bottleneck, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(torch.relu(self.linear_1(self.norm(x))))


class StableEncoderLayer(EncoderLayer):
    """Transformer layer, normalised before each part (HF ``Wav2Vec2EncoderLayerStableLayerNorm``)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config)
        width, bottleneck = config.hidden_size, config.adapter_attn_dim
        self.adapter_layer = None if bottleneck is None else LanguageAdapter(width, bottleneck)

    def forward(self, x: Tensor, key_mask: Tensor) -> Tensor:
        x = x + self.attention(self.layer_norm(x), key_mask, None)
        x = x + self.feed_forward(self.final_layer_norm(x))
        return x if self.adapter_layer is None else x + self.adapter_layer(x)


class Encoder(nn.Module):
    """Positions, then the stack of layers (HF ``Wav2Vec2Encoder`` and ``Wav2Vec2EncoderStableLayerNorm``)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        layer = StableEncoderLayer if config.do_stable_layer_norm else EncoderLayer
        self.pos_conv_embed = PositionalConvEmbedding(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(layer(config) for _ in range(config.num_hidden_layers))
        self.stable = config.do_stable_layer_norm

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x [batch, time, hidden], mask [batch, time] true at valid frames -> last hidden state, all hidden states."""
        x = masked(x, mask)
        x = x + self.pos_conv_embed(x)
        keys = key_mask(mask, x.dtype)
        if not self.stable:
            x = self.layer_norm(x)
        states = [x]
        for layer in self.layers:
            x = layer(x, keys)
            states.append(x)
        return self.layer_norm(x) if self.stable else x, tuple(states)


class Wav2Vec2(WaveformBackbone):
    """The model of this family without a head (HF ``Wav2Vec2Model``)."""

    def __init__(self, config: Wav2Vec2Config, padding: PaddingContract) -> None:
        super().__init__(config, padding, Encoder(config))
