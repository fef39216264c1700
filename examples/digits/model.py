"""The model: a small Wav2Vec2-Conformer, its vocabulary, and its Hugging Face folder on disk."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    PreTrainedModel,
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerForCTC,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)

VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"etaonihsrdlumwcfgypbvk'xjqz"]
"""Tokens in the order of their ids: the 32 of wav2vec2-base-960h, in lower case."""

BLANK = VOCABULARY.index("<pad>")
WORD_END = VOCABULARY.index("|")

FRAME_SAMPLES = 320
"""Samples from one output frame to the next: 20 ms at 16 kHz."""

FIELD_SAMPLES = 400
"""Samples that the convolutions in front see for one frame: 25 ms at 16 kHz."""


def frame_count(samples: int, field: int = FIELD_SAMPLES) -> int:
    """Output frames for a recording of `samples` samples, each made from `field` samples."""
    return max(0, (samples - field) // FRAME_SAMPLES + 1)


def normalize(audio: np.ndarray) -> np.ndarray:
    """`audio` (samples,) with mean 0 and variance 1, as Wav2Vec2FeatureExtractor does it."""
    return ((audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)).astype(np.float32)


TRAINING: dict[str, Any] = {
    "hidden_dropout": 0.0,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "final_dropout": 0.0,
    "layerdrop": 0.0,
    "conformer_conv_dropout": 0.1,
    # The shortest words last 7 frames: the stock masks of 10 frames would hide them whole.
    "mask_time_prob": 0.04,
    "mask_time_length": 3,
    "mask_time_min_masks": 0,
    "mask_feature_prob": 0.05,
    "mask_feature_length": 8,
    "ctc_loss_reduction": "mean",
    "ctc_zero_infinity": True,
    "pad_token_id": BLANK,
    "bos_token_id": VOCABULARY.index("<s>"),
    "eos_token_id": VOCABULARY.index("</s>"),
}
"""What every model of digit strings has in its configuration."""


def build_config() -> Wav2Vec2ConformerConfig:
    """The architecture: 1.2 million parameters, 50 frames a second."""
    return Wav2Vec2ConformerConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        conv_dim=[32, 48, 64, 96, 96, 96, 96],
        conv_kernel=[10, 3, 3, 3, 3, 2, 2],
        conv_stride=[5, 2, 2, 2, 2, 2, 2],
        conv_bias=True,
        feat_extract_norm="layer",
        conv_depthwise_kernel_size=15,
        position_embeddings_type="relative",
        max_source_positions=1500,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=16,
        **TRAINING,
    )


@contextmanager
def isolated(model: Wav2Vec2ConformerForCTC, lengths: torch.Tensor) -> Iterator[torch.Tensor]:
    """Within the context, each recording of a padded batch gives what it gives alone.

    transformers lets the convolutions inside the layers read what they made of the padding; here they
    read zeros there, as they do past the end of a lone recording. `lengths`: (batch,) samples of each.
    Yields the frames of each, (batch,).
    """
    frames = (lengths - FIELD_SAMPLES) // FRAME_SAMPLES + 1
    padding = (torch.arange(int(frames.max())) >= frames[:, None]).unsqueeze(-1)
    hooks = [
        layer.conv_module.layer_norm.register_forward_hook(
            lambda module, inputs, output: output.masked_fill(padding, 0.0)
        )
        for layer in model.wav2vec2_conformer.encoder.layers
    ]
    try:
        yield frames
    finally:
        for hook in hooks:
            hook.remove()


def attention_mask(lengths: torch.Tensor) -> torch.Tensor:
    """1 where a recording is, 0 where its padding is: int64 (batch, samples) from lengths (batch,)."""
    return (torch.arange(int(lengths.max())) < lengths[:, None]).long()


def transcript(tokens: list[int]) -> str:
    """The words that a sequence of one token a frame stands for (greedy CTC)."""
    kept = [token for i, token in enumerate(tokens) if i == 0 or token != tokens[i - 1]]
    letters = "".join(" " if token == WORD_END else VOCABULARY[token] for token in kept if token > 3)
    return " ".join(letters.split())


@torch.no_grad()
def transcribe(model: Wav2Vec2ConformerForCTC, audio: np.ndarray) -> str:
    """The words in one recording: float (samples,) at 16 kHz."""
    if len(audio) < FIELD_SAMPLES:
        return ""
    logits = model(torch.from_numpy(normalize(audio))[None]).logits
    return transcript(logits[0].argmax(-1).tolist())


def save_weights(model: PreTrainedModel, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write config.json and `weights` in float16; `model` itself stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    half = type(model)(model.config)
    half.load_state_dict(weights)
    half.half().save_pretrained(folder)


def save_vocabulary(folder: Path) -> None:
    """Write the files of a Wav2Vec2CTCTokenizer."""
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({token: i for i, token in enumerate(VOCABULARY)}, indent=2) + "\n")
    tokenizer = Wav2Vec2CTCTokenizer(str(vocabulary))
    tokenizer.save_pretrained(folder)
    # transformers 5 keeps these in tokenizer_config.json alone; older readers look for the file.
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")


def save(model: Wav2Vec2ConformerForCTC, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write a complete Hugging Face checkpoint with `weights` in float16."""
    save_weights(model, weights, folder)
    Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16000, padding_value=0.0, do_normalize=True, return_attention_mask=True
    ).save_pretrained(folder)
    save_vocabulary(folder)
