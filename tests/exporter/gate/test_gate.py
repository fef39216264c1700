"""The gate turns away graphs that compute something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import w2vc_model
from support.oracle import tiny
from w2vc_exporter import ExportOptions, RejectedError, export
from w2vc_exporter.gate.references import references
from w2vc_exporter.options import DIGITS
from w2vc_runtime.bundle import Bundle, Frames, Interface, Tensor
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.features import Waveform
from w2vc_runtime.sessions.onnx_runtime import OnnxRuntimeSession
from w2vc_runtime.sessions.select import open_session
from w2vc_runtime.verify.parity import verify
from w2vc_runtime.verify.verdict import BUDGETS, Verdict


@pytest.fixture(scope="module", params=["tiny", "digits"])
def bundle(request, tmp_path_factory) -> Path:
    """A bundle of random weights and one of trained ones, beside their checkpoint."""
    folder = tmp_path_factory.mktemp("gate")
    checkpoint = tiny()[1] if request.param == "tiny" else DIGITS
    (folder / "checkpoint").symlink_to(checkpoint)
    return export(ExportOptions(checkpoint, output=folder / "bundle")).bundle


def judge(bundle: Path, graph: onnx.ModelProto, tmp_path: Path) -> Verdict:
    path = tmp_path / "broken.onnx"
    onnx.save(graph, path)
    manifest = Bundle.read(bundle).manifest
    model = w2vc_model.load(bundle.parent / "checkpoint", "ctc")
    cases = references(model, manifest.interface)
    return verify(open_session(path, "cpu"), cases, BUDGETS["fp32"], model.choice)


def scale(graph: onnx.ModelProto, name: str, factor: float) -> None:
    for tensor in graph.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))
            return
    raise AssertionError(f"no weight {name}")


def test_an_intact_graph_passes(bundle, tmp_path):
    assert judge(bundle, onnx.load(bundle / "model.onnx"), tmp_path).problems == ()


@pytest.mark.parametrize(
    "weight",
    [
        "feature_extractor.conv_layers.3.conv.weight",
        "encoder.layers.0.self_attn.linear_pos.weight.T",
        "encoder.layers.1.final_layer_norm.weight",
        "lm_head.bias",
    ],
)
def test_one_weight_scaled_by_a_hundredth(bundle, tmp_path, weight):
    graph = onnx.load(bundle / "model.onnx")
    scale(graph, weight, 1.01)
    assert judge(bundle, graph, tmp_path).problems


def test_positions_shifted_by_one(bundle, tmp_path):
    graph = onnx.load(bundle / "model.onnx")
    producers = {output: node for node in graph.graph.node for output in node.output}
    (sine,) = [node for node in graph.graph.node if node.op_type == "Sin"]
    offsets = producers[sine.input[0]].input[0]
    one = numpy_helper.from_array(np.float32(1.0), "one")
    graph.graph.initializer.append(one)
    shift = onnx.helper.make_node("Add", [offsets, "one"], ["shifted"])
    product = producers[sine.input[0]]
    product.input[list(product.input).index(offsets)] = "shifted"
    graph.graph.node.insert(list(graph.graph.node).index(product), shift)
    assert judge(bundle, graph, tmp_path).problems


def test_a_graph_that_ignores_the_mask(bundle, tmp_path):
    """What peers ship: right for a single clip, wrong for a padded batch."""
    graph = onnx.load(bundle / "model.onnx")
    for node in graph.graph.node:
        if node.op_type == "Not":
            node.op_type = "And"
            node.input.append(node.input[0])
            graph.graph.initializer.append(numpy_helper.from_array(np.array(False), "never"))
            node.input[1] = "never"
    verdict = judge(bundle, graph, tmp_path)
    assert verdict.problems
    assert all(problem.startswith("padded") for problem in verdict.problems)


def test_a_graph_that_gives_nan(bundle, tmp_path):
    graph = onnx.load(bundle / "model.onnx")
    scale(graph, "lm_head.bias", np.nan)
    assert any("NaN" in problem for problem in judge(bundle, graph, tmp_path).problems)


class Torch:
    """The PyTorch model as a session; at every tenth frame its codevectors are off by a share of the largest value."""

    provider = "torch"

    def __init__(self, model: w2vc_model.SpeechModel, off: float) -> None:
        self.model, self.off = model, off

    @torch.no_grad()
    def run(self, inputs: Arrays) -> Arrays:
        outputs = self.model(*(torch.from_numpy(inputs[name]) for name in self.model.inputs))
        vectors = outputs["projected_quantized_states"]
        vectors[:, ::10] += self.off * vectors.abs().max()
        return {name: value.numpy() for name, value in outputs.items()}


@pytest.mark.parametrize(("off", "another"), [(0.0, False), (0.02, False), (0.1, True)])
def test_another_codevector_is_another_choice_and_no_small_difference(off, another):
    model = w2vc_model.load(tiny("wav2vec2", "group", "pretraining")[1], "pretraining")
    features = Waveform(sampling_rate=16000, do_normalize=True, return_attention_mask=True)
    inputs = tuple(Tensor(name, dtype, shape) for name, (dtype, shape) in model.inputs.items())
    outputs = tuple(Tensor(name, "float32", shape) for name, shape in model.outputs.items())
    interface = Interface(features, "padding-invariant", inputs, outputs, {"frames": Frames(400, 320)}, 720)
    cases = references(model, interface)
    verdict = verify(Torch(model, off), cases, BUDGETS["int8"], model.choice)
    assert verdict.same == pytest.approx(0.9 if another else 1.0, abs=0.01)
    assert (verdict.difference > 0.01) == (off == 0.02)


def test_what_fails_is_set_aside_and_not_published(tmp_path, monkeypatch):
    intact = OnnxRuntimeSession.run

    def broken(session, inputs):
        return {name: value * np.float32(1.001) for name, value in intact(session, inputs).items()}

    monkeypatch.setattr(OnnxRuntimeSession, "run", broken)
    target = tmp_path / "bundle"
    with pytest.raises(RejectedError, match=r"not published: fp32, one frame: differs.*bundle\.rejected"):
        export(ExportOptions(tiny()[1], output=target))
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.rejected"]
    assert {path.name for path in (tmp_path / "bundle.rejected").iterdir()} == {
        "model.onnx",
        "report.json",
        "report.html",
    }
