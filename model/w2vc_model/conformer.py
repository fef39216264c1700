"""Wav2Vec2-Conformer for inference: the same numbers as Hugging Face's model, in a form that exports well.

Parameter names are Hugging Face's. There is no dropout, no layerdrop and no training branch.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from .activations import ACTIVATIONS
from .attention import ATTENTIONS
from .config import ConformerConfig, SpeechConfig
from .feature_encoder import FeatureEncoder, FeatureProjection
from .masks import PaddingContract, frame_mask, key_mask
from .positions import POSITION_KINDS


class FeedForward(nn.Module):
    """Position-wise feed-forward network (HF ``Wav2Vec2FeedForward``)."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output_dense = nn.Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]

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
            x = x.masked_fill(~mask[:, :, None], 0.0)
        x = self.activation(self.batch_norm(self.depthwise_conv(x.transpose(1, 2))))
        return self.pointwise_conv2(x.transpose(1, 2))


class ConformerLayer(nn.Module):
    """One conformer block (HF ``Wav2Vec2ConformerEncoderLayer``)."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.ffn1_layer_norm = nn.LayerNorm(width)
        self.ffn1 = FeedForward(config)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn = ATTENTIONS[config.position_embeddings_type](config)
        self.conv_module = ConvolutionModule(config)
        self.ffn2_layer_norm = nn.LayerNorm(width)
        self.ffn2 = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, key_mask: Tensor, conv_mask: Tensor | None, positions: Any) -> Tensor:
        x = x + 0.5 * self.ffn1(self.ffn1_layer_norm(x))
        x = x + self.self_attn(self.self_attn_layer_norm(x), key_mask, positions)
        x = x + self.conv_module(x, conv_mask)
        x = x + 0.5 * self.ffn2(self.ffn2_layer_norm(x))
        return self.final_layer_norm(x)


class ConformerEncoder(nn.Module):
    """The stack of conformer blocks (HF ``Wav2Vec2ConformerEncoder``)."""

    def __init__(self, config: ConformerConfig, padding: PaddingContract) -> None:
        super().__init__()
        kind = POSITION_KINDS[config.position_embeddings_type]
        self.embed_positions = kind.build(config.hidden_size, config.head_size, config.rotary_embedding_base)
        self.layers = nn.ModuleList(ConformerLayer(config) for _ in range(config.num_hidden_layers))
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.masked_conv = padding == "padding-invariant"

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [batch, time, hidden]; mask [batch, time] true at valid frames."""
        x = x.masked_fill(~mask[:, :, None], 0.0)
        positions = self.embed_positions(x.shape[1])
        keys = key_mask(mask, x.dtype)
        for layer in self.layers:
            x = layer(x, keys, mask if self.masked_conv else None, positions)
        return self.layer_norm(x)


class Wav2Vec2Conformer(nn.Module):
    """Waveform to hidden states (HF ``Wav2Vec2ConformerModel``)."""

    def __init__(self, config: ConformerConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__()
        self.config = config
        self.feature_extractor = FeatureEncoder(config, padding)
        self.feature_projection = FeatureProjection(config)
        self.encoder = ConformerEncoder(config, padding)

    def forward(self, input_values: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute the last hidden state.

        input_values: [batch, samples] float32, normalised as the checkpoint's preprocessor says, padded at the end.
        attention_mask: [batch, samples] int64, 1 at valid samples; every clip needs at least one frame of them.
        Returns [batch, frames, hidden].
        """
        lengths = attention_mask.sum(-1)
        features = self.feature_extractor(input_values, lengths)
        mask = frame_mask(lengths, features.shape[1], self.config.conv_kernel, self.config.conv_stride)
        return self.encoder(self.feature_projection(features), mask)
