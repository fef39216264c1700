"""What the families share: the convolutional front end (arXiv 2006.11477) and the model around an encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activations import ACTIVATIONS
from .config import SpeechConfig
from .masks import PaddingContract, frame_mask


class ChannelNorm(nn.Module):
    """Group norm with one channel a group: every channel normalised over time (HF ``...GroupNormConvLayer``).

    With a mask the statistics run over the valid frames only, so that padding does not change a clip.
    """

    eps = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Normalise x [batch, channels, time]; mask [batch, time] is true at valid frames."""
        if mask is None:
            return F.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)
        outside = ~mask[:, None, :]
        count = mask.sum(-1, dtype=torch.float32)[:, None, None]
        mean = x.masked_fill(outside, 0.0).sum(-1, keepdim=True) / count
        centred = (x - mean).masked_fill(outside, 0.0)
        variance = (centred * centred).sum(-1, keepdim=True) / count
        return centred * torch.rsqrt(variance + self.eps) * self.weight[:, None] + self.bias[:, None]


class TimeLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of [batch, channels, time]."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class ConvLayer(nn.Module):
    """Unpadded convolution, optional norm, activation (HF ``Wav2Vec2Conformer{No,Layer,Group}NormConvLayer``)."""

    def __init__(self, config: SpeechConfig, index: int) -> None:
        super().__init__()
        channels = config.conv_dim[index]
        self.conv = nn.Conv1d(
            config.conv_dim[index - 1] if index else 1,
            channels,
            config.conv_kernel[index],
            config.conv_stride[index],
            bias=config.conv_bias,
        )
        self.layer_norm: nn.Module | None = None
        if config.feat_extract_norm == "layer":
            self.layer_norm = TimeLayerNorm(channels)
        elif index == 0:
            self.layer_norm = ChannelNorm(channels)
        self.activation = ACTIVATIONS[config.feat_extract_activation]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [batch, channels, time]; mask [batch, new time] is true at valid frames, or None to trust every frame."""
        x = self.conv(x)
        if self.layer_norm is not None:
            x = self.layer_norm(x, mask)
        return self.activation(x)


class FeatureEncoder(nn.Module):
    """The stack of convolutions (HF ``Wav2Vec2ConformerFeatureEncoder``)."""

    def __init__(self, config: SpeechConfig, padding: PaddingContract) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(ConvLayer(config, index) for index in range(len(config.conv_dim)))
        self.first = (config.conv_kernel[:1], config.conv_stride[:1])
        # Only the group norm looks across time: no other layer lets padding reach a valid frame.
        self.masked_norm = config.feat_extract_norm == "group" and padding == "padding-invariant"

    def forward(self, input_values: Tensor, lengths: Tensor) -> Tensor:
        """input_values [batch, samples], lengths [batch] valid samples -> [batch, frames, conv_dim[-1]]."""
        x = input_values[:, None, :]
        kernel, stride = self.first
        for index, layer in enumerate(self.conv_layers):
            mask = None
            if index == 0 and self.masked_norm:
                mask = frame_mask(lengths, (x.shape[-1] - kernel[0]) // stride[0] + 1, kernel, stride)
            x = layer(x, mask)
        return x.transpose(1, 2)


class FeatureProjection(nn.Module):
    """Layer norm and projection to the encoder's width (HF ``Wav2Vec2ConformerFeatureProjection``)."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.conv_dim[-1], eps=config.layer_norm_eps)
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)

    def forward(self, features: Tensor) -> Tensor:
        """[batch, frames, conv_dim[-1]] -> [batch, frames, hidden]."""
        return self.projection(self.layer_norm(features))


class Backbone(nn.Module):
    """Waveform to hidden states: the front end, a projection, and the encoder of a family (HF ``Wav2Vec2Model``)."""

    def __init__(self, config: SpeechConfig, padding: PaddingContract, encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.feature_extractor = FeatureEncoder(config, padding)
        self.feature_projection = FeatureProjection(config)
        self.encoder = encoder

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
