"""The third model: a small Wav2Vec2 that names the one digit in a clip."""

from pathlib import Path

import numpy as np
import torch
from strings import WORDS
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from model import FIELD_SAMPLES, normalize, save_weights


def build_config() -> Wav2Vec2Config:
    """The architecture, that of superb/wav2vec2-base-superb-ks in small: 0.75 million parameters."""
    return Wav2Vec2Config(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        conv_dim=[48, 64, 96, 96, 128, 128, 128],
        conv_kernel=[10, 3, 3, 3, 3, 2, 2],
        conv_stride=[5, 2, 2, 2, 2, 2, 2],
        conv_bias=False,
        feat_extract_norm="group",
        do_stable_layer_norm=False,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=16,
        hidden_dropout=0.1,
        activation_dropout=0.0,
        attention_dropout=0.1,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        # The shortest clips have 5 frames.
        mask_time_prob=0.06,
        mask_time_length=3,
        mask_time_min_masks=0,
        mask_feature_prob=0.05,
        mask_feature_length=8,
        use_weighted_layer_sum=True,
        classifier_proj_size=64,
        id2label=dict(enumerate(WORDS)),
        label2id={word: digit for digit, word in enumerate(WORDS)},
    )


@torch.no_grad()
def classify(model: Wav2Vec2ForSequenceClassification, audio: np.ndarray) -> str:
    """The word in one clip: float (samples,) at 16 kHz."""
    if len(audio) < FIELD_SAMPLES:
        return ""
    logits = model(torch.from_numpy(normalize(audio))[None]).logits
    return model.config.id2label[int(logits[0].argmax())]


def save(model: Wav2Vec2ForSequenceClassification, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write a complete Hugging Face checkpoint with `weights` in float16.

    No attention mask, as for the published models with group norm: that norm takes in the padding of a batch,
    which no mask keeps out.
    """
    save_weights(model, weights, folder)
    Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16000, padding_value=0.0, do_normalize=True, return_attention_mask=False
    ).save_pretrained(folder)
