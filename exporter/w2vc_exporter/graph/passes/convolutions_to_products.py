"""Convolutions over time as products, channels last.

    x [B, C, T] -> Conv(W [D, C, k], stride s) -> y [B, D, N]
    ->  x -> Transpose -> the k samples of each of the N frames side by side [B, N, k * C] -> MatMul(W') (-> Add(bias))
          -> Transpose -> y

Whole convolutions only: one group, no dilation, and no padding but where it is asked for. Transposes that meet, with
nothing but element-wise operators between them, cancel: a stack of such convolutions, with layer norms over the
channels or none, stays channels last from end to end. Products can be quantised, and need no layout of their own where
lengths vary. How many frames there are is computed from how many the convolution before it has, not read off its
values: OpenVINO fuses an operator with what follows only where nothing else reads it, be it for its shape alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .weights import drop_unused, unmap, weight_of

CHANNELS_LAST = (0, 2, 1)
# Frames side by side take so many times the memory of x, by the stride: too much for convolutions over positions.
LONGEST = 16
ELEMENTWISE = frozenset({"Gelu", "Relu", "Sigmoid", "Tanh", "Cast", "Identity"})
# What has as many frames as its first input.
AS_LONG = ELEMENTWISE | {"Transpose", "LayerNormalization"}


# Under this name the frames side by side carry what they are made of, for whoever quantises them: a `Frames`.
FRAMES = "frames"


@dataclass(frozen=True)
class Frames:
    """Frames side by side. parts: from which sample of a frame on each part is, and the nodes that cut it out of x."""

    kernel: int
    stride: int
    parts: tuple[tuple[int, tuple[ir.Node, ...]], ...]


class ConvolutionsToProducts(ir.passes.InPlacePass):
    """The rewrite above. padded: whether short convolutions with zeros around x are rewritten too, as adapters have."""

    def __init__(self, padded: bool = False) -> None:
        super().__init__()
        self.padded = padded

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        found = [node for node in model.graph if _fits(node, self.padded)]
        counts: dict[ir.Value, ir.Value] = {}
        for node in found:
            _replace(model.graph, node, counts)
        for node in [node for node in model.graph if node.op_type == "Transpose"]:
            _cancel(model.graph, node)
        return ir.passes.PassResult(model, modified=bool(found))


def _fits(node: ir.Node, padded: bool) -> bool:
    if node.op_type != "Conv" or node.inputs[1] is None or node.inputs[1].const_value is None:
        return False
    attributes = node.attributes
    return (
        len(weight_of(node).shape) == 3
        and attributes.get_int("group", 1) == 1
        and (not any(attributes.get_ints("pads", ())) or (padded and weight_of(node).shape.numpy()[2] <= LONGEST))
        and set(attributes.get_ints("dilations", (1,))) == {1}
        and attributes.get_string("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    )


def _replace(graph: ir.Graph, node: ir.Node, counts: dict[ir.Value, ir.Value]) -> None:
    """counts: of what a replaced convolution gives, how many frames it has."""
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    assert x.dtype is not None
    assert node.name is not None
    weight = weight_of(node)
    array = weight.numpy()
    outputs, channels, kernel = array.shape
    stride = node.attributes.get_ints("strides", (1,))[0]
    build = Builder(graph, node.name, x.dtype)
    last = build.node("Transpose", [x], "last", perm=CHANNELS_LAST)
    if any(pads := node.attributes.get_ints("pads", ())):
        before, after = pads
        last = build.node("Pad", [last, build.integers("pads", 0, before, 0, 0, after, 0)], "padded")
    length = None if any(pads) else _length(x, counts)
    if length is None:
        length = build.node("Shape", [last], "length", ir.DataType.INT64, start=1, end=2)
    frames, count = _frames(build, last, length, kernel, stride, channels)
    matrix = build.constant(
        "matrix", np.ascontiguousarray(array.transpose(2, 1, 0).reshape(kernel * channels, outputs))
    )
    del array
    unmap(weight)
    result = build.node("MatMul", [frames, matrix], "product")
    build.nodes[-1].name = node.name  # whoever wants the convolution left alone means the product
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        result = build.node("Add", [result, node.inputs[2]], "bias")
    first = build.node("Transpose", [result], "first", perm=CHANNELS_LAST)
    name, weights = y.name, node.inputs[1:2]
    ir.convenience.replace_nodes_and_values(graph, node, [node], build.nodes, [y], [first])
    first.name = name
    counts[first] = count
    drop_unused(graph, weights)


def _length(x: ir.Value, counts: dict[ir.Value, ir.Value]) -> ir.Value | None:
    """How many samples x has, where that is computed already."""
    value: ir.Value | None = x
    while value is not None and value not in counts:
        producer = value.producer()
        value = producer.inputs[0] if producer is not None and producer.op_type in AS_LONG else None
    return None if value is None else counts[value]


def _frames(
    build: Builder, x: ir.Value, length: ir.Value, kernel: int, stride: int, channels: int
) -> tuple[ir.Value, ir.Value]:
    """The samples of each frame side by side, x [B, T, C] -> [B, (T - kernel) // stride + 1, kernel * C], and how many.

    length: T.
    """
    one = build.integers("one", 1)
    integer = ir.DataType.INT64
    room = build.node("Sub", [length, build.integers("kernel", kernel)], "room", integer)
    step = build.integers("stride", stride)
    whole = build.node("Div", [room, step], "whole", integer)
    steps = build.node("Mul", [whole, step], "steps", integer)
    count = build.node("Add", [whole, one], "count", integer)
    parts, cuts = [], []
    shape = build.integers("shape", 0, -1, stride * channels)
    for tap in range(0, kernel - stride + 1, stride):  # as many samples as from one frame to the next: no copy of them
        end = build.node("Add", [steps, build.integers(f"end_{tap}", tap + stride)], f"until_{tap}", integer)
        part = build.node("Slice", [x, build.integers(f"from_{tap}", tap), end, one], f"part_{tap}")
        parts.append(build.node("Reshape", [part, shape], f"rows_{tap}"))
        cuts.append((tap, tuple(build.nodes[-2:])))
    for tap in range(kernel - kernel % stride, kernel):
        end = build.node("Add", [steps, build.integers(f"end_{tap}", tap + 1)], f"until_{tap}", integer)
        parts.append(build.node("Slice", [x, build.integers(f"from_{tap}", tap), end, one, step], f"part_{tap}"))
        cuts.append((tap, tuple(build.nodes[-1:])))
    frames = parts[0] if len(parts) == 1 else build.node("Concat", parts, "frames", axis=-1)
    frames.meta[FRAMES] = Frames(kernel, stride, tuple(cuts))
    return frames, count


def _cancel(graph: ir.Graph, node: ir.Node) -> None:
    """Drop a transpose and its inverse in front of it, with element-wise operators between."""
    if not _is_channels_last(node) or node.outputs[0].is_graph_output():
        return
    value = node.inputs[0]
    while value is not None and (producer := value.producer()) is not None and len(list(value.uses())) == 1:
        if _is_channels_last(producer):
            for each in (producer, node):  # the inner one first: it may be what the outer one reads
                source = each.inputs[0]
                assert source is not None
                ir.convenience.replace_all_uses_with(each.outputs[0], source)
            graph.remove([node, producer], safe=True)
            return
        if producer.op_type not in ELEMENTWISE:
            return
        value = producer.inputs[0]


def _is_channels_last(node: ir.Node) -> bool:
    return node.op_type == "Transpose" and tuple(node.attributes["perm"].as_ints()) == CHANNELS_LAST
