"""Products with constant weights in 8 bits, activations quantised as they come (dynamic quantisation).

    x -> MatMul(W) -> y
    ->  x -> DynamicQuantizeLinear -> MatMulInteger(W8) -> Cast(float) -> Mul(scale of x * scales of W) -> y

Weights are symmetric int8 with a scale for each column; activations are uint8 with a scale and a zero point for the
tensor at hand. Products of the same x share its quantisation. ONNX Runtime fuses the chain into one kernel on CPUs.
Everything else, convolutions among it, stays in fp32.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from .weights import unmap

LARGEST = 127


class QuantizeMatMul(ir.passes.InPlacePass):
    """The rewrite above. keep: names of the nodes to leave alone. After a call, ``quantized`` counts the products."""

    def __init__(self, keep: Collection[str] = ()) -> None:
        super().__init__()
        self.keep = frozenset(keep)
        self.quantized = 0

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        activations: dict[ir.Value, tuple[ir.Value, ...]] = {}
        weights: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
        for node in [node for node in graph if node.op_type == "MatMul" and node.name not in self.keep]:
            x, weight = node.inputs
            if x is None or weight is None or weight.const_value is None or len(weight.const_value.shape) != 2:
                continue
            if x not in activations:
                quantize = ir.node("DynamicQuantizeLinear", [x], num_outputs=3, name=f"{x.name}_quantize")
                for value, suffix in zip(quantize.outputs, ("uint8", "scale", "zero_point")):
                    value.name = f"{x.name}_{suffix}"
                graph.insert_before(node, quantize)
                activations[x] = tuple(quantize.outputs)
            if weight not in weights:
                weights[weight] = _quantize(graph, weight)
            self._replace(graph, node, activations[x], *weights[weight])
            self.quantized += 1
        for weight in weights:
            if not weight.uses() and not weight.is_graph_output():
                assert weight.name is not None
                del graph.initializers[weight.name]
                weight.const_value = None
        return ir.passes.PassResult(model, modified=bool(self.quantized))

    def _replace(
        self, graph: ir.Graph, node: ir.Node, x: tuple[ir.Value, ...], weight: ir.Value, scales: ir.Value
    ) -> None:
        y = node.outputs[0]
        product = ir.node("MatMulInteger", [x[0], weight, x[2]], name=node.name)
        floats = ir.node("Cast", [product.outputs[0]], {"to": int(ir.DataType.FLOAT)}, name=f"{node.name}_cast")
        scale = ir.node("Mul", [x[1], scales], name=f"{node.name}_scales")
        result = ir.node("Mul", [floats.outputs[0], scale.outputs[0]], name=f"{node.name}_scale")
        for each, suffix in ((product, "int32"), (floats, "cast"), (scale, "scales")):
            each.outputs[0].name = f"{y.name}_{suffix}"
        result.outputs[0].type, result.outputs[0].shape = y.type, y.shape
        ir.convenience.replace_nodes_and_values(
            graph, node, [node], [product, floats, scale, result], [y], [result.outputs[0]]
        )


def _quantize(graph: ir.Graph, weight: ir.Value) -> tuple[ir.Value, ir.Value]:
    """int8 weights [in, out] and their float32 scales [out], as new initializers."""
    assert weight.const_value is not None
    array = weight.const_value.numpy()
    scales = np.maximum(np.abs(array).max(axis=0), np.finfo(np.float32).tiny) / LARGEST
    quantized = np.rint(array / scales).astype(np.int8)
    del array
    unmap(weight.const_value)
    return _constant(graph, f"{weight.name}_int8", quantized), _constant(
        graph, f"{weight.name}_scales", scales.astype(np.float32)
    )


def _constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.Tensor(array, name=name)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
    graph.register_initializer(value)
    return value
