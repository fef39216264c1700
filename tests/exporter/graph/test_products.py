"""Convolutions as products, and products in 8 bits: fires, must not fire, same numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from support.graphs import model, run
from w2vc_exporter.graph.passes.convolutions_to_products import ConvolutionsToProducts
from w2vc_exporter.graph.passes.quantization import products
from w2vc_exporter.graph.passes.quantize_matmul import QuantizeMatMul
from w2vc_exporter.graph.passes.quantize_static import QuantizeStatic

LENGTHS = (60, 61, 62, 63, 64, 65)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def convolutions(*layers: tuple[int, int], norm: bool = False, channels: int = 33, **attributes) -> ir.Model:
    """A stack over one channel; layers are (kernel, stride)."""
    nodes, constants, x = [], {"gamma": random(channels)}, "x"
    for index, (kernel, stride) in enumerate(layers):
        constants[f"w{index}"] = random(channels, channels if index else 1, kernel)
        constants[f"b{index}"] = random(channels)
        inputs = [x, f"w{index}", f"b{index}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{index}"], f"conv{index}", strides=[stride], **attributes))
        x = f"c{index}"
        if norm:
            nodes.append(helper.make_node("Transpose", [x], [f"t{index}"], perm=[0, 2, 1]))
            nodes.append(helper.make_node("LayerNormalization", [f"t{index}", "gamma"], [f"n{index}"]))
            nodes.append(helper.make_node("Transpose", [f"n{index}"], [f"u{index}"], perm=[0, 2, 1]))
            x = f"u{index}"
        nodes.append(helper.make_node("Gelu", [x], [f"g{index}"]))
        x = f"g{index}"
    nodes.append(helper.make_node("Transpose", [x], ["last"], perm=[0, 2, 1]))
    nodes.append(helper.make_node("Neg", ["last"], ["y"]))
    return model(nodes, {"x": 3}, {"y": 3}, constants)


def operators(graph: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph)


@pytest.mark.parametrize("norm", [False, True])
def test_the_length_is_read_of_the_input_alone(norm):
    graph = convolutions((10, 5), (3, 2), (2, 2), norm=norm)
    ConvolutionsToProducts()(graph)
    (shape,) = [node for node in graph.graph if node.op_type == "Shape"]
    producer = shape.inputs[0].producer()
    assert producer.op_type == "Transpose"
    assert producer.inputs[0] is graph.graph.inputs[0]


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("layers", [[(10, 5), (3, 2), (2, 2)], [(3, 1)], [(2, 3)], [(7, 2), (2, 1)], [(5, 3)]], ids=str)
def test_products_give_what_convolutions_give_at_every_length(layers, norm):
    graph = convolutions(*layers, norm=norm)
    expected = [run(graph, x=random(2, 1, length)) for length in LENGTHS]
    names = {node.name for node in graph.graph if node.op_type == "Conv"}
    assert ConvolutionsToProducts()(graph).modified
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    for length, wanted in zip(LENGTHS, expected):
        got = run(graph, x=random(2, 1, length))
        np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max())
    count = operators(graph)
    assert "Conv" not in count
    assert {node.name for node in graph.graph if node.op_type == "MatMul"} == names  # to be kept by the same names
    assert count["Transpose"] == 1  # that of the samples: all others met their inverse
    assert not [name for name in graph.graph.initializers if name.startswith("w")]


@pytest.mark.parametrize("layers", [(3, 2), (4, 1), (5, 3)], ids=str)
def test_zeros_around_are_put_there_where_padded_convolutions_are_asked_for(layers):
    graph = convolutions(layers, pads=[2, 1])
    expected = [run(graph, x=random(2, 1, length)) for length in LENGTHS]
    assert not ConvolutionsToProducts()(convolutions(layers, pads=[2, 1])).modified
    assert ConvolutionsToProducts(padded=True)(graph).modified
    assert not operators(graph)["Conv"]
    for length, wanted in zip(LENGTHS, expected):
        np.testing.assert_allclose(run(graph, x=random(2, 1, length)), wanted, atol=2e-5 * np.abs(wanted).max())


def test_long_padded_convolutions_stay():
    assert not ConvolutionsToProducts(padded=True)(convolutions((17, 1), pads=[8, 8])).modified


@pytest.mark.parametrize("attributes", [{"pads": [1, 1]}, {"dilations": [2]}, {"group": 3}, {"auto_pad": "SAME_UPPER"}])
def test_other_convolutions_stay(attributes):
    groups = attributes.get("group", 1)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], **attributes)]
    graph = model(nodes, {"x": 3}, {"y": 3}, {"w": random(6, 6 // groups, 3)})
    assert not ConvolutionsToProducts()(graph).modified


def test_a_transpose_that_something_else_reads_stays():
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["t", "w"], ["c"]),
        helper.make_node("ReduceMax", ["t", "axes"], ["m"]),
        helper.make_node("Add", ["c", "m"], ["y"]),
    ]
    graph = model(nodes, {"x": 3}, {"y": 3}, {"w": random(4, 4, 1), "axes": np.array([2])})
    expected = run(graph, x=random(1, 9, 4))
    ConvolutionsToProducts()(graph)
    np.testing.assert_allclose(run(graph, x=random(1, 9, 4)), expected, atol=1e-5)


def gemm(**attributes) -> ir.Model:
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], "product", **attributes)]
    return model(nodes, {"x": 2}, {"y": 2}, {"w": random(40, 48)})


def quantized(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x @ weight with each row of x and each column of the weight rounded to 127 steps either way, in numpy."""
    step = (np.abs(x).max(-1, keepdims=True) * np.float32(1 / 127)).astype(np.float32)
    scales = np.abs(weight).max(0) / 127
    return (np.rint(x / step) @ np.rint(weight / scales)) * scales * step


def test_a_gemm_is_quantised_like_a_product():
    graph = gemm(transB=1)
    x = random(5, 48) * np.array([[1], [1e-6], [1e6], [-3], [1]], np.float32)
    rewrite = QuantizeMatMul()
    assert rewrite(graph).modified
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    expected = quantized(x, random(40, 48).T)
    np.testing.assert_allclose(
        run(graph, x=x) / np.abs(expected).max(-1, keepdims=True),
        expected / np.abs(expected).max(-1, keepdims=True),
        atol=1e-5,
    )
    assert rewrite.quantized == 1


def test_a_silent_row_stays_silent():
    graph = gemm(transB=1)
    QuantizeMatMul()(graph)
    assert not run(graph, x=np.zeros((3, 48), np.float32)).any()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 16, 31, 64, 257])
def test_a_row_is_the_same_bits_whatever_rows_are_beside_it(count):
    """Kernels take other paths for one row, for a few and for many."""
    graph = gemm(transB=1)
    QuantizeMatMul()(graph)
    rows = random(300, 48)
    rows[::3] *= 1e4
    together = run(graph, x=rows)
    np.testing.assert_array_equal(run(graph, x=rows[:count]), together[:count])


@pytest.mark.parametrize("attributes", [{"transA": 1}, {"alpha": 0.5}])
def test_other_gemms_stay(attributes):
    assert not QuantizeMatMul()(gemm(**attributes)).modified


def test_bytes_are_moved_in_front_of_a_product_and_samples_stay_as_they_are():
    graph = convolutions((10, 5), (3, 2), norm=True)
    ConvolutionsToProducts()(graph)
    rewrite = QuantizeMatMul()
    rewrite(graph)
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    assert rewrite.quantized == 1  # ten samples a frame are too few
    inferred = onnx.shape_inference.infer_shapes(ir.to_proto(graph), strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    (product,) = [node for node in inferred.node if node.op_type == "MatMulIntegerToFloat"]
    assert types[product.input[0]] == TensorProto.UINT8
    (concat,) = [node for node in inferred.node if node.op_type == "Concat" and node.output[0] in product.input]
    assert types[concat.input[0]] == TensorProto.UINT8
    assert len(concat.input) == 2  # 3 samples a frame, 2 from one to the next
    full = run(convolutions((10, 5), (3, 2), norm=True), x=random(1, 1, 200))
    np.testing.assert_allclose(run(graph, x=random(1, 1, 200)), full, atol=0.03 * np.abs(full).max())


@pytest.mark.parametrize("layer", [(3, 2), (2, 2), (5, 2), (5, 3), (3, 1), (2, 3)], ids=str)
def test_frames_have_a_scale_of_their_own_wherever_they_overlap(layer):
    kernel, stride = layer
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], "conv", strides=[stride])
    for length in LENGTHS:
        graph = model([node], {"x": 3}, {"y": 3}, {"w": random(33, 33, kernel), "b": random(33)})
        ConvolutionsToProducts()(graph)
        rewrite = QuantizeMatMul()
        rewrite(graph)
        onnx.checker.check_model(ir.to_proto(graph), full_check=True)
        assert rewrite.quantized == 1
        samples = random(2, 33, length) * np.geomspace(1e-4, 1e4, length, dtype=np.float32)
        hidden = samples.transpose(0, 2, 1)
        count = (length - kernel) // stride + 1
        frames = np.stack([hidden[:, n * stride : n * stride + kernel].reshape(2, -1) for n in range(count)], axis=1)
        expected = quantized(frames, random(33, 33, kernel).transpose(2, 1, 0).reshape(-1, 33)) + random(33)
        largest = np.abs(expected).max(-1, keepdims=True)
        result = run(graph, x=samples).transpose(0, 2, 1)
        # A value between two steps may go either way.
        assert np.mean(np.abs(result - expected) / largest < 1e-5) > 0.98
        np.testing.assert_allclose(result / largest, expected / largest, atol=2e-2)


@pytest.mark.parametrize("keep", [set(), {"conv1"}])
def test_static_scales_round_to_multiples_and_cut(keep):
    graph = convolutions((10, 5), (3, 2))
    ConvolutionsToProducts()(graph)
    (each,) = products(graph.graph, ())
    rewrite = QuantizeStatic({str(each.source.name): 1.5}, keep)
    assert rewrite(graph).modified == (not keep)
    if keep:
        return
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    assert [numpy_helper.to_array(t).dtype for t in proto.graph.initializer if t.name.endswith("_int8")] == [np.int8]
    x = random(1, 1, 200)
    samples = torch.nn.functional.conv1d(*map(torch.from_numpy, (x, random(33, 1, 10), random(33))), stride=5)
    hidden = torch.nn.functional.gelu(samples).numpy()
    step = np.float32(1.5 / 127)
    rounded = np.clip(np.rint(hidden / step), -128, 127) * step
    weight = random(33, 33, 3)
    scales = np.abs(weight).max((1, 2), keepdims=True) / 127
    weight = np.rint(weight / scales) * scales
    second = torch.nn.functional.conv1d(
        *map(torch.from_numpy, (rounded, weight.astype(np.float32), random(33))), stride=2
    )
    expected = -torch.nn.functional.gelu(second).numpy().transpose(0, 2, 1)
    np.testing.assert_allclose(run(graph, x=x), expected, atol=2e-3)


def test_small_products_beside_large_ones_are_left_alone():
    constants = {"w": random(320, 320), "few": random(320, 3), "more": random(320, 5)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], "wide"),
        helper.make_node("MatMul", ["y", "few"], ["a"], "few"),
        helper.make_node("MatMul", ["y", "more"], ["b"], "more"),
    ]
    graph = model(nodes, {"x": 3}, {"a": 3, "b": 3}, constants)
    assert [each.node.name for each in products(graph.graph, ())] == ["wide", "more"]
    assert [each.node.name for each in products(graph.graph, ("wide",))] == ["more"]
