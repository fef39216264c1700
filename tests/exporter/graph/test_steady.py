"""Sums over time that padding does not change by a bit: fires, must not fire, same numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from support.graphs import model, run
from w2vc_exporter.graph.passes.steady import SteadySums


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def total(**attributes: int) -> ir.Model:
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["y"], "total", **attributes)]
    return model(nodes, {"x": 3}, {"y": 3 if attributes.get("keepdims", 1) else 2}, {"axes": np.array([-1])})


def convolution(stride: int = 1, groups: int = 4, kernel: int = 16, **attributes: object) -> ir.Model:
    # Deep enough that its sums are taken in blocks.
    constants = {"w": random(48, 192 // groups, kernel)}
    options = {"group": groups, "strides": [stride], "pads": [kernel // 2, kernel // 2], **attributes}
    return model([helper.make_node("Conv", ["x", "w"], ["y"], "conv", **options)], {"x": 3}, {"y": 3}, constants)


def steady(graph: ir.Model) -> ir.Model:
    assert SteadySums()(graph).modified
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    return graph


@pytest.mark.parametrize("length", [1, 2, 15, 17, 100, 1023, 1025, 2500])
def test_a_sum_is_the_same_bits_with_zeros_behind_it(length):
    x = random(2, 5, length)
    longer = np.concatenate([x, np.zeros((2, 5, 777), np.float32)], axis=-1)
    graph = steady(total())
    result = run(graph, x=x)
    np.testing.assert_allclose(result, x.sum(-1, keepdims=True, dtype=np.float64), atol=1e-4)
    np.testing.assert_array_equal(result, run(graph, x=longer))


@pytest.mark.parametrize(("stride", "groups"), [(1, 4), (2, 4), (3, 2)])
def test_a_convolution_is_the_same_bits_with_zeros_behind_it(stride, groups):
    plain, graph = convolution(stride, groups), steady(convolution(stride, groups))
    other = 0
    for length in (1, 2, 5, 16, 33, 62, 63, 64, 65, 100, 130, 200):
        x = random(1, 192, length)
        longer = np.concatenate([x, np.zeros((1, 192, 230 - length), np.float32)], axis=-1)
        result, expected = run(graph, x=x), run(plain, x=x)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, atol=1e-4)
        np.testing.assert_array_equal(result, run(graph, x=longer)[..., : result.shape[-1]])
        other += not np.array_equal(expected, run(plain, x=longer)[..., : result.shape[-1]])
    assert other  # what the pass is for


def test_names_of_values_stay():
    graph = steady(convolution())
    assert [value.name for value in graph.graph.outputs] == ["y"]
    assert Counter(node.op_type for node in graph.graph)["Conv"] == 1
    assert {node.name for node in graph.graph if node.op_type == "Conv"} == {"conv"}


@pytest.mark.parametrize(
    "graph",
    [
        lambda: total(keepdims=0),
        lambda: convolution(groups=192),  # each channel by itself: short sums
        lambda: convolution(dilations=[2]),
    ],
)
def test_other_operators_stay(graph):
    assert not SteadySums()(graph()).modified
