"""The reference model equals Hugging Face's, in every combination there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import w2vc_model
from support.oracle import (
    TINY,
    Cell,
    alone,
    answer,
    build,
    clips,
    difference,
    hidden_frames,
    matrix,
    padded,
    save,
    spectra,
    time_mask,
    tiny,
)  # fmt: skip
from w2vc_model.masks import Convolution, fewest_inputs, frame_mask, receptive_field
from w2vc_model.positions import RelativePositions, skew

TOLERANCE = 1e-5
CELLS = matrix()


def lengths(cell: Cell, shortest: int) -> list[int]:
    """Of a few clips, in what the model counts in: as short as can be, one more, and about a second."""
    unit = 1 if cell.norm == "log-mel" else 320
    second = 49 if cell.norm == "log-mel" else 16000  # an odd number of frames: adapters look past it
    return [shortest, shortest + 1, shortest + unit - 1, shortest + unit, second, second + 5 * unit // 2]


def noise(cell: Cell, *sizes: int) -> list[np.ndarray]:
    return spectra(*sizes) if cell.norm == "log-mel" else clips(*sizes)


def load(cell: Cell, padding: w2vc_model.PaddingContract) -> w2vc_model.SpeechModel:
    states = tuple(range(TINY["num_hidden_layers"] + 1)) if cell.head == "base" else ()
    return w2vc_model.load(tiny(*cell)[1], cell.head, padding, hidden_states=states)


def time_masks(cell: Cell, frames: int, rows: int = 1) -> tuple[torch.Tensor, ...]:
    return (time_mask(frames, rows),) if cell.head == "pretraining" else ()


def compare(actual: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert difference(np.atleast_1d(actual[name].numpy()), np.atleast_1d(value)) < TOLERANCE, name


@pytest.mark.parametrize("cell", CELLS, ids=str)
@torch.no_grad()
def test_each_clip_of_a_padded_batch_equals_hugging_face_on_it_alone(cell):
    theirs = tiny(*cell)[0]
    model = load(cell, "padding-invariant")
    batch = noise(cell, *lengths(cell, model.shortest))
    values, mask = padded(batch)
    masks = time_masks(cell, hidden_frames(theirs, values.shape[1]), len(batch))
    together = model(values, mask, *masks)
    for row, clip in enumerate(batch):
        single = torch.from_numpy(clip)[None]
        own = tuple(each[row : row + 1, : hidden_frames(theirs, len(clip))] for each in masks)
        expected = answer(theirs, cell.head, single, None, *own)
        compare(model(single, torch.ones(1, len(clip), dtype=torch.int64), *own), expected)
        for name, value in expected.items():
            actual = together[name][row : row + 1].numpy()
            if value.ndim == 3:
                actual = actual[:, : value.shape[1]]
            assert difference(actual, np.atleast_1d(value)) < TOLERANCE, name


@pytest.mark.parametrize("cell", CELLS, ids=str)
@torch.no_grad()
def test_hf_exact_equals_hugging_faces_padded_batch(cell):
    theirs = tiny(*cell)[0]
    model = load(cell, "hf-exact")
    batch = noise(cell, *reversed(lengths(cell, model.shortest)))
    values, mask = padded(batch)
    masks = time_masks(cell, hidden_frames(theirs, values.shape[1]), len(batch))
    expected = answer(theirs, cell.head, values, mask, *masks)
    compare(model(values, mask, *masks), expected)
    # Where Hugging Face lets padding in, the contracts differ, or one of the two tests proves nothing.
    invariant = load(cell, "padding-invariant")(values, mask, *masks)
    valid = slice(0, expected[next(iter(expected))].shape[1])
    name = next(iter(expected))
    if expected[name].ndim == 3:
        valid = slice(0, int(model.backbone(values, mask).mask[1].sum()))
    leak = difference(invariant[name][1, valid].numpy(), expected[name][1, valid])
    leaks = cell.norm == "group" or cell.architecture.startswith("conformer") or cell.head == "xvector"
    assert (leak > 10 * TOLERANCE) == (leaks or "adapter" in cell.option)


@pytest.mark.parametrize("architecture", ["wav2vec2-stable", "conformer-rotary"])
@torch.no_grad()
def test_the_last_hidden_state_of_a_checkpoint_from_transformers_4(architecture, tmp_path):
    """Up to version 4 it was taken after the encoder's norm, and weighted sums were trained on that."""
    copy = Path(shutil.copytree(tiny(architecture, "layer", "base")[1], tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"transformers_version": "4.57.6"}))
    old = w2vc_model.load(copy, "base", hidden_states=(1, 2))(*padded(clips(8000)))
    assert torch.equal(old["hidden_states_2"], old["last_hidden_state"])
    (copy / "config.json").write_text(json.dumps(config | {"transformers_version": "5.0.0"}))
    new = w2vc_model.load(copy, "base", hidden_states=(1, 2))(*padded(clips(8000)))
    assert (new["hidden_states_2"] - new["last_hidden_state"]).abs().max() > 0.1
    assert torch.equal(new["hidden_states_1"], old["hidden_states_1"])


@pytest.mark.parametrize("activation", ["gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"])
def test_activations_equal_hugging_face(activation, tmp_path):
    config = {**TINY, "hidden_act": activation, "feat_extract_activation": activation}
    theirs = build("conformer-relative", **config)
    model = w2vc_model.load(save(theirs, tmp_path / "model"), "ctc")
    (clip,) = clips(8000)
    assert difference(model(*padded([clip]))["logits"][0].numpy(), alone(theirs, clip)) < TOLERANCE


@pytest.mark.parametrize(
    "convolutions",
    [
        list(map(Convolution, (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))),
        [Convolution(10, 5), Convolution(3, 2), Convolution(3, 2, 1), Convolution(3, 2, 1)],
        [Convolution(5, 2, 1), Convolution(5, 3, 2), Convolution(7, 4, 1)],
        [Convolution(2, 1, 1), Convolution(3, 3)],
    ],
)
def test_frame_mask_is_the_integer_formula_at_every_length(convolutions):
    first = fewest_inputs(convolutions)
    lengths = torch.arange(first, first + 3000)
    expected = lengths
    for kernel, stride, padding in convolutions:
        expected = torch.div(expected + 2 * padding - kernel, stride, rounding_mode="floor") + 1
    assert expected[0] == 1
    field, step = receptive_field(convolutions)
    assert torch.equal((lengths - field) // step + 1, expected)
    assert torch.equal(frame_mask(lengths, int(expected.max()) + 5, convolutions).sum(-1), expected)


def count(stack: list[Convolution], inputs: int) -> int:
    """Outputs of a stack of convolutions, layer by layer; 0 where one has too little to start with."""
    for kernel, stride, padding in stack:
        inputs = max(0, (inputs + 2 * padding - kernel) // stride + 1) if inputs else 0
    return inputs


def test_fewest_inputs_is_the_shortest_that_the_convolutions_take():
    for kernel, stride, padding in [(10, 5, 0), (3, 2, 1), (5, 2, 1), (1, 1, 0), (7, 3, 2)]:
        stack = [Convolution(4, 3), Convolution(kernel, stride, padding)]
        for outputs in (1, 2):
            fewest = fewest_inputs(stack, outputs)

            assert count(stack, fewest) >= outputs
            assert count(stack, fewest - 1) < outputs


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
