"""The half-precision pass: fires, must not fire, same numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from support.graphs import model, run
from support.oracle import clips, padded
from w2vc_exporter.graph.passes.emulate_half import EmulateHalf
from w2vc_exporter.graph.passes.reduce_precision import ReducePrecision
from w2vc_runtime.bundle import Bundle


def reduce(graph: ir.Model, inside: bool = False) -> tuple[onnx.ModelProto, ReducePrecision]:
    rewrite = ReducePrecision(inside=inside)
    assert rewrite(graph).modified
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    return proto, rewrite


def computes_in(proto: onnx.ModelProto) -> dict[str, int]:
    """Element type of what each operator gives, by operator."""
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.output)}
    return {node.op_type: types[node.output[0]] for node in proto.graph.node if node.op_type != "Cast"}


def attention() -> ir.Model:
    nodes = [
        helper.make_node("LayerNormalization", ["x", "gamma"], ["normed"]),
        helper.make_node("MatMul", ["normed", "weight"], ["scores"]),
        helper.make_node("Add", ["scores", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["weights"]),
        helper.make_node("Gelu", ["weights"], ["y"]),
    ]
    generator = np.random.default_rng(0)
    constants = {
        "gamma": np.ones(8, np.float32),
        "weight": generator.standard_normal((8, 8)).astype(np.float32),
        "mask": np.array([0, 0, 0, 0, 0, 0, -30000, -30000], np.float32),
    }
    return model(nodes, {"x": 2}, {"y": 2}, constants)


def test_products_and_the_mask_are_half_and_norm_and_softmax_are_not():
    (x,) = clips(24)
    x = x.reshape(3, 8)
    expected = run(attention(), x=x)
    proto, rewrite = reduce(attention())
    half, full = TensorProto.FLOAT16, TensorProto.FLOAT
    assert computes_in(proto) == {
        "LayerNormalization": full, "MatMul": half, "Add": half, "Softmax": full, "Gelu": half,
    }  # fmt: skip
    assert rewrite.kept == {"LayerNormalization": 1, "Softmax": 1}
    np.testing.assert_allclose(run(proto, x=x), expected, atol=2e-3)
    assert run(proto, x=x).dtype == np.float32


def test_norm_and_softmax_are_half_for_kernels_that_keep_fp32_inside():
    """With one cast at each end, and the values of the form whose norms are in fp32."""
    (x,) = clips(24)
    x = x.reshape(3, 8)
    proto, rewrite = reduce(attention(), inside=True)
    assert set(computes_in(proto).values()) == {TensorProto.FLOAT16}
    assert not rewrite.kept
    assert sum(node.op_type == "Cast" for node in proto.graph.node) == 2
    np.testing.assert_allclose(run(proto, x=x), run(attention(), x=x), atol=2e-3)


def test_weights_are_stored_once_in_the_type_that_uses_them():
    proto, _ = reduce(attention())
    types = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    assert types == {"gamma": 1, "mask_float16": 10, "weight_float16": 10}


@pytest.mark.parametrize("moved", [False, True])
def test_angles_stay_in_fp32(moved):
    """In half precision an angle of 4001 rad becomes 4000; rotary angles are moved between product and sine."""
    there = [
        helper.make_node("Unsqueeze", ["angle", "axis"], ["aside"]),
        helper.make_node("Squeeze", ["aside", "axis"], ["back"]),
    ]
    nodes = [
        helper.make_node("Mul", ["time", "frequency"], ["angle"]),
        *(there if moved else []),
        helper.make_node("Sin", ["back" if moved else "angle"], ["sine"]),
        helper.make_node("Unsqueeze", ["sine", "axis"], ["column"]),
        helper.make_node("MatMul", ["column", "weight"], ["y"]),
    ]
    constants = {
        "frequency": np.array([1.0], np.float32),
        "axis": np.array([1], np.int64),
        "weight": np.ones((1, 2), np.float32),
    }
    proto, _ = reduce(model(nodes, {"time": 1}, {"y": 2}, constants))
    time = np.array([1, 4001, 4003], np.float32)
    np.testing.assert_allclose(run(proto, time=time)[:, 0], np.sin(time), atol=1e-3)


def test_a_move_between_a_product_and_a_softmax_is_half():
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["product"]),
        helper.make_node("Transpose", ["product"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["y"]),
    ]
    proto, _ = reduce(model(nodes, {"x": 2}, {"y": 2}, {"weight": np.eye(2, dtype=np.float32)}))
    assert computes_in(proto) == {"MatMul": 10, "Transpose": 10, "Softmax": 1}


@pytest.mark.parametrize("score", [29000.0, -60000.0])  # the latter leaves the half range with the mask on it
def test_a_masked_score_is_an_exact_zero(score):
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["scores"]),
        helper.make_node("Add", ["scores", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["y"]),
    ]
    constants = {"weight": np.eye(2, dtype=np.float32), "mask": np.array([0, -30000], np.float32)}
    graph = model(nodes, {"x": 2}, {"y": 2}, constants)
    ReducePrecision()(graph)
    EmulateHalf()(graph)  # every rounding, which ONNX Runtime leaves out on a CPU
    assert run(graph, x=np.array([[0.0, score]], np.float32)).tolist() == [[1.0, 0.0]]


def test_the_arithmetic_of_a_statistic_stays_in_fp32():
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("ReduceSum", ["square", "axis"], ["energy"]),
        helper.make_node("Sqrt", ["energy"], ["level"]),
        helper.make_node("Mul", ["level", "half"], ["scaled"]),
        helper.make_node("Gelu", ["scaled"], ["y"]),
    ]
    constants = {"axis": np.array([1], np.int64), "half": np.array([0.001], np.float32)}
    graph = model(nodes, {"x": 2}, {"y": 2}, constants)
    x = np.full((1, 1000), 100.0, np.float32)  # the sum of squares is 1e7, far past 65504
    expected = run(graph, x=x)
    proto, rewrite = reduce(graph)
    assert rewrite.kept == {"Mul": 2, "ReduceSum": 1, "Sqrt": 1}
    np.testing.assert_allclose(run(proto, x=x), expected, rtol=1e-3)


def test_a_constant_past_the_half_range_keeps_its_operator_in_fp32():
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["y"])]
    graph = model(nodes, {"x": 2}, {"y": 2}, {"weight": np.full((2, 2), 1e6, np.float32)})
    rewrite = ReducePrecision()
    assert not rewrite(graph).modified
    assert rewrite.kept == {"MatMul": 1}


def test_integers_are_left_alone():
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Reshape", ["x", "shape"], ["same"]),
        helper.make_node("Gelu", ["same"], ["y"]),
    ]
    graph = model(nodes, {"x": 2}, {"y": 2})
    (x,) = clips(6)
    np.testing.assert_allclose(run(reduce(graph)[0], x=x.reshape(2, 3)), run(graph, x=x.reshape(2, 3)), atol=1e-3)


@pytest.mark.parametrize("gain", [0.0, 1e-4, 1.0, 30.0])
def test_digits_in_half_precision_have_no_nan_at_any_level(digits, gain):
    from w2vc_runtime.sessions.select import open_session

    bundle = digits["fp16"]
    manifest = Bundle.read(bundle).manifest
    batch = [clip * np.float32(gain) for clip in clips(24000, 9000)]
    session = open_session(bundle / manifest.graphs[0].files[0], "cpu")
    assert np.isfinite(session.run(manifest.features(batch, manifest.padding))["logits"]).all()
    values, mask = padded(batch)  # and without the normalisation that hides the level
    assert np.isfinite(session.run({"input_values": values.numpy(), "attention_mask": mask.numpy()})["logits"]).all()
