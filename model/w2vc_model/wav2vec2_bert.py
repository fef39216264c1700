"""Wav2Vec2-BERT for inference (arXiv 2312.05187): Hugging Face's numbers, in a form that exports well.

Its input is a log-mel spectrogram, its encoder conformer blocks with a causal convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activations import ACTIVATIONS
from .attention import SelfAttention
from .backbone import Adapter, Backbone, FeatureProjection, gated
from .config import BertConfig
from .conformer import ConformerEncoder, ConformerLayer, FeedForward
from .masks import Convolution, PaddingContract, frame_mask, key_mask, masked


class CausalConvolutionModule(nn.Module):
    """Convolution module that sees no later frame (HF ``Wav2Vec2BertConvolutionModule``)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, kernel = config.hidden_size, config.conv_depthwise_kernel_size
        self.layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.pointwise_conv1 = nn.Linear(width, 2 * width, bias=False)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, groups=width, bias=False)
        self.depthwise_layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.pointwise_conv2 = nn.Linear(width, width, bias=False)
        self.past = kernel - 1

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [batch, time, hidden]; mask [batch, time] true at valid frames.

        No valid frame sees the padding, which is at its end: the mask, if given, only makes padded frames those of HF.
        """
        x = self.layer_norm(x)
        if mask is not None:
            x = masked(x, mask)
        x = F.glu(self.pointwise_conv1(x), dim=-1)
        x = self.depthwise_conv(F.pad(x.transpose(1, 2), (self.past, 0))).transpose(1, 2)
        return self.pointwise_conv2(self.activation(self.depthwise_layer_norm(x)))


class BertAdapterLayer(nn.Module):
    """Strided transformer layer after the encoder (HF ``Wav2Vec2BertAdapterLayer``)."""

    def __init__(self, config: BertConfig, convolution: Convolution) -> None:
        super().__init__()
        width, eps = config.output_size, config.layer_norm_eps
        kernel, stride, padding = convolution
        self.residual_layer_norm = nn.LayerNorm(width, eps=eps)
        self.residual_conv = nn.Conv1d(width, 2 * width, kernel, stride, padding)
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=eps)
        self.self_attn_conv = nn.Conv1d(width, 2 * width, kernel, stride, padding)
        self.self_attn = SelfAttention(config, width)
        self.ffn_layer_norm = nn.LayerNorm(width, eps=eps)
        self.ffn = FeedForward(config, width, config.adapter_act)

    def forward(self, x: Tensor, mask: Tensor | None, adapted: Tensor) -> Tensor:
        """x [batch, frames, width] -> [batch, fewer frames, width].

        mask [batch, frames]: valid frames of x, None to let padding in as HF does; adapted: those of the result.
        """
        residual, x = self.residual_layer_norm(x), self.self_attn_layer_norm(x)
        if mask is not None:
            residual, x = masked(residual, mask), masked(x, mask)
        residual = gated(self.residual_conv, residual)
        x = gated(self.self_attn_conv, x)
        x = residual + self.self_attn(x, key_mask(adapted, x.dtype), None)
        return x + self.ffn(self.ffn_layer_norm(x))


class BertAdapter(Adapter):
    """The stack of adapter layers (HF ``Wav2Vec2BertAdapter``)."""

    def __init__(self, config: BertConfig, padding: PaddingContract) -> None:
        super().__init__(config, padding, config.layer_norm_eps)
        self.layers = nn.ModuleList(BertAdapterLayer(config, each) for each in self.convolutions)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x [batch, frames, hidden], mask [batch, frames] -> x and mask at the adapter's frames."""
        x = self.project(x)
        lengths, frames = mask.sum(-1), x.shape[1]
        for index, (layer, (kernel, stride, padding)) in enumerate(zip(self.layers, self.convolutions)):
            frames = (frames + 2 * padding - kernel) // stride + 1
            adapted = frame_mask(lengths, frames, self.convolutions[: index + 1])
            x = layer(x, mask if self.masked else None, adapted)
            mask = adapted
        return x, mask


class Wav2Vec2Bert(Backbone):
    """The model of this family without a head (HF ``Wav2Vec2BertModel``)."""

    input_name = "input_features"
    input_axes = ("batch", "frames")
    second = 50

    def __init__(self, config: BertConfig, padding: PaddingContract) -> None:
        eps = config.layer_norm_eps
        layers = [ConformerLayer(config, CausalConvolutionModule(config), eps) for _ in range(config.num_hidden_layers)]
        projection = FeatureProjection(config.feature_projection_input_dim, config)
        # An adapter under hf-exact reads what the encoder made of the padding.
        encoder = ConformerEncoder(config, layers, nn.Identity(), masked_conv=padding == "hf-exact")
        super().__init__(config, padding, projection, encoder)
        self.features = config.feature_projection_input_dim
        self.intermediate_ffn = None
        if config.use_intermediate_ffn_before_adapter:
            self.intermediate_ffn = FeedForward(config, activation="relu")
        self.adapter = BertAdapter(config, padding) if config.add_adapter else None

    def example(self, length: int, batch: int = 1) -> Tensor:
        return torch.zeros(batch, length, self.features)

    def front(self, inputs: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, attention_mask > 0

    def adapt(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if self.intermediate_ffn is not None:
            hidden = hidden + 0.5 * self.intermediate_ffn(hidden)
        return (hidden, mask) if self.adapter is None else self.adapter(hidden, mask)
