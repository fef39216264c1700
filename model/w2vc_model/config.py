"""The part of ``config.json`` that decides what an inference computes.

Names and defaults are those of Hugging Face's configuration classes. Values that only matter for training (dropouts,
the contrastive loss) are not kept; values that are kept and not supported are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import Self

from .activations import ACTIVATIONS
from .errors import ConfigError, listed, shown
from .masks import Convolution

FEATURE_NORMS = ("group", "layer")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
# Of a width, a kernel, a number of tokens or labels: far above any model, and low enough that no shape overflows.
LARGEST = 1_000_000
MOST_LAYERS = 1_000


@dataclass(frozen=True)
class SpeechConfig:
    """What the families have in common: an encoder, an adapter after it, and the heads."""

    model_type: ClassVar[str]
    positive: ClassVar[tuple[str, ...]] = (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "classifier_proj_size",
        "xvector_output_dim", "adapter_kernel_size", "adapter_stride", "num_adapter_layers", "output_hidden_size",
    )  # fmt: skip
    boolean: ClassVar[tuple[str, ...]] = ("add_adapter", "use_weighted_layer_sum", "apply_spec_augment")
    layers: ClassVar[tuple[str, ...]] = ("num_hidden_layers", "num_adapter_layers")
    # Lists of positive numbers, grouped by what must have the same length.
    sizes: ClassVar[tuple[tuple[str, ...], ...]] = (("tdnn_dim", "tdnn_kernel", "tdnn_dilation"),)
    activations: ClassVar[tuple[str, ...]] = ("hidden_act",)

    architectures: tuple[str, ...] | None = None
    vocab_size: int | None = None
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5
    apply_spec_augment: bool = True
    add_adapter: bool = False
    adapter_kernel_size: int = 3
    adapter_stride: int = 2
    num_adapter_layers: int = 3
    output_hidden_size: int | None = None
    use_weighted_layer_sum: bool = False
    classifier_proj_size: int = 256
    tdnn_dim: tuple[int, ...] = (512, 512, 512, 512, 1500)
    tdnn_kernel: tuple[int, ...] = (5, 3, 3, 1, 1)
    tdnn_dilation: tuple[int, ...] = (1, 2, 3, 1, 1)
    xvector_output_dim: int = 512
    id2label: dict[str, str] | None = None
    num_labels: int | None = None
    problem_type: str | None = None
    transformers_version: str | None = None

    @property
    def head_size(self) -> int:
        """Channels of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def output_size(self) -> int:
        """Channels of the last hidden state: those of the adapter, where there is one."""
        return (self.output_hidden_size or self.hidden_size) if self.add_adapter else self.hidden_size

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes by index (HF ``id2label``); two nameless ones where the configuration has none."""
        if self.id2label is None:
            return tuple(f"LABEL_{index}" for index in range(self.num_labels or 2))
        return tuple(self.id2label[str(index)] for index in range(len(self.id2label)))

    @property
    def normalises_last_state(self) -> bool:
        """Whether the last of the hidden states is taken after the encoder's final norm, as transformers 4 took it.

        From version 5 on it is what the last layer gave. A checkpoint is exported with what it was made with.
        """
        return str(self.transformers_version or "5").split(".")[0] in ("2", "3", "4")

    @property
    def position(self) -> str:
        """How frames know their place, as a manifest names it."""
        raise NotImplementedError

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        """The convolutions in front of the encoder, which fix its frames."""
        raise NotImplementedError

    @property
    def adapter_convolutions(self) -> tuple[Convolution, ...]:
        """The convolutions after the encoder; none without an adapter."""
        if not self.add_adapter:
            return ()
        layer = Convolution(self.adapter_kernel_size, self.adapter_stride, self.adapter_padding)
        return (layer,) * self.num_adapter_layers

    @property
    def adapter_padding(self) -> int:
        """Frames of zeros on either side of an adapter's convolution."""
        return 1

    @property
    def adapter_is_counted(self) -> bool:
        """Whether Hugging Face's formula for the adapter's frames gives the frames that its convolution gives."""
        return self.adapter_kernel_size == 3

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
        for name in self.positive:
            self._positive(name, optional=name == "output_hidden_size")
        self._positive("vocab_size", optional=True)
        self._positive("num_labels", optional=True)
        for name in self.boolean:
            self._one_of(name, (True, False))
        for group in self.sizes:
            self._same_length(group)
        if not isinstance(self.layer_norm_eps, float) or not 0 < self.layer_norm_eps <= 1:
            value = shown(self.layer_norm_eps)
            raise ConfigError(f"config.json: layer_norm_eps must be a positive number, got {value}; supported: up to 1")
        for name in self.activations:
            self._one_of(name, ACTIVATIONS)
        self._one_of("problem_type", (None, *PROBLEM_TYPES))
        self._check_labels()
        self._multiple("hidden_size", "num_attention_heads")

    def _check_labels(self) -> None:
        if self.id2label is None:
            return
        if not isinstance(self.id2label, dict) or not self.id2label:
            raise ConfigError(
                f"config.json: id2label must map each class number to its name, got {shown(self.id2label)}"
            )
        nameless = [number for number, name in self.id2label.items() if not isinstance(name, str)]
        if nameless:
            raise ConfigError(
                f"config.json: id2label must give each class a name; it has no text for {listed(nameless)}"
            )
        missing = [str(index) for index in range(len(self.id2label)) if str(index) not in self.id2label]
        if missing:
            raise ConfigError(
                f"config.json: id2label has {len(self.id2label)} entries but no label for {listed(missing)}; "
                f"number the classes from 0 to {len(self.id2label) - 1}"
            )

    def _positive(self, name: str, optional: bool = False) -> None:
        value = getattr(self, name)
        if not (_is_positive(value) or (optional and value is None)):
            raise ConfigError(f"config.json: {name} must be a positive integer, got {shown(value)}")
        if value is not None:
            self._at_most(name, value, MOST_LAYERS if name in self.layers else LARGEST)

    def _at_most(self, name: str, value: int, most: int) -> None:
        if value > most:
            raise ConfigError(f"config.json: {name} {value} is not supported; supported: up to {most}")

    def _one_of(self, name: str, allowed: Collection[Any]) -> None:
        if (value := getattr(self, name)) not in tuple(allowed):  # a dict would want to hash it
            choices = ", ".join("null" if choice is None else str(choice) for choice in allowed)
            raise ConfigError(f"config.json: {name} {shown(value)} is not supported; supported: {choices}")

    def _same_length(self, names: tuple[str, ...]) -> None:
        for name in names:
            sizes = getattr(self, name)
            if not isinstance(sizes, tuple) or not sizes or not all(map(_is_positive, sizes)):
                value = list(sizes) if isinstance(sizes, tuple) else sizes
                raise ConfigError(f"config.json: {name} must be a list of positive integers, got {shown(value)}")
            self._at_most(f"the length of {name}", len(sizes), MOST_LAYERS)
            self._at_most(name, max(sizes), LARGEST)
        lengths = [len(getattr(self, name)) for name in names]
        if len(set(lengths)) > 1:
            raise ConfigError(
                f"config.json: {', '.join(names[:-1])} and {names[-1]} must have the same length, "
                f"got {', '.join(map(str, lengths[:-1]))} and {lengths[-1]}"
            )

    def _multiple(self, name: str, divisor: str) -> None:
        value, by = getattr(self, name), getattr(self, divisor)
        if value % by:
            raise ConfigError(f"config.json: {name} {value} must be a multiple of {divisor} {by}")


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


@dataclass(frozen=True)
class WaveformConfig(SpeechConfig):
    """A convolutional front end over samples, and the quantizer of pretraining."""

    positive: ClassVar[tuple[str, ...]] = (
        *SpeechConfig.positive, "num_codevectors_per_group", "num_codevector_groups", "codevector_dim",
        "proj_codevector_dim",
    )  # fmt: skip
    boolean: ClassVar[tuple[str, ...]] = (*SpeechConfig.boolean, "conv_bias")
    sizes: ClassVar[tuple[tuple[str, ...], ...]] = (("conv_dim", "conv_kernel", "conv_stride"), *SpeechConfig.sizes)
    activations: ClassVar[tuple[str, ...]] = ("hidden_act", "feat_extract_activation")

    feat_extract_norm: str = "group"
    feat_extract_activation: str = "gelu"
    conv_dim: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    num_codevectors_per_group: int = 320
    num_codevector_groups: int = 2
    codevector_dim: int = 256
    proj_codevector_dim: int = 256

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        return tuple(Convolution(kernel, stride) for kernel, stride in zip(self.conv_kernel, self.conv_stride))

    def check(self) -> None:
        super().check()
        self._one_of("feat_extract_norm", FEATURE_NORMS)
        self._multiple("codevector_dim", "num_codevector_groups")


@dataclass(frozen=True)
class ConformerFields(SpeechConfig):
    """What the two families with conformer blocks have in common."""

    kinds: ClassVar[tuple[str | None, ...]]

    position_embeddings_type: str | None = "relative"
    rotary_embedding_base: int = 10000
    conv_depthwise_kernel_size: int = 31

    @property
    def position(self) -> str:
        return self.position_embeddings_type or "none"

    def check(self) -> None:
        super().check()
        self._positive("conv_depthwise_kernel_size")
        self._positive("rotary_embedding_base")
        self._one_of("position_embeddings_type", self.kinds)
        if self.position_embeddings_type == "relative" and self.hidden_size % 2:
            raise ConfigError(f"config.json: relative positions need an even hidden_size, got {self.hidden_size}")
        if self.position_embeddings_type == "rotary" and self.head_size % 2:
            raise ConfigError(f"config.json: rotary positions need an even head size, got {self.head_size}")
        if self.conv_depthwise_kernel_size % 2 == 0:
            raise ConfigError(
                f"config.json: conv_depthwise_kernel_size must be odd, got {self.conv_depthwise_kernel_size}"
            )


@dataclass(frozen=True)
class ConformerConfig(ConformerFields, WaveformConfig):
    """Hyper-parameters of a Wav2Vec2-Conformer (HF ``Wav2Vec2ConformerConfig``)."""

    model_type: ClassVar[str] = "wav2vec2-conformer"
    kinds: ClassVar[tuple[str | None, ...]] = (None, "relative", "rotary")


@dataclass(frozen=True)
class BertConfig(ConformerFields):
    """Hyper-parameters of a Wav2Vec2-BERT (HF ``Wav2Vec2BertConfig``)."""

    model_type: ClassVar[str] = "wav2vec2-bert"
    kinds: ClassVar[tuple[str | None, ...]] = (None, "relative", "relative_key", "rotary")
    positive: ClassVar[tuple[str, ...]] = (*SpeechConfig.positive, "feature_projection_input_dim")
    boolean: ClassVar[tuple[str, ...]] = (*SpeechConfig.boolean, "use_intermediate_ffn_before_adapter")
    activations: ClassVar[tuple[str, ...]] = ("hidden_act", "adapter_act")

    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    intermediate_size: int = 4096
    hidden_act: str = "swish"
    num_adapter_layers: int = 1
    classifier_proj_size: int = 768
    feature_projection_input_dim: int = 160
    position_embeddings_type: str | None = "relative_key"
    left_max_position_embeddings: int = 64
    right_max_position_embeddings: int = 8
    adapter_act: str = "relu"
    use_intermediate_ffn_before_adapter: bool = False

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        return ()

    @property
    def adapter_padding(self) -> int:
        return self.adapter_stride // 2

    @property
    def adapter_is_counted(self) -> bool:
        return self.adapter_kernel_size // 2 == self.adapter_padding

    def check(self) -> None:
        super().check()
        for name in ("left_max_position_embeddings", "right_max_position_embeddings"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ConfigError(f"config.json: {name} must be a number of frames, 0 or more, got {shown(value)}")
            self._at_most(name, value, LARGEST)
        if self.use_intermediate_ffn_before_adapter and not self.add_adapter:
            raise ConfigError("config.json: use_intermediate_ffn_before_adapter needs add_adapter true")
        if self.add_adapter and self.output_size % self.num_attention_heads:
            raise ConfigError(
                f"config.json: output_hidden_size {self.output_size} must be a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )


@dataclass(frozen=True)
class Wav2Vec2Config(WaveformConfig):
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
        self._positive("adapter_attn_dim", optional=True)
        self._one_of("do_stable_layer_norm", (True, False))
        if self.adapter_attn_dim is not None and not self.do_stable_layer_norm:
            raise ConfigError("config.json: adapter_attn_dim needs do_stable_layer_norm true, as in Hugging Face")
        self._multiple("hidden_size", "num_conv_pos_embedding_groups")
