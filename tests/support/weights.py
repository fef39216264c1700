"""Weights of checkpoints, compared and edited."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import w2vc_model


def same_weights(first: Path, second: Path) -> bool:
    one, two = (w2vc_model.load(path, "ctc").state_dict() for path in (first, second))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def edit_tensors(checkpoint: Path, change) -> Path:
    path = checkpoint / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    return checkpoint
