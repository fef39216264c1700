"""The reference model equals Hugging Face's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import ARCHITECTURES, NORMS, TINY, alone, build, clips, difference, padded, save, tiny, together

import w2vc_model
from w2vc_model.masks import frame_mask, receptive_field
from w2vc_model.positions import RelativePositions, skew

TOLERANCE = 1e-5
LENGTHS = (400, 719, 720, 1600, 8000, 16000, 23456)


def ours(model: torch.nn.Module, batch: list[np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return model(*padded(batch)).numpy()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("padding", ["padding-invariant", "hf-exact"])
def test_single_clips_equal_hugging_face(architecture, norm, padding):
    theirs, checkpoint = tiny(architecture, norm)
    model = w2vc_model.load(checkpoint, "ctc", padding)
    for clip in clips(*LENGTHS):
        assert difference(ours(model, [clip])[0], alone(theirs, clip)) < TOLERANCE


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padded_batch_equals_each_clip_alone(architecture, norm):
    theirs, checkpoint = tiny(architecture, norm)
    batch = clips(16000, 400, 9001)
    logits = ours(w2vc_model.load(checkpoint, "ctc", "padding-invariant"), batch)
    for row, clip in zip(logits, batch):
        expected = alone(theirs, clip)
        assert difference(row[: len(expected)], expected) < TOLERANCE


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hf_exact_equals_hugging_faces_padded_batch(architecture, norm):
    theirs, checkpoint = tiny(architecture, norm)
    batch = clips(16000, 400, 9001)
    expected = together(theirs, batch)
    assert difference(ours(w2vc_model.load(checkpoint, "ctc", "hf-exact"), batch), expected) < TOLERANCE
    # Where Hugging Face lets padding in, the contracts differ, or one of the two tests above proves nothing.
    leak = difference(ours(w2vc_model.load(checkpoint, "ctc", "padding-invariant"), batch), expected)
    assert (leak > 1e-2) == (norm == "group" or architecture.startswith("conformer"))


@pytest.mark.parametrize("activation", ["gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"])
def test_activations_equal_hugging_face(activation, tmp_path):
    config = {**TINY, "hidden_act": activation, "feat_extract_activation": activation}
    theirs = build("conformer-relative", **config)
    model = w2vc_model.load(save(theirs, tmp_path / "model"), "ctc")
    (clip,) = clips(8000)
    assert difference(ours(model, [clip])[0], alone(theirs, clip)) < TOLERANCE


def test_frame_mask_is_the_integer_formula_at_every_length():
    kernels, strides = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
    lengths = torch.arange(400, 5000)
    expected = lengths
    for kernel, stride in zip(kernels, strides):
        expected = torch.div(expected - kernel, stride, rounding_mode="floor") + 1
    assert receptive_field(kernels, strides) == (400, 320)
    assert torch.equal(frame_mask(lengths, 40, kernels, strides).sum(-1), expected)
    assert not frame_mask(torch.tensor([0, 399]), 40, kernels, strides).any()


@pytest.mark.parametrize("frames", [1, 2, 3, 17])
def test_skew_puts_each_offset_in_its_place(frames):
    scores = torch.randn(2, 3, frames, 2 * frames)
    shifted = skew(scores)
    for i in range(frames):
        for j in range(frames):
            assert torch.equal(shifted[..., i, j], scores[..., i, frames - 1 - (i - j)])


def test_relative_positions_past_hugging_faces_table():
    """Nothing stops at ``max_source_positions``: offset 6000 of 7000 frames is what the formula says."""
    table = RelativePositions(8)(7000)
    angle = 6000.0 * np.exp(-np.log(10000.0) * np.array([0, 2, 4, 6]) / 8)
    expected = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(-1)
    np.testing.assert_allclose(table[6999 - 6000].numpy(), expected, atol=1e-3)
