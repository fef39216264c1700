"""Products with constant weights in 8 bits, each row of activations quantised as it comes (dynamic quantisation).

    x -> MatMul(W) -> y
    ->  x -> ReduceMax, ReduceMin -> the largest |x| of each row / 127 = scale
        x, scale -> QuantizeLinear -> MatMulIntegerToFloat(W8) -> Mul(scale) -> y

Weights are symmetric int8 with a scale for each column, activations bytes symmetric around 128 with a scale for each
row: a frame is quantised by itself, and products of bytes are exact, so that no other frame or clip changes a bit of
it. Products of the same x share its quantisation; frames side by side (`ConvolutionsToProducts`) are quantised part by
part and put together as bytes. The product that also applies the scales of the columns is an operator of ONNX Runtime,
which has kernels for it on CPUs. Everything else stays in fp32.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from .builder import Builder
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
            if _parts(x) != [x] and not x.uses() and not x.is_graph_output():
                graph.remove(x.producer(), safe=True)  # type: ignore[arg-type]
        return ir.passes.PassResult(model, modified=True)


def _parts(x: ir.Value) -> list[ir.Value]:
    """What x is put together from along its last axis; x itself where it is whole."""
    producer = x.producer()
    if producer is None or producer.op_type != "Concat" or producer.attributes.get_int("axis", 0) != -1:
        return [x]
    return [part for part in producer.inputs if part is not None]


def _rows(graph: ir.Graph, x: ir.Value, constants: dict[str, ir.Value]) -> tuple[ir.Value, ir.Value]:
    """x [..., K] as bytes, and the scale of each row [..., 1]."""
    last = constants["last_axis"]
    build = Builder(graph, str(x.name), FLOAT)
    sizes = [constants["smallest"]]
    for index, part in enumerate(_parts(x)):
        low = build.node("ReduceMin", [part, last], f"low_{index}")
        sizes += [build.node("ReduceMax", [part, last], f"high_{index}"), build.node("Neg", [low], f"depth_{index}")]
    scale = build.node("Mul", [build.node("Max", sizes, "largest"), constants["step"]], "scale")
    scales = build.node("Reshape", [scale, last], "scales")
    count = build.node("Shape", [scales], "count", INTEGER)
    zeros = build.node("ConstantOfShape", [count], "zeros", BYTE, value=ir.Tensor(np.array([ZERO], np.uint8)))
    data = []
    for index, part in enumerate(_parts(x)):
        flat = build.node("Flatten", [part], f"flat_{index}", axis=-1)
        rounded = build.node("QuantizeLinear", [flat, scales, zeros], f"rounded_{index}", BYTE, axis=0)
        shape = build.node("Shape", [part], f"shape_{index}", INTEGER)
        data.append(build.node("Reshape", [rounded, shape], f"uint8_{index}", BYTE))
    joined = data[0] if len(data) == 1 else build.node("Concat", data, "uint8", BYTE, axis=-1)
    insert_after(graph, x, build.nodes)
    return joined, scale


def _replace(graph: ir.Graph, node: ir.Node, data: ir.Value, scale: ir.Value, constants: dict[str, ir.Value]) -> None:
    y = node.outputs[0]
    weight, scales = quantized(graph, node)
    build = Builder(graph, str(node.name), FLOAT)
    inputs = [data, weight, constants["one"], scales, constants["zero_point"]]
    columns = build.node("MatMulIntegerToFloat", inputs, "columns", domain=DOMAIN)
    build.nodes[-1].name = node.name
    result = build.node("Mul", [columns, scale], "rows")
    ir.convenience.replace_nodes_and_values(graph, node, [node], build.nodes, [y], [result])
