"""The part of ``config.json`` that decides what an inference computes.

Names and defaults are those of Hugging Face's configuration classes. Values that only matter for training (dropouts,
SpecAugment, the contrastive loss) are not kept; values that are kept and not supported are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import Self

from .activations import ACTIVATIONS
from .attention import POSITION_KINDS
from .errors import ConfigError

FEATURE_NORMS = ("group", "layer")


@dataclass(frozen=True)
class SpeechConfig:
    """What the families have in common: a convolutional front end, an encoder, a CTC head."""

    model_type: ClassVar[str]

    vocab_size: int | None = None
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5
    feat_extract_norm: str = "group"
    feat_extract_activation: str = "gelu"
    conv_dim: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    add_adapter: bool = False

    @property
    def head_size(self) -> int:
        """Channels of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def position(self) -> str:
        """How frames know their place, as a manifest names it."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Take the fields of a parsed ``config.json``; raise `ConfigError` on the first one that is not supported."""
        known: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            if field.name in values:
                value = values[field.name]
                known[field.name] = tuple(value) if isinstance(value, list) else value
        config = cls(**known)
        config.check()
        return config

    def check(self) -> None:
        """Raise `ConfigError` on a value that is not supported."""
        positive = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        for name in positive:
            self._positive(name)
        if self.vocab_size is not None:
            self._positive("vocab_size")
        for name in ("conv_dim", "conv_kernel", "conv_stride"):
            sizes = getattr(self, name)
            if not isinstance(sizes, tuple) or not sizes or not all(map(_is_positive, sizes)):
                shown = list(sizes) if isinstance(sizes, tuple) else sizes
                raise ConfigError(f"config.json: {name} must be a list of positive integers, got {shown!r}")
        if not len(self.conv_dim) == len(self.conv_kernel) == len(self.conv_stride):
            raise ConfigError(
                f"config.json: conv_dim, conv_kernel and conv_stride must have the same length, "
                f"got {len(self.conv_dim)}, {len(self.conv_kernel)} and {len(self.conv_stride)}"
            )
        for name in ("conv_bias", "add_adapter"):
            self._one_of(name, (True, False))
        if not isinstance(self.layer_norm_eps, float) or not self.layer_norm_eps > 0:
            raise ConfigError(f"config.json: layer_norm_eps must be a positive number, got {self.layer_norm_eps!r}")
        self._one_of("feat_extract_norm", FEATURE_NORMS)
        self._one_of("hidden_act", ACTIVATIONS)
        self._one_of("feat_extract_activation", ACTIVATIONS)
        if self.add_adapter:
            raise ConfigError("config.json: add_adapter true is not supported; export a checkpoint without an adapter")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"config.json: hidden_size {self.hidden_size} must be a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )

    def _positive(self, name: str) -> None:
        if not _is_positive(value := getattr(self, name)):
            raise ConfigError(f"config.json: {name} must be a positive integer, got {value!r}")

    def _one_of(self, name: str, allowed: Collection[Any]) -> None:
        if (value := getattr(self, name)) not in allowed:
            choices = ", ".join("null" if choice is None else str(choice) for choice in allowed)
            raise ConfigError(f"config.json: {name} {value!r} is not supported; supported: {choices}")


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


@dataclass(frozen=True)
class ConformerConfig(SpeechConfig):
    """Hyper-parameters of a Wav2Vec2-Conformer (HF ``Wav2Vec2ConformerConfig``)."""

    model_type: ClassVar[str] = "wav2vec2-conformer"

    position_embeddings_type: str | None = "relative"
    rotary_embedding_base: int = 10000
    conv_depthwise_kernel_size: int = 31

    @property
    def position(self) -> str:
        return POSITION_KINDS[self.position_embeddings_type].name

    def check(self) -> None:
        super().check()
        self._positive("conv_depthwise_kernel_size")
        self._positive("rotary_embedding_base")
        self._one_of("position_embeddings_type", POSITION_KINDS)
        if self.position_embeddings_type == "relative" and self.hidden_size % 2:
            raise ConfigError(f"config.json: relative positions need an even hidden_size, got {self.hidden_size}")
        if self.position_embeddings_type == "rotary" and self.head_size % 2:
            raise ConfigError(f"config.json: rotary positions need an even head size, got {self.head_size}")
        if self.conv_depthwise_kernel_size % 2 == 0:
            raise ConfigError(
                f"config.json: conv_depthwise_kernel_size must be odd, got {self.conv_depthwise_kernel_size}"
            )


@dataclass(frozen=True)
class Wav2Vec2Config(SpeechConfig):
    """Hyper-parameters of a Wav2Vec2 (HF ``Wav2Vec2Config``)."""

    model_type: ClassVar[str] = "wav2vec2"

    do_stable_layer_norm: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    adapter_attn_dim: int | None = None

    @property
    def position(self) -> str:
        return "convolutional"

    def check(self) -> None:
        super().check()
        self._positive("num_conv_pos_embeddings")
        self._positive("num_conv_pos_embedding_groups")
        self._one_of("do_stable_layer_norm", (True, False))
        if self.adapter_attn_dim is not None:
            self._positive("adapter_attn_dim")
            if not self.do_stable_layer_norm:
                raise ConfigError("config.json: adapter_attn_dim needs do_stable_layer_norm true, as in Hugging Face")
        if self.hidden_size % self.num_conv_pos_embedding_groups:
            raise ConfigError(
                f"config.json: hidden_size {self.hidden_size} must be a multiple of "
                f"num_conv_pos_embedding_groups {self.num_conv_pos_embedding_groups}"
            )
