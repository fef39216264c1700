"""Products with constant weights in 8 bits, activations quantised as they come (dynamic quantisation).

    x -> MatMul(W) -> y
    ->  x -> DynamicQuantizeLinear -> MatMulInteger(W8) -> Cast(float) -> Mul(scale of x * scales of W) -> y

Weights are symmetric int8 with a scale for each column; activations are uint8 with a scale and a zero point for the
tensor at hand. Products of the same x share its quantisation; where operators that only move data lie in front of a
product, they move bytes. ONNX Runtime fuses the chain into one kernel on CPUs. Everything else stays in fp32.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from .quantization import products, quantized
from .weights import drop_unused, insert_after


class QuantizeMatMul(ir.passes.InPlacePass):
    """The rewrite above. keep: names of the nodes to leave alone. After a call, ``quantized`` counts the products."""

    def __init__(self, keep: Collection[str] = ()) -> None:
        super().__init__()
        self.keep = frozenset(keep)
        self.quantized = 0

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        activations: dict[ir.Value, tuple[ir.Value, ...]] = {}
        weights = []
        for product in products(graph, self.keep):
            if product.source not in activations:
                activations[product.source] = _dynamic(graph, product.source)
            data, scale, zero = activations[product.source]
            product.take(data)
            weights.append(product.node.inputs[1])
            _replace(graph, product.node, scale, zero)
            self.quantized += 1
        drop_unused(graph, weights)
        return ir.passes.PassResult(model, modified=bool(self.quantized))


def _dynamic(graph: ir.Graph, x: ir.Value) -> tuple[ir.Value, ...]:
    """x as uint8, its scale, its zero point."""
    node = ir.node("DynamicQuantizeLinear", [x], num_outputs=3, name=f"{x.name}_quantize")
    for value, suffix in zip(node.outputs, ("uint8", "scale", "zero_point")):
        value.name = f"{x.name}_{suffix}"
    node.outputs[0].dtype = ir.DataType.UINT8
    insert_after(graph, x, [node])
    return tuple(node.outputs)


def _replace(graph: ir.Graph, node: ir.Node, x_scale: ir.Value, zero: ir.Value) -> None:
    y = node.outputs[0]
    weight, scales = quantized(graph, node)
    product = ir.node("MatMulInteger", [node.inputs[0], weight, zero], name=node.name)
    floats = ir.node("Cast", [product.outputs[0]], {"to": int(ir.DataType.FLOAT)}, name=f"{node.name}_cast")
    scale = ir.node("Mul", [x_scale, scales], name=f"{node.name}_scales")
    result = ir.node("Mul", [floats.outputs[0], scale.outputs[0]], name=f"{node.name}_scale")
    for each, suffix in ((product, "int32"), (floats, "cast"), (scale, "scales")):
        each.outputs[0].name = f"{y.name}_{suffix}"
    result.outputs[0].type, result.outputs[0].shape = y.type, y.shape
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [product, floats, scale, result], [y], [result.outputs[0]]
    )
