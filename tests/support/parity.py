"""Comparing bundles with Hugging Face's models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from support.oracle import answer, clips, difference, hidden_frames, time_mask
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import Model, load
from w2vc_runtime.bundle import Manifest

TOLERANCE = 1e-4


def exported(checkpoint: Path, head: str, padding: str, output: Path, precision: str = "fp32") -> Model:
    """The first precision of an export; the gate has judged all of them."""
    states = "all" if head == "base" else ()
    options = ExportOptions(
        checkpoint, head=head, precision=precision, padding=padding, output=output, hidden_states=states
    )
    return load(export(options).bundle, "cpu")


def long_enough(model: Model, *lengths: int) -> list[np.ndarray]:
    """Noise of the given lengths in samples, or of the fewest that the model takes."""
    return clips(*(max(length, model.manifest.shortest) for length in lengths))


def expect_steady(manifest: Manifest, precision: str, allowed: float) -> None:
    """Every clip of a batch is what the graph gives for it alone, with the same choices.

    allowed: difference, relative to the largest value.
    """
    cases = [case for case in manifest.verification[precision].cases if case.batch > 1]
    assert len(cases) >= 5
    for case in cases:
        assert case.alone <= allowed, case
        assert case.changed == 0, case


def features(model: Model, batch: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """What Hugging Face's model is given: the batch as our recipe makes it, which has tests of its own."""
    inputs = model.manifest.features(batch, "hf-exact")
    return torch.from_numpy(inputs[model.manifest.features.input]), torch.from_numpy(inputs["attention_mask"])


def masks(model: Model, head: str, batch: list[np.ndarray]) -> list[np.ndarray] | None:
    if head != "pretraining":
        return None
    count = model.manifest.frames["frames"].count
    return [time_mask(count(len(clip)), seed=row)[0].numpy() for row, clip in enumerate(batch)]


def expect_alone(theirs: PreTrainedModel, head: str, model: Model, batch: list[np.ndarray]) -> None:
    """Every clip of a batch is what Hugging Face makes of its valid features alone, without a mask."""
    chosen = masks(model, head, batch)
    rows = model.outputs(batch, chosen)
    for row, clip in enumerate(batch):
        values, mask = features(model, [clip])
        own = [] if chosen is None else [torch.from_numpy(chosen[row])[None]]
        expected = answer(theirs, head, values[:, : int(mask.sum())], None, *own)
        assert rows[row].keys() == expected.keys()
        for name, value in expected.items():
            actual = rows[row][name][None] if value.ndim else rows[row][name]
            assert difference(np.asarray(actual), value) < TOLERANCE, (name, len(clip))


def expect_together(theirs: PreTrainedModel, head: str, model: Model, batch: list[np.ndarray]) -> None:
    """A batch is what Hugging Face makes of the padded batch, at every valid frame."""
    chosen = masks(model, head, batch)
    values, mask = features(model, batch)
    extra = []
    if chosen is not None:
        together = torch.zeros(len(batch), hidden_frames(theirs, values.shape[1]), dtype=torch.bool)
        for row, own in enumerate(chosen):
            together[row, : len(own)] = torch.from_numpy(own)
        extra = [together]
    expected = answer(theirs, head, values, mask, *extra)
    for row, outputs in enumerate(model.outputs(batch, chosen)):
        for name, value in outputs.items():
            wanted = expected[name][row] if expected[name].ndim else expected[name]
            assert difference(value, wanted[: len(value)] if value.ndim == 2 else wanted) < TOLERANCE, name
