"""What the passes share in reading and writing constants."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir


def weight_of(node: ir.Node) -> ir.TensorProtocol:
    """What a convolution or product with a constant weight has for it: the second input."""
    weight = node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    return weight.const_value


def unmap(tensor: ir.TensorProtocol) -> None:
    """Let go of the pages of a weight that lies in a file: read in turn, they need not all be in memory."""
    if isinstance(tensor, ir.ExternalTensor):
        tensor.release()


def add_constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """A new initializer."""
    tensor = ir.Tensor(array, name=name)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
    graph.register_initializer(value)
    return value


def drop_unused(graph: ir.Graph, values: Iterable[ir.Value | None]) -> None:
    """Remove those initializers that nothing uses any more."""
    for value in values:
        if value is not None and value.const_value is not None and not value.uses() and not value.is_graph_output():
            graph.initializers.pop(str(value.name), None)
            value.const_value = None  # whoever still knows the value need not hold its weights


def insert_after(graph: ir.Graph, value: ir.Value, nodes: Iterable[ir.Node]) -> None:
    """Put nodes that use a value right behind it."""
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)
