"""Products with constant weights in 8 bits, each row of activations quantised as it comes (dynamic quantisation).

    x -> MatMul(W) -> y
    ->  x -> ReduceMax, ReduceMin -> the largest |x| of each row / 127 = scale
        x, scale -> QuantizeLinear -> MatMulIntegerToFloat(W8) -> Mul(scale) -> y

Weights are symmetric int8 with a scale for each column, activations bytes symmetric around 128 with a scale for each
row: a frame is quantised by itself, and products of bytes are exact, so that no other frame or clip changes a bit of
it. Products of the same x share its quantisation; frames side by side (`ConvolutionsToProducts`) are cut and put
together as bytes. The product that also applies the scales of the columns is an operator of ONNX Runtime,
which has kernels for it on CPUs. Everything else stays in fp32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from .builder import Builder
from .convolutions_to_products import CHANNELS_LAST, FRAMES, Frames
from .quantization import LARGEST, products, quantized
from .weights import add_constant, drop_unused, insert_after

DOMAIN = "com.microsoft"
ZERO = 128
# A silent row has a scale too, that float32 can divide by.
SMALLEST = 1e-30
CONSTANTS: dict[str, np.ndarray] = {
    "last_axis": np.array([-1], np.int64),
    "step": np.array(1 / LARGEST, np.float32),
    "smallest": np.array(SMALLEST, np.float32),
    "zero_point": np.array(ZERO, np.uint8),
    "one": np.array(1, np.float32),
}
Constants = Mapping[str, ir.Value]
FLOAT, INTEGER, BYTE = ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.UINT8


class QuantizeMatMul(ir.passes.InPlacePass):
    """The rewrite above. keep: names of the nodes to leave alone. After a call, ``quantized`` counts the products."""

    def __init__(self, keep: Collection[str] = ()) -> None:
        super().__init__()
        self.keep = frozenset(keep)
        self.quantized = 0

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        nodes = [product.node for product in products(graph, self.keep)]
        self.quantized = len(nodes)
        if not nodes:
            return ir.passes.PassResult(model, modified=False)
        model.opset_imports[DOMAIN] = 1
        constants = {name: add_constant(graph, f"int8_{name}", array) for name, array in CONSTANTS.items()}
        weights = [node.inputs[1] for node in nodes]
        rows: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
        for node in nodes:
            x = node.inputs[0]
            assert x is not None
            if x not in rows:
                rows[x] = _rows(graph, x, constants)
            _replace(graph, node, *rows[x], constants)
        drop_unused(graph, weights)
        for x in rows:
            _drop(graph, x)
        return ir.passes.PassResult(model, modified=True)


def _rows(graph: ir.Graph, x: ir.Value, constants: Constants) -> tuple[ir.Value, ir.Value]:
    """x [..., K] as bytes, and the scale of each row [..., 1]."""
    build = Builder(graph, str(x.name), FLOAT)
    frames = x.meta.get(FRAMES)
    if frames is None:
        scale = build.node("Mul", [_largest(build, x, constants), constants["step"]], "scale")
        data = _bytes(build, x, scale, constants)
    else:
        data, scale = _frames(build, frames, constants)
    insert_after(graph, x, build.nodes)
    return data, scale


def _largest(build: Builder, x: ir.Value, constants: Constants) -> ir.Value:
    """The largest |x| of each row [..., 1]."""
    last = constants["last_axis"]
    depth = build.node("Neg", [build.node("ReduceMin", [x, last], "low")], "depth")
    return build.node("Max", [build.node("ReduceMax", [x, last], "high"), depth, constants["smallest"]], "largest")


def _bytes(build: Builder, x: ir.Value, scale: ir.Value, constants: Constants, suffix: str = "") -> ir.Value:
    """x with each row divided by its scale, and rounded."""
    scales = build.node("Reshape", [scale, constants["last_axis"]], f"scales{suffix}")
    count = build.node("Shape", [scales], f"count{suffix}", INTEGER)
    zero = ir.Tensor(np.array([ZERO], np.uint8))
    zeros = build.node("ConstantOfShape", [count], f"zeros{suffix}", BYTE, value=zero)
    flat = build.node("Flatten", [x], f"flat{suffix}", axis=-1)
    rounded = build.node("QuantizeLinear", [flat, scales, zeros], f"rounded{suffix}", BYTE, axis=0)
    return build.node("Reshape", [rounded, build.node("Shape", [x], f"shape{suffix}", INTEGER)], f"uint8{suffix}", BYTE)


def _frames(build: Builder, frames: Frames, constants: Constants) -> tuple[ir.Value, ir.Value]:
    """Of x [B, T, C] the N frames of ``kernel`` rows side by side, as bytes, and the scale of each frame [B, N, 1].

    A row of x has another scale in each frame that it is in. It is in each part of one frame at most: x is quantised
    once for each part, and the part cut out of bytes.
    """
    x = frames.parts[0][1][0].inputs[0]
    assert x is not None
    columns = build.node("Transpose", [_largest(build, x, constants)], "columns", perm=CHANNELS_LAST)
    pooled = build.node("MaxPool", [columns], "pooled", kernel_shape=[frames.kernel], strides=[frames.stride])
    pooled = build.node("Transpose", [pooled], "frames", perm=CHANNELS_LAST)
    scale = build.node("Mul", [pooled, constants["step"]], "scale")
    zero, one = build.integers("zero", 0), build.integers("one", 1)
    start, step = build.constant("start", np.array(0)), build.constant("next", np.array(1))
    rows = build.node("Squeeze", [build.node("Shape", [x], "length", INTEGER, start=1, end=2)], "rows", INTEGER)
    times = build.node("Range", [start, rows, step], "times", INTEGER)
    count = build.node("Shape", [scale], "frame_count", INTEGER, start=1, end=2)
    final = build.node("Sub", [count, one], "final", INTEGER)
    stride = build.integers("frame_stride", frames.stride)
    data = []
    for tap, cuts in frames.parts:
        after = build.node("Sub", [times, build.integers(f"tap_{tap}", tap)], f"after_{tap}", INTEGER)
        index = build.node("Div", [after, stride], f"index_{tap}", INTEGER)
        index = build.node(
            "Min", [build.node("Max", [index, zero], f"first_{tap}", INTEGER), final], f"in_{tap}", INTEGER
        )
        own = build.node("Gather", [scale, index], f"scale_{tap}", axis=1)
        part = _bytes(build, x, own, constants, f"_{tap}")
        for cut in cuts:
            rest = [value for value in cut.inputs[1:] if value is not None]
            part = build.node(cut.op_type, [part, *rest], f"{cut.op_type.lower()}_{tap}", BYTE)
        data.append(part)
    return (data[0] if len(data) == 1 else build.node("Concat", data, "bytes", BYTE, axis=-1)), scale


def _drop(graph: ir.Graph, x: ir.Value) -> None:
    """Remove the frames that nobody reads as numbers any more."""
    frames = x.meta.get(FRAMES)
    if frames is None or x.uses() or x.is_graph_output():
        return
    producer = x.producer()
    assert producer is not None
    nodes = [producer, *(cut for _, cuts in frames.parts for cut in reversed(cuts))]
    graph.remove(list(dict.fromkeys(nodes)), safe=True)


def _replace(graph: ir.Graph, node: ir.Node, data: ir.Value, scale: ir.Value, constants: Constants) -> None:
    y = node.outputs[0]
    weight, scales = quantized(graph, node)
    build = Builder(graph, str(node.name), FLOAT)
    inputs = [data, weight, constants["one"], scales, constants["zero_point"]]
    columns = build.node("MatMulIntegerToFloat", inputs, "columns", domain=DOMAIN)
    build.nodes[-1].name = node.name
    result = build.node("Mul", [columns, scale], "rows")
    ir.convenience.replace_nodes_and_values(graph, node, [node], build.nodes, [y], [result])
