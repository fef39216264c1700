"""float32 sums over time that do not depend on how much padding follows.

    x [B, C, T] -> ReduceSum(last axis) -> y   ->   x -> MatMul(ones [T, 16]) -> Slice -> y
    x [B, C, T] -> Conv -> y [B, D, N]         ->   x -> Pad(to at least 65 outputs) -> Conv -> Slice(N) -> y

ONNX Runtime's CPU provider adds in another order for another length: a sum over the last axis by what is left of it
past whole vectors, a convolution by blocks that are longer where there are no more than 64 outputs. The last bits
differ then, which is nothing in fp32; quantised, they become whole steps of a byte here and there. Products add one
value after another, and zeros at the end change nothing. A convolution of one group may still be shared out between
threads by its length: `ConvolutionsToProducts` takes those.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .weights import drop_unused

FLOAT, INTEGER = ir.DataType.FLOAT, ir.DataType.INT64
# Fewest outputs for which a convolution's blocks are as for more, and the narrowest product that is not a special case.
OUTPUTS = 65
COLUMNS = 16


class SteadySums(ir.passes.InPlacePass):
    """The rewrites above, of convolutions that mix channels and of sums over the last axis."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        found = [node for node in model.graph if _is_sum(node) or _is_convolution(node)]
        for node in found:
            (_replace_sum if node.op_type == "ReduceSum" else _pad)(model.graph, node)
        return ir.passes.PassResult(model, modified=bool(found))


def _is_sum(node: ir.Node) -> bool:
    if node.op_type != "ReduceSum" or len(node.inputs) < 2 or node.inputs[0] is None or node.inputs[1] is None:
        return False
    axes = node.inputs[1].const_value
    last = axes is not None and axes.numpy().ravel().tolist() == [-1]
    return last and node.inputs[0].dtype == FLOAT and node.attributes.get_int("keepdims", 1) == 1


def _is_convolution(node: ir.Node) -> bool:
    if node.op_type != "Conv" or node.inputs[1] is None or node.inputs[1].const_value is None:
        return False
    shape = node.inputs[1].const_value.shape.numpy()
    dilated = set(node.attributes.get_ints("dilations", (1,))) != {1}
    automatic = node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    return len(shape) == 3 and shape[1] > 1 and not dilated and not automatic


def _replace_sum(graph: ir.Graph, node: ir.Node) -> None:
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    build = Builder(graph, str(node.name), FLOAT)
    length = build.node("Shape", [x], "length", INTEGER, start=-1)
    shape = build.node("Concat", [length, build.integers("columns", COLUMNS)], "shape", INTEGER, axis=0)
    ones = build.node("ConstantOfShape", [shape], "ones", value=ir.Tensor(np.array([1], np.float32)))
    sums = build.node("MatMul", [x, ones], "sums")
    bounds = [build.integers(name, number) for name, number in (("from", 0), ("to", 1), ("axis", -1))]
    one = build.node("Slice", [sums, *bounds], "one")
    axes = node.inputs[1:]
    ir.convenience.replace_nodes_and_values(graph, node, [node], build.nodes, [y], [one])
    drop_unused(graph, axes)


def _pad(graph: ir.Graph, node: ir.Node) -> None:
    x, y, weight = node.inputs[0], node.outputs[0], node.inputs[1]
    assert x is not None
    assert weight is not None
    assert weight.const_value is not None
    kernel = int(weight.const_value.shape.numpy()[2])
    stride = node.attributes.get_ints("strides", (1,))[0]
    around = sum(node.attributes.get_ints("pads", (0, 0)))
    before = Builder(graph, f"{node.name}_steady", FLOAT)
    zero, one = before.integers("zero", 0), before.integers("one", 1)
    length = before.node("Shape", [x], "length", INTEGER, start=2)
    enough = before.integers("enough", (OUTPUTS - 1) * stride + kernel - around)
    missing = before.node("Max", [before.node("Sub", [enough, length], "short", INTEGER), zero], "missing", INTEGER)
    pads = before.node("Concat", [zero, missing], "pads", INTEGER, axis=0)
    axis = before.integers("axis", 2)
    padded = before.node("Pad", [x, pads, before.constant("nothing", np.array(0, np.float32)), axis], "padded")
    room = before.node("Sub", [length, before.integers("field", kernel - around)], "room", INTEGER)
    steps = before.node("Div", [room, before.integers("stride", stride)], "steps", INTEGER)
    count = before.node("Add", [steps, one], "count", INTEGER)
    graph.insert_before(node, before.nodes)
    node.replace_input_with(0, padded)
    after = Builder(graph, f"{node.name}_steady", FLOAT)
    cut = after.node("Slice", [y, zero, count, axis], "cut")
    ir.convenience.replace_all_uses_with(y, cut, replace_graph_outputs=True)
    after.nodes[0].replace_input_with(0, y)
    graph.insert_after(node, after.nodes)
    cut.name, cut.type, cut.shape = y.name, y.type, y.shape
    y.name, y.shape = f"{y.name}_padded", None
