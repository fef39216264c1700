"""Graphs and their weights to files, and out of memory."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import torch

from w2vc_model import SpeechModel


def release(model: ir.Model) -> None:
    """Let go of the weights of a graph that is written: its nodes and values refer to each other and live on."""
    for value in model.graph.initializers.values():
        value.const_value = None


def write(model: ir.Model, path: Path) -> None:
    """Write a graph and beside it its weights, and let go of them."""
    ir.save(model, path, external_data=f"{path.name}.data")
    release(model)


def drop_weights(model: SpeechModel) -> None:
    """Let go of the weights of a PyTorch model that is done with."""
    for parameter in model.parameters():
        parameter.data = torch.empty(0)
