"""Hugging Face models with random weights: the oracle, built here, downloaded never."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from transformers import (
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerForCTC,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
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
}
# What is tested, by the name its tests carry: configuration class, model class, what sets it apart.
ARCHITECTURES: dict[str, tuple[type, type, dict[str, Any]]] = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2ForCTC, {"do_stable_layer_norm": False}),
    "wav2vec2-stable": (Wav2Vec2Config, Wav2Vec2ForCTC, {"do_stable_layer_norm": True}),
    "conformer-relative": (Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC, {"position_embeddings_type": "relative"}),
    "conformer-rotary": (Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC, {"position_embeddings_type": "rotary"}),
    "conformer-none": (Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC, {"position_embeddings_type": None}),
}
NORMS = ("group", "layer")
# Two layers of the published checkpoints named below, with their own width, heads, kernels, activations and norms.
LARGE: dict[str, Any] = {
    "vocab_size": len(LETTERS),
    "hidden_size": 1024,
    "num_hidden_layers": 2,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_bias": True,
    "feat_extract_norm": "layer",
}
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2-base-960h": (
        "wav2vec2",
        {"vocab_size": len(LETTERS), "num_hidden_layers": 2, "feat_extract_norm": "group", "conv_bias": False},
    ),
    "wav2vec2-large-960h-lv60-self": ("wav2vec2-stable", LARGE),
    "wav2vec2-conformer-rel-pos-large-960h-ft": ("conformer-relative", {**LARGE, "hidden_act": "swish"}),
    "wav2vec2-conformer-rope-large-960h-ft": ("conformer-rotary", {**LARGE, "hidden_act": "swish"}),
    # Nobody published these two; they complete the kinds at real width.
    "wav2vec2-conformer-none-large, group norm": (
        "conformer-none",
        {**LARGE, "hidden_act": "swish", "feat_extract_norm": "group", "conv_bias": False},
    ),
    "wav2vec2-conformer-rel-pos-large, group norm": (
        "conformer-relative",
        {**LARGE, "hidden_act": "swish", "feat_extract_norm": "group", "conv_bias": False},
    ),
}


def build(architecture: str, seed: int = 0, **config: Any) -> PreTrainedModel:
    """A model whose every parameter matters.

    Hugging Face's initial weights are so small that attention is nearly uniform and positions hardly count; here each
    product keeps the scale of its input, and norms, statistics and biases are away from 1 and 0.
    """
    torch.manual_seed(seed)
    configuration, kind, own = ARCHITECTURES[architecture]
    model = kind(configuration(**{**config, **own})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.uniform_(0.6, 1.4)
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
    Wav2Vec2FeatureExtractor(**{"return_attention_mask": True, **extractor}).save_pretrained(directory)
    vocabulary = directory / "letters.json"
    vocabulary.write_text(json.dumps({letter: index for index, letter in enumerate(LETTERS)}))
    Wav2Vec2CTCTokenizer(vocabulary).save_pretrained(directory)
    vocabulary.unlink()
    return directory


@cache
def tiny(architecture: str = "conformer-relative", norm: str = "layer") -> tuple[PreTrainedModel, Path]:
    """A tiny model and its checkpoint, made once for all tests; do not write in its directory."""
    model = build(architecture, **TINY, feat_extract_norm=norm, conv_bias=norm == "layer")
    return model, save(model, Path(mkdtemp()) / f"tiny-{architecture}-{norm}")


def clips(*lengths: int, seed: int = 0) -> list[np.ndarray]:
    """Noise of the given lengths in samples."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(length).astype(np.float32) for length in lengths]


def padded(batch: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """``input_values`` and ``attention_mask`` of clips padded with zeros."""
    values = torch.zeros(len(batch), max(map(len, batch)))
    mask = torch.zeros(values.shape, dtype=torch.int64)
    for row, clip in enumerate(batch):
        values[row, : len(clip)] = torch.from_numpy(clip)
        mask[row, : len(clip)] = 1
    return values, mask


@torch.no_grad()
def alone(model: PreTrainedModel, clip: np.ndarray) -> np.ndarray:
    """Hugging Face's logits [frames, vocabulary] of one clip by itself."""
    return model(torch.from_numpy(clip)[None]).logits[0].numpy()


@torch.no_grad()
def together(model: PreTrainedModel, batch: list[np.ndarray]) -> np.ndarray:
    """Hugging Face's logits [batch, frames, vocabulary] of a padded batch."""
    values, mask = padded(batch)
    return model(values, attention_mask=mask).logits.numpy()


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference relative to the largest expected value."""
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.abs(expected).max())
