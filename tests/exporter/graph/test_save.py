"""A graph in one file: onnx reads what was written, and only one weight is in memory at a time."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from w2vc_exporter.graph.save import write_whole

# Lengths whose sizes in the file take one, two, three and four bytes, and none at all.
LENGTHS = (0, 3, 40, 5_000, 600_000)


def model() -> ir.Model:
    generator = np.random.default_rng(0)
    weights = {f"w{n}": generator.standard_normal(n).astype(np.float32) for n in LENGTHS}
    weights |= {
        "half": generator.standard_normal((3, 4)).astype(np.float16),
        "scalar": np.array(7, np.int64),
        "truth": np.array([True, False]),
        "bytes": np.array([[1, -2]], np.int8),
    }
    x = ir.Value(name="x", shape=ir.Shape(["n"]), type=ir.TensorType(ir.DataType.FLOAT))
    y = ir.Value(name="y", shape=ir.Shape(["n"]), type=ir.TensorType(ir.DataType.FLOAT))
    values = [ir.Value(name=name, const_value=ir.tensor(array, name=name)) for name, array in weights.items()]
    brain = ir.Value(name="brain", const_value=ir.tensor([1.0, -2.5], dtype=ir.DataType.BFLOAT16, name="brain"))
    nodes = [ir.Node("", "Identity", [x], outputs=[y], metadata_props={"layer": "head"})]
    graph = ir.Graph([x], [y], nodes=nodes, initializers=[*values, brain], opset_imports={"": 20}, name="main")
    return ir.Model(graph, ir_version=10, producer_name="w2vc")


def test_the_file_is_what_onnx_would_write(tmp_path):
    wanted = ir.to_proto(model())
    write_whole(model(), tmp_path / "whole.onnx")
    assert onnx.load(tmp_path / "whole.onnx") == wanted
    onnx.checker.check_model(str(tmp_path / "whole.onnx"), full_check=True)


def test_the_graph_keeps_its_weights(tmp_path):
    one = model()
    write_whole(one, tmp_path / "a.onnx")
    write_whole(one, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert ir.to_proto(one) == ir.to_proto(model())


def test_a_file_that_is_cut_is_no_model(tmp_path):
    write_whole(model(), tmp_path / "whole.onnx")
    content = (tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[:-1])
    with pytest.raises(Exception, match="pars"):
        onnx.load(tmp_path / "cut.onnx")
