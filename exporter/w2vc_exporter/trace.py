"""PyTorch to ONNX: one graph with a dynamic batch and a dynamic time axis."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import version

import onnx_ir as ir
import torch
from torch import nn

OPSET = 20
TRACED_SECONDS = 1.0
INPUTS = {"input_values": ("batch", "samples"), "attention_mask": ("batch", "samples")}


def trace(model: nn.Module, sampling_rate: int, outputs: dict[str, tuple[str | int, ...]]) -> ir.Model:
    """Export a model that takes ``input_values`` and ``attention_mask``, both [batch, samples].

    outputs: name and shape of each graph output; dimensions that vary are named.
    The result is optimised by onnxscript, in fp32, and holds no path or time of this machine.
    """
    samples = int(TRACED_SECONDS * sampling_rate)
    values = torch.zeros(2, samples)
    mask = torch.ones(2, samples, dtype=torch.int64)
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model.eval(),
            (values, mask),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=list(outputs),
            dynamic_shapes=(dynamic, dynamic),
            verbose=False,
        )
    assert program is not None
    graph_model = program.model
    _name_dimensions(graph_model, outputs)
    _anonymise(graph_model)
    return graph_model


def release(model: ir.Model) -> None:
    """Let go of the weights of a graph that is written: torch's exporter keeps the graph itself alive."""
    for value in model.graph.initializers.values():
        value.const_value = None


def _name_dimensions(model: ir.Model, outputs: dict[str, tuple[str | int, ...]]) -> None:
    for value in (*model.graph.inputs, *model.graph.outputs):
        assert value.name is not None
        value.shape = ir.Shape({**INPUTS, **outputs}[value.name])


def _anonymise(model: ir.Model) -> None:
    """Drop stack traces, module names and shape expressions: they name this machine's files and change with torch."""
    model.producer_name, model.producer_version = "w2vc", version("w2vc")
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
    """Silence what the exporter says about packages and internals that are not the user's concern."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
