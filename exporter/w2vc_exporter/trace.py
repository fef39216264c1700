"""PyTorch to ONNX: one graph with a dynamic batch and a dynamic time axis."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir
import torch

from w2vc_model import SpeechModel
from w2vc_runtime.command import own_version

from .layers import LAYER, labels

OPSET = 20


def trace(model: SpeechModel) -> ir.Model:
    """Export a model; its batch and time axes vary.

    The result is optimised by onnxscript, in fp32, and holds no path or time of this machine. Every node knows its
    layer (`layers`).
    """
    arguments = model.example()
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model.eval(),
            arguments,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(model.inputs),
            output_names=list(model.outputs),
            dynamic_shapes=(dynamic,) * len(arguments),
            verbose=False,
        )
    assert program is not None
    graph_model = program.model
    _name_dimensions(graph_model, {name: shape for name, (_, shape) in model.inputs.items()} | model.outputs)
    layers = labels(graph_model.graph)
    _anonymise(graph_model)
    for node, layer in layers.items():
        node.metadata_props[LAYER] = layer
    return graph_model


def release(model: ir.Model) -> None:
    """Let go of the weights of a graph that is written.

    The graph itself lives on: torch's exporter keeps it, and its nodes and values refer to each other.
    """
    for value in model.graph.initializers.values():
        value.const_value = None


def write(model: ir.Model, path: Path) -> None:
    """Write a graph and beside it its weights, and let go of them."""
    ir.save(model, path, external_data=f"{path.name}.data")
    release(model)


def drop_weights(model: SpeechModel) -> None:
    """Let go of the weights of a model that is done with: rules of onnxscript's optimizer remember the last graph."""
    for parameter in model.parameters():
        parameter.data = torch.empty(0)


def _name_dimensions(model: ir.Model, shapes: dict[str, tuple[str | int, ...]]) -> None:
    for value in (*model.graph.inputs, *model.graph.outputs):
        assert value.name is not None
        value.shape = ir.Shape(shapes[value.name])


def _anonymise(model: ir.Model) -> None:
    """Drop stack traces, module names and shape expressions: they name this machine's files and change with torch."""
    model.producer_name, model.producer_version = "w2vc", own_version()
    model.graph.name = "main"
    model.doc_string = model.graph.doc_string = None
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if not value.is_graph_output():
                value.shape = None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch and onnxscript: what stops them is raised, and the rest is not the user's concern."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
