"""What the families share: the convolutional front end (arXiv 2006.11477), the model around an encoder, the adapter."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activations import ACTIVATIONS
from .config import SpeechConfig, WaveformConfig
from .errors import ConfigError
from .masks import Convolution, PaddingContract, frame_mask, masked


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

    def __init__(self, config: WaveformConfig, index: int) -> None:
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

    def __init__(self, config: WaveformConfig, padding: PaddingContract) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(ConvLayer(config, index) for index in range(len(config.conv_dim)))
        self.first = config.convolutions[0]
        # Only the group norm looks across time: no other layer lets padding reach a valid frame.
        self.masked_norm = config.feat_extract_norm == "group" and padding == "padding-invariant"

    def forward(self, input_values: Tensor, lengths: Tensor) -> Tensor:
        """input_values [batch, samples], lengths [batch] valid samples -> [batch, frames, conv_dim[-1]]."""
        x = input_values[:, None, :]
        for index, layer in enumerate(self.conv_layers):
            mask = None
            if index == 0 and self.masked_norm:
                frames = (x.shape[-1] - self.first.kernel) // self.first.stride + 1
                mask = frame_mask(lengths, frames, (self.first,))
            x = layer(x, mask)
        return x.transpose(1, 2)


class FeatureProjection(nn.Module):
    """Layer norm and projection to the encoder's width (HF ``Wav2Vec2FeatureProjection``)."""

    def __init__(self, features: int, config: SpeechConfig) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(features, eps=config.layer_norm_eps)
        self.projection = nn.Linear(features, config.hidden_size)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, frames, features] -> hidden [batch, frames, hidden], and the normalised features."""
        normed = self.layer_norm(features)
        return self.projection(normed), normed


class Encoded(NamedTuple):
    """What the heads build on.

    hidden: the last hidden state [batch, frames, output_size]; mask [batch, frames] is true at valid frames.
    states: what went into the first layer and what each layer gave, [batch, encoder frames, hidden] each (HF
    ``hidden_states``); state_mask: their valid frames. Without an adapter these are the frames of ``hidden``.
    features: the normalised features in front of the encoder [batch, encoder frames, features].
    """

    hidden: Tensor
    mask: Tensor
    states: tuple[Tensor, ...]
    state_mask: Tensor
    features: Tensor


class Backbone(nn.Module):
    """Input to hidden states: a front end, an encoder, and an adapter (HF ``Wav2Vec2Model`` and its kin)."""

    input_name: str
    input_axes: tuple[str, ...]
    second: int

    def __init__(
        self, config: SpeechConfig, padding: PaddingContract, projection: FeatureProjection, encoder: nn.Module
    ) -> None:
        super().__init__()
        self.config = config
        self.padding = padding
        self.feature_projection = projection
        self.encoder = encoder
        self.masked_spec_embed: nn.Parameter | None = None
        if padding == "hf-exact" and config.add_adapter and not config.adapter_is_counted:
            raise ConfigError(
                f"config.json: adapter_kernel_size {config.adapter_kernel_size} with adapter_stride "
                f"{config.adapter_stride} makes Hugging Face count other frames than it computes, so that its padded "
                "batches have no sound result; export with padding-invariant"
            )

    def front(self, inputs: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features [batch, frames, features] and which of their frames are valid, [batch, frames]."""
        raise NotImplementedError

    def example(self, length: int, batch: int = 1) -> Tensor:
        """Zeros to trace with: a batch of clips of ``length`` samples or frames; `second` of them are about 1 s."""
        raise NotImplementedError

    def forward(self, inputs: Tensor, attention_mask: Tensor, mask_time_indices: Tensor | None = None) -> Encoded:
        """Compute the hidden states.

        inputs: ``input_values`` [batch, samples] or ``input_features`` [batch, frames, features], float32, as the
        checkpoint's preprocessor gives them, padded at the end.
        attention_mask: int64 [batch, samples or frames], 1 at valid ones; every clip needs at least one frame of them.
        mask_time_indices: boolean [batch, frames]; where true, what the encoder sees is ``masked_spec_embed``.
        """
        features, mask = self.front(inputs, attention_mask)
        hidden, features = self.feature_projection(features)
        if mask_time_indices is not None and self.masked_spec_embed is not None:
            hidden = torch.where(mask_time_indices[:, :, None], self.masked_spec_embed, hidden)
        hidden, states = self.encoder(hidden, mask)
        if self.config.normalises_last_state:
            states = (*states[:-1], hidden)
        hidden, adapted = self.adapt(hidden, mask)
        return Encoded(hidden, adapted, states, mask, features)

    def adapt(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What follows the encoder: the hidden state and its valid frames after the adapter."""
        return hidden, mask


class WaveformBackbone(Backbone):
    """A backbone over samples (HF ``Wav2Vec2Model`` and ``Wav2Vec2ConformerModel``)."""

    input_name = "input_values"
    input_axes = ("batch", "samples")
    second = 16000

    def __init__(self, config: WaveformConfig, padding: PaddingContract, encoder: nn.Module) -> None:
        super().__init__(config, padding, FeatureProjection(config.conv_dim[-1], config), encoder)
        self.feature_extractor = FeatureEncoder(config, padding)
        self.adapter = ConvolutionalAdapter(config, padding) if config.add_adapter else None

    def example(self, length: int, batch: int = 1) -> Tensor:
        return torch.zeros(batch, length)

    def front(self, inputs: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        lengths = attention_mask.sum(-1)
        features = self.feature_extractor(inputs, lengths)
        return features, frame_mask(lengths, features.shape[1], self.config.convolutions)

    def adapt(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return (hidden, mask) if self.adapter is None else self.adapter(hidden, mask)


class Adapter(nn.Module):
    """What adapters have in common: a projection where they are of another width than the encoder."""

    def __init__(self, config: SpeechConfig, padding: PaddingContract, eps: float = 1e-5) -> None:
        super().__init__()
        width = config.output_size
        self.proj = self.proj_layer_norm = None
        if width != config.hidden_size:
            self.proj = nn.Linear(config.hidden_size, width)
            self.proj_layer_norm = nn.LayerNorm(width, eps=eps)
        self.convolutions = config.adapter_convolutions
        self.masked = padding == "padding-invariant"

    def project(self, x: Tensor) -> Tensor:
        """[batch, frames, hidden] -> [batch, frames, output_size]."""
        if self.proj is None or self.proj_layer_norm is None:
            return x
        return self.proj_layer_norm(self.proj(x))


class ConvolutionalAdapter(Adapter):
    """Strided convolutions after the encoder (HF ``Wav2Vec2Adapter``)."""

    def __init__(self, config: WaveformConfig, padding: PaddingContract) -> None:
        super().__init__(config, padding)
        self.layers = nn.ModuleList(AdapterLayer(config.output_size, each) for each in self.convolutions)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x [batch, frames, hidden], mask [batch, frames] -> x and mask at the adapter's frames."""
        x = self.project(x)
        lengths = mask.sum(-1)
        for index, layer in enumerate(self.layers):
            x = layer(masked(x, mask) if self.masked else x)
            mask = frame_mask(lengths, x.shape[1], self.convolutions[: index + 1])
        return x, mask


class AdapterLayer(nn.Module):
    """One strided, gated convolution (HF ``Wav2Vec2AdapterLayer``)."""

    def __init__(self, width: int, convolution: Convolution) -> None:
        super().__init__()
        kernel, stride, padding = convolution
        self.conv = nn.Conv1d(width, 2 * width, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, frames, width] -> [batch, fewer frames, width]."""
        return gated(self.conv, x)


def gated(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over time with a gate: [batch, frames, channels] -> [batch, fewer frames, half its channels]."""
    return F.glu(convolution(x.transpose(1, 2)), dim=1).transpose(1, 2)
