"""Products with constant weights in 8 bits, with scales measured beforehand (static quantisation, in QDQ form).

    x -> MatMul(W) -> y
    ->  x -> QuantizeLinear -> DequantizeLinear -> MatMul(DequantizeLinear(W8)) -> y

Activations are symmetric int8 with one scale, weights symmetric int8 with a scale for each column, as TensorRT asks.
OpenVINO and TensorRT compute the pattern as products of bytes; ONNX Runtime's CPU provider computes it slowly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from .quantization import LARGEST, products, quantized
from .weights import add_constant, drop_unused, insert_after

FLOAT = ir.DataType.FLOAT


class QuantizeStatic(ir.passes.InPlacePass):
    """The rewrite above.

    largest: by name of the value that is quantised (`quantization.Product.source`), the |value| that 127 stands for.
    keep: names of the nodes to leave alone. After a call, ``quantized`` counts the products.
    """

    def __init__(self, largest: Mapping[str, float], keep: Collection[str] = ()) -> None:
        super().__init__()
        self.largest = largest
        self.keep = frozenset(keep)
        self.quantized = 0

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        rounded: dict[ir.Value, ir.Value] = {}
        weights = []
        for product in products(graph, self.keep):
            source, node = product.source, product.node
            if source not in rounded:
                rounded[source] = _rounded(graph, source, self.largest[str(source.name)])
            product.take(rounded[source])
            weights.append(node.inputs[1])
            integers, scales = quantized(graph, node)
            restore = ir.node("DequantizeLinear", [integers, scales], {"axis": 1}, name=f"{node.name}_weight")
            restore.outputs[0].name, restore.outputs[0].dtype = f"{node.name}_weight_0", FLOAT
            matmul = ir.node("MatMul", [node.inputs[0], restore.outputs[0]], name=node.name)
            y = node.outputs[0]
            matmul.outputs[0].type, matmul.outputs[0].shape = y.type, y.shape
            ir.convenience.replace_nodes_and_values(graph, node, [node], [restore, matmul], [y], matmul.outputs)
            self.quantized += 1
        drop_unused(graph, weights)
        return ir.passes.PassResult(model, modified=bool(self.quantized))


def _rounded(graph: ir.Graph, x: ir.Value, largest: float) -> ir.Value:
    """x, rounded to multiples of largest / 127 and cut at both ends."""
    scale = add_constant(graph, f"{x.name}_step", np.array(largest / LARGEST, np.float32))
    zero = add_constant(graph, f"{x.name}_zero_point", np.array(0, np.int8))
    quantize = ir.node("QuantizeLinear", [x, scale, zero], name=f"{x.name}_quantize")
    quantize.outputs[0].name, quantize.outputs[0].dtype = f"{x.name}_int8", ir.DataType.INT8
    restore = ir.node("DequantizeLinear", [quantize.outputs[0], scale, zero], name=f"{x.name}_dequantize")
    restore.outputs[0].name, restore.outputs[0].dtype = f"{x.name}_rounded", FLOAT
    insert_after(graph, x, [quantize, restore])
    return restore.outputs[0]
