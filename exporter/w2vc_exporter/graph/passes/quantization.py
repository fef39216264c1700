"""What the two ways of quantising share: which products, and their weights in 8 bits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .weights import add_constant, unmap, weight_of

LARGEST = 127
# Products of fewer values are as fast in fp32; among them are those of the samples themselves.
FEWEST = 32
# Products with less than this share of the weights of the largest are left alone too: those of each head with a table
# of distances, or with a few tokens at the end, gain less from bytes than rounding takes.
LEAST = 0.01
MOVES = frozenset({"Slice", "Reshape", "Concat"})


@dataclass(frozen=True)
class Product:
    """A product of activations and a constant matrix: MatMul, or Gemm without a bias.

    source: where its activations are made; moves: operators between that only move them, for this product alone.
    """

    node: ir.Node
    source: ir.Value
    moves: tuple[ir.Node, ...]

    def take(self, value: ir.Value) -> None:
        """Let ``value`` be what is multiplied, in place of the source."""
        for user in self.moves or (self.node,):
            for index, each in enumerate(user.inputs):
                if each is self.source:
                    user.replace_input_with(index, value)
        if value.dtype is not None:
            for move in self.moves:
                move.outputs[0].dtype = value.dtype


def products(graph: ir.Graph, keep: Collection[str]) -> list[Product]:
    """The products that are quantised; keep: names of those that are not."""
    found = [node for node in graph if _is_product(node)]
    least = LEAST * max((weight_of(node).size for node in found), default=0)
    return [_product(node) for node in found if node.name not in keep and weight_of(node).size >= least]


def _product(node: ir.Node) -> Product:
    x = node.inputs[0]
    assert x is not None
    return Product(node, *_moved(x, node))


def quantized(graph: ir.Graph, node: ir.Node) -> tuple[ir.Value, ir.Value]:
    """The weight of a product as symmetric int8 [in, out], and its float32 scale for each column [out].

    New initializers; products of one weight share them.
    """
    weight = node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    transposed = _transposed(node)
    name = f"{weight.name}_transposed" if transposed else str(weight.name)
    if f"{name}_int8" in graph.initializers:
        return graph.initializers[f"{name}_int8"], graph.initializers[f"{name}_scales"]
    array = weight.const_value.numpy()
    array = array.T if transposed else array
    scales = np.maximum(np.abs(array).max(axis=0), np.finfo(np.float32).tiny) / LARGEST
    integers = np.ascontiguousarray(np.rint(array / scales).astype(np.int8))
    del array
    unmap(weight.const_value)
    return (
        add_constant(graph, f"{name}_int8", integers),
        add_constant(graph, f"{name}_scales", scales.astype(np.float32)),
    )


def _transposed(node: ir.Node) -> bool:
    return node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1


def _is_product(node: ir.Node) -> bool:
    if node.op_type == "Gemm":
        scaled = node.attributes.get_float("alpha", 1.0) != 1.0
        if len(node.inputs) > 2 or node.attributes.get_int("transA", 0) == 1 or scaled:
            return False
    elif node.op_type != "MatMul":
        return False
    x, weight = node.inputs[0], node.inputs[1]
    if x is None or weight is None or weight.const_value is None or weight.dtype != ir.DataType.FLOAT:
        return False
    shape = weight.const_value.shape.numpy()
    return len(shape) == 2 and shape[1 if _transposed(node) else 0] >= FEWEST


def _moved(x: ir.Value, user: ir.Node) -> tuple[ir.Value, tuple[ir.Node, ...]]:
    """Where x comes from when nothing but moves of one value make it for this user alone, and those moves."""
    moves: list[ir.Node] = []
    sources: set[ir.Value] = set()
    waiting = [(x, user)]
    while waiting:
        value, reader = waiting.pop()
        node = value.producer()
        alone = all(each is reader for each, _ in value.uses()) and not value.is_graph_output()
        if node is not None and node.op_type in MOVES and alone:
            moves.append(node)
            data = node.inputs if node.op_type == "Concat" else node.inputs[:1]
            waiting += [(each, node) for each in data if each is not None]
        else:
            sources.add(value)
    return (sources.pop(), tuple(moves)) if len(sources) == 1 else (x, ())
