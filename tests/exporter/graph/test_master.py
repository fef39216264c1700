"""The graph that precisions are made from: what was traced, types and weights, and the weights on disk once."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from support.oracle import tiny
from w2vc_exporter.graph.master import Master
from w2vc_exporter.graph.trace import trace
from w2vc_model import load


@pytest.fixture(params=["one file", "external data"])
def limit(request, monkeypatch):
    if request.param == "external data":
        monkeypatch.setattr("w2vc_exporter.graph.save.EXTERNAL_DATA_BYTES", 1000)
    return request.param


def traced() -> ir.Model:
    return trace(load(tiny()[1], "ctc"))


def weights(model: ir.Model) -> dict[str, np.ndarray]:
    return {str(name): value.const_value.numpy() for name, value in model.graph.initializers.items()}


def types(node: ir.Node) -> list[tuple[ir.DataType | None, ir.Shape | None]]:
    return [(value.dtype, value.shape) for value in node.outputs]


def test_it_is_what_was_traced(tmp_path, limit):
    wanted, got = traced(), Master.write(traced(), tmp_path).load()
    assert [(node.name, node.op_type) for node in got.graph] == [(node.name, node.op_type) for node in wanted.graph]
    for one, other in zip(wanted.graph, got.graph, strict=True):
        assert types(one) == types(other)
    assert all(dtype is not None for node in got.graph for dtype, _ in types(node))
    expected, actual = weights(wanted), weights(got)
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, strict=True)


def test_weights_are_on_disk_once(tmp_path, limit):
    master = Master.write(traced(), tmp_path)
    assert len(master.files) == (1 if limit == "one file" else 2)
    size = sum(value.nbytes for value in weights(traced()).values())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1.5 * size


def test_what_is_published_beside_it_is_whole(tmp_path, limit):
    master = Master.write(traced(), tmp_path)
    master.path.unlink()
    onnx.checker.check_model(str(tmp_path / master.files[0]), full_check=True)
    published = ir.load(tmp_path / master.files[0])
    for name, value in weights(traced()).items():
        np.testing.assert_array_equal(weights(published)[name], value, strict=True)
