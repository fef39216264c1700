"""The second model: a small Wav2Vec2-BERT on mel features, with the vocabulary of the first."""

from pathlib import Path

import numpy as np
import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertForCTC

from model import TRAINING, VOCABULARY, save_vocabulary, save_weights, transcript

MEL_BINS = 80
MEL_FIELD = 400
MEL_SHIFT = 160
STRIDE = 2

FIELD_SAMPLES = MEL_FIELD + (STRIDE - 1) * MEL_SHIFT
"""Samples that two mel frames, which make one frame of the model, are computed from: 35 ms at 16 kHz."""

EXTRACTOR = SeamlessM4TFeatureExtractor(
    feature_size=MEL_BINS, num_mel_bins=MEL_BINS, sampling_rate=16000, stride=STRIDE, padding_value=0.0
)


def build_config() -> Wav2Vec2BertConfig:
    """The architecture: 1.3 million parameters, 50 frames a second."""
    return Wav2Vec2BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        num_hidden_layers=5,
        num_attention_heads=4,
        intermediate_size=256,
        feature_projection_input_dim=MEL_BINS * STRIDE,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=64,
        right_max_position_embeddings=8,
        conv_depthwise_kernel_size=15,
        add_adapter=False,
        **TRAINING,
    )


def mel_features(audio: np.ndarray) -> np.ndarray:
    """What EXTRACTOR makes of one recording, all its frames at once: float32 (frames, 160).

    Leaves out the frame that EXTRACTOR masks: the half frame at the end of an odd number of mel frames.
    """
    windows = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64) * 2**15, MEL_FIELD)[::MEL_SHIFT]
    windows = windows - windows.mean(1, keepdims=True)
    windows[:, 1:] -= 0.97 * windows[:, :-1]
    windows[:, 0] *= 1 - 0.97
    power = np.abs(np.fft.rfft(windows * EXTRACTOR.window, 512)) ** 2
    mel = np.log(np.maximum(power @ EXTRACTOR.mel_filters, 1.192092955078125e-07)).astype(np.float32)
    mel = (mel - mel.mean(0)) / np.sqrt(mel.var(0, ddof=1) + 1e-7)
    return mel[: len(mel) // STRIDE * STRIDE].reshape(-1, MEL_BINS * STRIDE)


def extract(audio: np.ndarray) -> np.ndarray:
    """What EXTRACTOR makes of one recording, without the frames it masks: float32 (frames, 160)."""
    found = EXTRACTOR(audio, sampling_rate=16000, return_tensors="np")
    return found["input_features"][0][: found["attention_mask"][0].sum()]


@torch.no_grad()
def transcribe(model: Wav2Vec2BertForCTC, audio: np.ndarray) -> str:
    """The words in one recording: float (samples,) at 16 kHz."""
    if len(audio) < FIELD_SAMPLES:
        return ""
    logits = model(torch.from_numpy(extract(audio))[None]).logits
    return transcript(logits[0].argmax(-1).tolist())


def save(model: Wav2Vec2BertForCTC, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write a complete Hugging Face checkpoint with `weights` in float16."""
    save_weights(model, weights, folder)
    EXTRACTOR.save_pretrained(folder)
    save_vocabulary(folder)
