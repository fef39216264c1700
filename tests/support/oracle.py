"""Hugging Face models with random weights: the oracle, built here, downloaded never."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from transformers import (
    PreTrainedModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2Config,
    Wav2Vec2ConformerConfig,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)
from transformers.utils import logging

logging.disable_progress_bar()

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"etaonihsrdlumcwfgypbvk'xjqz"]
TINY: dict[str, Any] = {
    "vocab_size": len(LETTERS),
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "conv_dim": (16, 24, 24, 24, 24, 24, 32),
    "conv_depthwise_kernel_size": 7,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 4,
    "left_max_position_embeddings": 7,
    "right_max_position_embeddings": 3,
    "classifier_proj_size": 20,
    "tdnn_dim": (24, 20, 28),
    "tdnn_kernel": (5, 3, 1),
    "tdnn_dilation": (1, 2, 1),
    "xvector_output_dim": 16,
    "num_codevector_groups": 3,
    "num_codevectors_per_group": 10,
    "codevector_dim": 24,
    "proj_codevector_dim": 18,
    "id2label": {0: "yes", 1: "no", 2: "perhaps"},
}
# One layer, and two convolutions in front, about as far apart as the usual seven: torch traces it in half the time.
BRIEF: dict[str, Any] = {
    "conv_dim": (16, 32),
    "conv_kernel": (10, 80),
    "conv_stride": (5, 64),
    "num_hidden_layers": 1,
}
# What is tested, by the name its tests carry: configuration class and what sets it apart.
ARCHITECTURES: dict[str, tuple[type, dict[str, Any]]] = {
    "wav2vec2": (Wav2Vec2Config, {"do_stable_layer_norm": False}),
    "wav2vec2-stable": (Wav2Vec2Config, {"do_stable_layer_norm": True}),
    "conformer-relative": (Wav2Vec2ConformerConfig, {"position_embeddings_type": "relative"}),
    "conformer-rotary": (Wav2Vec2ConformerConfig, {"position_embeddings_type": "rotary"}),
    "conformer-none": (Wav2Vec2ConformerConfig, {"position_embeddings_type": None}),
    "bert-relative_key": (Wav2Vec2BertConfig, {"position_embeddings_type": "relative_key"}),
    "bert-relative": (Wav2Vec2BertConfig, {"position_embeddings_type": "relative"}),
    "bert-rotary": (Wav2Vec2BertConfig, {"position_embeddings_type": "rotary"}),
    "bert-none": (Wav2Vec2BertConfig, {"position_embeddings_type": None}),
}
CLASSES = {
    "base": "Model",
    "ctc": "ForCTC",
    "sequence-classification": "ForSequenceClassification",
    "frame-classification": "ForAudioFrameClassification",
    "xvector": "ForXVector",
    "pretraining": "ForPreTraining",
}
OUTPUTS = {
    "base": ("last_hidden_state",),
    "xvector": ("logits", "embeddings"),
    "pretraining": ("projected_states", "projected_quantized_states", "codevector_perplexity"),
}
WEIGHTED = ("sequence-classification", "frame-classification", "xvector")
ADAPTED = ("base", "ctc", "xvector", "pretraining")
# Options of the configuration that change the graph, and the heads that have them.
OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "plain": (tuple(CLASSES), {}),
    "weighted sum": (WEIGHTED, {"use_weighted_layer_sum": True}),
    "adapter": (ADAPTED, {"add_adapter": True, "num_adapter_layers": 2}),
    "narrow adapter": (("base", "ctc"), {"add_adapter": True, "num_adapter_layers": 1, "output_hidden_size": 32}),
    "adapter after a feed-forward": (
        ("base", "ctc"),
        {"add_adapter": True, "num_adapter_layers": 1, "use_intermediate_ffn_before_adapter": True},
    ),
}


class Cell(NamedTuple):
    """One combination of the parity matrix. norm: of the convolutional front end, where there is one."""

    architecture: str
    norm: str
    head: str
    option: str = "plain"

    @property
    def config(self) -> dict[str, Any]:
        """What is added to `TINY`."""
        front = {} if self.norm == "log-mel" else {"feat_extract_norm": self.norm, "conv_bias": self.norm == "layer"}
        return {**front, **OPTIONS[self.option][1]}

    def __str__(self) -> str:
        return ", ".join(self).replace(" ", "-").replace(",-", ",")


def fronts(architecture: str) -> tuple[str, ...]:
    """Norms of the front end that an architecture can have."""
    return ("log-mel",) if architecture.startswith("bert") else ("group", "layer")


def matrix() -> list[Cell]:
    """Every valid combination."""
    cells = [
        Cell(architecture, norm, head, option)
        for architecture in ARCHITECTURES
        for norm in fronts(architecture)
        for option, (heads, _) in OPTIONS.items()
        for head in heads
    ]
    return [
        cell
        for cell in cells
        if (cell.head != "pretraining" if cell.norm == "log-mel" else not cell.option.endswith("feed-forward"))
    ]


def covering() -> list[Cell]:
    """A few cells that have between them every architecture and option, and of each family every norm and head."""

    def traits(cell: Cell) -> set[object]:
        family = ARCHITECTURES[cell.architecture][0]
        return {cell.architecture, cell.option, (family, cell.norm), (family, cell.head)}

    left = set().union(*map(traits, matrix()))
    chosen = []
    while left:
        best = max(matrix(), key=lambda cell: len(traits(cell) & left))  # the first of those that add the most
        left -= traits(best)
        chosen.append(best)
    return chosen


def model_class(architecture: str, head: str) -> type[PreTrainedModel]:
    """Hugging Face's class for a head."""
    return getattr(transformers, ARCHITECTURES[architecture][0].__name__.removesuffix("Config") + CLASSES[head])


def untrained(architecture: str, head: str = "ctc", seed: int = 0, **config: Any) -> PreTrainedModel:
    """A model as Hugging Face initialises it: norms of ones and zeros, all of them equal."""
    torch.manual_seed(seed)
    configuration, own = ARCHITECTURES[architecture]
    return model_class(architecture, head)(configuration(**{**config, **own})).eval()


def build(architecture: str, head: str = "ctc", seed: int = 0, **config: Any) -> PreTrainedModel:
    """A model whose every parameter matters.

    Hugging Face's initial weights are so small that attention is nearly uniform and positions hardly count; here each
    product keeps the scale of its input, and norms, statistics and biases are away from 1 and 0.
    """
    model = untrained(architecture, head, seed, **config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.uniform_(0.6, 1.4)
            elif name.endswith(("layer_weights", "distance_embedding.weight")):
                parameter.normal_(0.0, 1.0)
            elif parameter.ndim == 2:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.2)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0.0, 0.3)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    return model


def save(model: PreTrainedModel, directory: Path, **extractor: Any) -> Path:
    """Write a complete checkpoint: model, feature extractor, tokenizer."""
    model.save_pretrained(directory)
    if isinstance(model.config, Wav2Vec2BertConfig):
        SeamlessM4TFeatureExtractor(**extractor).save_pretrained(directory)
    else:
        Wav2Vec2FeatureExtractor(**{"return_attention_mask": True, **extractor}).save_pretrained(directory)
    vocabulary = directory / "letters.json"
    vocabulary.write_text(json.dumps({letter: index for index, letter in enumerate(LETTERS)}))
    Wav2Vec2CTCTokenizer(vocabulary).save_pretrained(directory)
    vocabulary.unlink()
    return directory


@cache
def tiny(
    architecture: str = "conformer-relative",
    norm: str = "layer",
    head: str = "ctc",
    option: str = "plain",
    brief: bool = False,
) -> tuple[PreTrainedModel, Path]:
    """A tiny model and its checkpoint, made once for all tests; do not write in its directory."""
    cell = Cell(architecture, norm, head, option)
    model = build(architecture, head, **{**TINY, **(BRIEF if brief else {})}, **cell.config)
    return model, save(model, Path(mkdtemp()) / str(cell).replace(",", "-"))


def clips(*lengths: int, seed: int = 0) -> list[np.ndarray]:
    """Noise of the given lengths in samples."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(length).astype(np.float32) for length in lengths]


def spectra(*lengths: int, seed: int = 0) -> list[np.ndarray]:
    """Features [frames, 160] of the given lengths in frames, as a log-mel spectrogram is distributed."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal((length, 160)).astype(np.float32) for length in lengths]


def padded(batch: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips [time] or [time, features] padded with zeros, and their ``attention_mask``."""
    longest = max(map(len, batch))
    values = torch.zeros(len(batch), longest, *batch[0].shape[1:])
    mask = torch.zeros(len(batch), longest, dtype=torch.int64)
    for row, clip in enumerate(batch):
        values[row, : len(clip)] = torch.from_numpy(clip)
        mask[row, : len(clip)] = 1
    return values, mask


def hidden_frames(model: PreTrainedModel, length: int) -> int:
    """Frames of a clip of that many samples in front of the encoder."""
    for kernel, stride in zip(getattr(model.config, "conv_kernel", ()), getattr(model.config, "conv_stride", ())):
        length = (length - kernel) // stride + 1
    return length


def time_mask(frames: int, rows: int = 1, seed: int = 0) -> torch.Tensor:
    """``mask_time_indices`` [rows, frames] that masks a third of the frames, among them the first."""
    mask = torch.from_numpy(np.random.default_rng(seed).random((rows, frames)) < 1 / 3)
    mask[:, 0] = True
    return mask


@torch.no_grad()
def answer(model: PreTrainedModel, head: str, *inputs: torch.Tensor | None) -> dict[str, np.ndarray]:
    """Hugging Face's outputs by name: the arguments are values, ``attention_mask`` or None, ``mask_time_indices``."""
    values, mask, *more = inputs
    states = {"output_hidden_states": True} if head == "base" else {}
    extra = {"mask_time_indices": more[0]} if more else {}
    result = model(values.clone(), attention_mask=mask, **extra, **states)
    outputs = {name: result[name].numpy() for name in OUTPUTS.get(head, ("logits",))}
    if head == "base":
        outputs |= {f"hidden_states_{i}": state.numpy() for i, state in enumerate(result.hidden_states)}
    return outputs


def alone(model: PreTrainedModel, clip: np.ndarray) -> np.ndarray:
    """Hugging Face's logits [frames, vocabulary] of one clip by itself."""
    return answer(model, "ctc", torch.from_numpy(clip)[None], None)["logits"][0]


def together(model: PreTrainedModel, batch: list[np.ndarray]) -> np.ndarray:
    """Hugging Face's logits [batch, frames, vocabulary] of a padded batch."""
    return answer(model, "ctc", *padded(batch))["logits"]


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference relative to the largest expected value."""
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.abs(expected).max())
