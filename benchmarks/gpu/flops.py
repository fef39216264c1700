"""How much arithmetic a model takes: the products and convolutions of Hugging Face's formulation."""

from __future__ import annotations

from typing import Any


def flops(config: Any, batch: int, length: int) -> int:
    """Floating point operations, two a multiply-add, of a CTC model without an adapter on one padded batch.

    config: Hugging Face's, of Wav2Vec2, Wav2Vec2-Conformer or Wav2Vec2-BERT. length: samples, or frames of a
    spectrogram. Norms, softmax, activations and additions are left out, as in PyTorch's ``FlopCounterMode``.
    """
    width, frames, total = config.hidden_size, length, 0
    if config.model_type == "wav2vec2-bert":
        total += frames * config.feature_projection_input_dim * width
    else:
        channels = 1
        for size, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride):
            frames = (frames - kernel) // stride + 1
            total += frames * channels * kernel * size
            channels = size
        total += frames * channels * width
    layers = config.num_hidden_layers
    feed_forward = 2 * frames * width * config.intermediate_size
    attention = 4 * frames * width**2 + 2 * frames**2 * width
    if config.model_type == "wav2vec2":
        kernel = config.num_conv_pos_embeddings
        padded = frames + 2 * (kernel // 2) - kernel + 1
        total += padded * width * (width // config.num_conv_pos_embedding_groups) * kernel
        total += layers * (feed_forward + attention)
    else:
        convolution = 3 * frames * width**2 + frames * width * config.conv_depthwise_kernel_size
        positions = 0
        if config.position_embeddings_type == "relative":
            positions = (2 * frames - 1) * width * frames
        elif config.position_embeddings_type == "relative_key":
            positions = frames**2 * width
        total += layers * (2 * feed_forward + attention + convolution + positions)
    total *= batch
    if getattr(config, "position_embeddings_type", None) == "relative":  # projected once for the whole batch
        total += layers * (2 * frames - 1) * width**2
    return 2 * (total + batch * frames * width * config.vocab_size)
