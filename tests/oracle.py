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
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerForCTC,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)

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
# Two layers of the published checkpoints named below, with their own width, heads, kernels and norms.
LARGE: dict[str, Any] = {
    "vocab_size": len(LETTERS),
    "hidden_size": 1024,
    "num_hidden_layers": 2,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "hidden_act": "swish",
    "conv_bias": True,
    "conv_dim": (512,) * 7,
    "conv_depthwise_kernel_size": 31,
    "feat_extract_norm": "layer",
}
PUBLISHED = {
    "wav2vec2-conformer-rel-pos-large-960h-ft": {**LARGE, "position_embeddings_type": "relative"},
    "wav2vec2-conformer-rope-large-960h-ft": {**LARGE, "position_embeddings_type": "rotary"},
}
POSITIONS = ("relative", "rotary", None)
NORMS = ("group", "layer")


def conformer(seed: int = 0, **config: Any) -> Wav2Vec2ConformerForCTC:
    """A model whose every parameter matters.

    Hugging Face's initial weights are so small that attention is nearly uniform and positions hardly count; here each
    product keeps the scale of its input, and norms, statistics and biases are away from 1 and 0.
    """
    torch.manual_seed(seed)
    model = Wav2Vec2ConformerForCTC(Wav2Vec2ConformerConfig(**config)).eval()
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


def save(model: Wav2Vec2ConformerForCTC, directory: Path, **extractor: Any) -> Path:
    """Write a complete checkpoint: model, feature extractor, tokenizer."""
    model.save_pretrained(directory)
    Wav2Vec2FeatureExtractor(**{"return_attention_mask": True, **extractor}).save_pretrained(directory)
    vocabulary = directory / "letters.json"
    vocabulary.write_text(json.dumps({letter: index for index, letter in enumerate(LETTERS)}))
    Wav2Vec2CTCTokenizer(vocabulary).save_pretrained(directory)
    vocabulary.unlink()
    return directory


@cache
def tiny(position: str | None = "relative", norm: str = "layer") -> tuple[Wav2Vec2ConformerForCTC, Path]:
    """A tiny model and its checkpoint, made once for all tests; do not write in its directory."""
    model = conformer(**TINY, position_embeddings_type=position, feat_extract_norm=norm, conv_bias=norm == "layer")
    return model, save(model, Path(mkdtemp()) / f"tiny-{position}-{norm}")


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
def alone(model: Wav2Vec2ConformerForCTC, clip: np.ndarray) -> np.ndarray:
    """Hugging Face's logits [frames, vocabulary] of one clip by itself."""
    return model(torch.from_numpy(clip)[None]).logits[0].numpy()


@torch.no_grad()
def together(model: Wav2Vec2ConformerForCTC, batch: list[np.ndarray]) -> np.ndarray:
    """Hugging Face's logits [batch, frames, vocabulary] of a padded batch."""
    values, mask = padded(batch)
    return model(values, attention_mask=mask).logits.numpy()


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference relative to the largest expected value."""
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.abs(expected).max())
