"""The part of ``config.json`` that decides what an inference computes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from .activations import ACTIVATIONS
from .errors import ConfigError
from .positions import POSITION_KINDS

FEATURE_NORMS = ("group", "layer")


@dataclass(frozen=True)
class ConformerConfig:
    """Hyper-parameters of a Wav2Vec2-Conformer (HF ``Wav2Vec2ConformerConfig``); names and defaults are Hugging Face's.

    Values that only matter for training (dropouts, SpecAugment, the contrastive loss) are not kept.
    """

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
    pad_token_id: int = 0
    add_adapter: bool = False
    position_embeddings_type: str | None = "relative"
    rotary_embedding_base: int = 10000
    conv_depthwise_kernel_size: int = 31

    @property
    def head_size(self) -> int:
        """Channels of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ConformerConfig:
        """Take the fields of a parsed ``config.json``; raise `ConfigError` on the first one that is not supported."""
        known: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            if field.name in values:
                value = values[field.name]
                known[field.name] = tuple(value) if isinstance(value, list) else value
        config = cls(**known)
        config._check()
        return config

    def _check(self) -> None:
        for name in (
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "conv_depthwise_kernel_size",
            "rotary_embedding_base",
        ):
            _positive(name, getattr(self, name))
        if self.vocab_size is not None:
            _positive("vocab_size", self.vocab_size)
        for name in ("conv_dim", "conv_kernel", "conv_stride"):
            sizes = getattr(self, name)
            if not isinstance(sizes, tuple) or not sizes:
                raise ConfigError(f"config.json: {name} must be a list of positive integers, got {sizes!r}")
            for size in sizes:
                _positive(name, size)
        if not len(self.conv_dim) == len(self.conv_kernel) == len(self.conv_stride):
            raise ConfigError(
                f"config.json: conv_dim, conv_kernel and conv_stride must have the same length, "
                f"got {len(self.conv_dim)}, {len(self.conv_kernel)} and {len(self.conv_stride)}"
            )
        _one_of("feat_extract_norm", self.feat_extract_norm, FEATURE_NORMS)
        _one_of("hidden_act", self.hidden_act, ACTIVATIONS)
        _one_of("feat_extract_activation", self.feat_extract_activation, ACTIVATIONS)
        _one_of("position_embeddings_type", self.position_embeddings_type, POSITION_KINDS)
        if self.add_adapter:
            raise ConfigError("config.json: add_adapter true is not supported; export a checkpoint without an adapter")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"config.json: hidden_size {self.hidden_size} must be a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )
        if self.position_embeddings_type == "relative" and self.hidden_size % 2:
            raise ConfigError(f"config.json: relative positions need an even hidden_size, got {self.hidden_size}")
        if self.position_embeddings_type == "rotary" and self.head_size % 2:
            raise ConfigError(f"config.json: rotary positions need an even head size, got {self.head_size}")
        if self.conv_depthwise_kernel_size % 2 == 0:
            raise ConfigError(
                f"config.json: conv_depthwise_kernel_size must be odd, got {self.conv_depthwise_kernel_size}"
            )


def _positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"config.json: {name} must be a positive integer, got {value!r}")


def _one_of(name: str, value: object, allowed: Any) -> None:
    if value not in allowed:
        choices = ", ".join("null" if choice is None else str(choice) for choice in allowed)
        raise ConfigError(f"config.json: {name} {value!r} is not supported; supported: {choices}")
