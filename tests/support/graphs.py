"""Small graphs, made and run."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def model(nodes, inputs, outputs, constants=None) -> ir.Model:
    """A float graph; inputs and outputs are names with their rank."""
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank) for name, rank in group.items()]
        for group in (inputs, outputs)
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "test", *values, initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(proto)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def run(graph: ir.Model | onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    proto = graph if isinstance(graph, onnx.ModelProto) else ir.to_proto(graph)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, inputs)[0]
