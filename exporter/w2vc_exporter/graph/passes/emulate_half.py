"""Compute a reduced graph in float32, with every result rounded as where it is computed in half precision.

    x -> MatMul(half) -> y
    ->  x -> Cast(float) -> MatMul(float) -> Cast(half) -> y

ONNX Runtime has no bfloat16 kernels for CPUs, and its fp16 graphs there are float32 in disguise: between two operators
it drops the casts, so that nothing overflows and little is rounded, and a graph that gives NaN on a GPU looks right. A
product accumulated in float32 and rounded once is what GPUs compute, so the graph can be judged here.
"""

from __future__ import annotations

import onnx_ir as ir

REDUCED = (ir.DataType.BFLOAT16, ir.DataType.FLOAT16)
FLOAT = ir.DataType.FLOAT


class EmulateHalf(ir.passes.InPlacePass):
    """The rewrite above, for every operator but the casts."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph):
            if node.op_type == "Cast":
                continue
            for index, value in enumerate(node.inputs):
                if value is not None and value.dtype in REDUCED:
                    cast = ir.node("Cast", [value], {"to": int(FLOAT)})
                    cast.outputs[0].dtype, cast.outputs[0].name = FLOAT, f"{value.name}_{node.name}_{index}"
                    model.graph.insert_before(node, cast)
                    node.replace_input_with(index, cast.outputs[0])
                    modified = True
            for output in node.outputs:
                if output.dtype in REDUCED:
                    users, graph_outputs = list(output.uses()), output.is_graph_output()
                    assert not graph_outputs  # graph outputs are float32
                    reduced, output.dtype = output.dtype, FLOAT
                    cast = ir.node("Cast", [output], {"to": int(reduced)})
                    cast.outputs[0].dtype, cast.outputs[0].name = reduced, f"{output.name}_rounded"
                    model.graph.insert_after(node, cast)
                    for user, index in users:
                        user.replace_input_with(index, cast.outputs[0])
                    modified = True
        return ir.passes.PassResult(model, modified=modified)
