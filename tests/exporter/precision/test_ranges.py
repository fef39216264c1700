"""Where values are cut that bytes stand for."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from support.graphs import model
from w2vc_exporter.precision import ranges

LEVELS = 127


def cut(values: np.ndarray, folder) -> float:
    def load():
        nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])]
        return model(nodes, {"x": 2}, {"z": 2}, {})

    inputs = [{"x": half} for half in np.split(values.astype(np.float32), 2)]
    return ranges.least_error(load, ["y"], inputs, folder, LEVELS)["y"]


def error(values: np.ndarray, largest: float) -> float:
    step = largest / LEVELS
    rounded = np.clip(np.rint(values / step), -LEVELS, LEVELS) * step
    return float((np.abs(values - rounded) ** ranges.POWER).sum())


@pytest.mark.parametrize("kind", ["normal", "heavy", "uniform", "one outlier", "positive"])
def test_no_other_cut_errs_less(kind, tmp_path):
    generator, shape = np.random.default_rng(0), (400, 300)
    values = {
        "normal": generator.standard_normal(shape),
        "heavy": generator.standard_t(4, shape),
        "uniform": generator.random(shape),
        "one outlier": generator.random(shape) + 40 * (np.arange(400 * 300).reshape(shape) == 7),
        "positive": np.maximum(generator.standard_normal(shape), 0),
    }[kind]
    found = cut(values, tmp_path)
    best = min(error(values, share * np.abs(values).max()) for share in np.linspace(0.05, 1.1, 400))
    assert error(values, found) <= 1.1 * best


def test_large_values_are_cut_where_there_are_few_of_them(tmp_path):
    values = np.random.default_rng(0).standard_normal((2000, 1000))
    values[0, :2] = 6
    found = cut(values, tmp_path)
    assert found < 5.5
    assert error(values, found) < 0.9 * error(values, 6)
    values[0] = 6
    assert cut(values, tmp_path) > 5.9


def test_zeros_are_cut_at_zero(tmp_path):
    assert cut(np.zeros((4, 5)), tmp_path) == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_infinite(wrong, tmp_path):
    values = np.ones((4, 5))
    values[1, 2] = wrong
    assert cut(values, tmp_path) == np.inf
