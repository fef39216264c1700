"""A voice activity model with Silero's interface, whose answers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper


def made_voice_model(path: Path, rate: bool = True, **names: str) -> Path:
    """A model whose probability is half the mean of what was before a window, a quarter of its own and of the state.

    The next state is the window's mean. names: other names of its inputs and outputs.
    """
    name = {each: names.get(each, each) for each in ("input", "state", "sr", "output", "stateN")}
    value = helper.make_tensor_value_info
    inputs = [value(name["input"], TensorProto.FLOAT, [1, 576]), value(name["state"], TensorProto.FLOAT, [2, 1, 128])]
    inputs += [value(name["sr"], TensorProto.INT64, [])] if rate else []
    outputs = [
        value(name["output"], TensorProto.FLOAT, [1, 1]), value(name["stateN"], TensorProto.FLOAT, [2, 1, 128]),
    ]  # fmt: skip
    constants = {"split": [64, 512], "half": 0.5, "quarter": 0.25, "zero": 0.0, "one": 1.0, "axes": [1], "all": [0, 2]}
    nodes = [
        helper.make_node("Split", [name["input"], "split"], ["before", "window"], axis=1),
        helper.make_node("ReduceMean", ["before", "axes"], ["mean_before"]),
        helper.make_node("ReduceMean", ["window", "axes"], ["mean"]),
        helper.make_node("ReduceMean", [name["state"], "all"], ["held"], keepdims=0),
        helper.make_node("Mul", ["mean_before", "half"], ["first"]),
        helper.make_node("Add", ["mean", "held"], ["both"]),
        helper.make_node("Mul", ["both", "quarter"], ["second"]),
        helper.make_node("Add", ["first", "second"], ["sum"]),
        helper.make_node("Clip", ["sum", "zero", "one"], [name["output"]]),
        helper.make_node("Mul", [name["state"], "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "mean"], [name["stateN"]]),
    ]
    tensors = [
        onnx.numpy_helper.from_array(np.array(each, np.int64 if isinstance(each, list) else np.float32), key)
        for key, each in constants.items()
    ]
    graph = helper.make_graph(nodes, "voice", inputs, outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path
