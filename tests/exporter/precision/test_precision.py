"""Every precision within its budget, and what happens where a budget is missed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from support.oracle import TINY, build, clips, difference, save, tiny
from support.paths import DEMO_AUDIO
from w2vc_exporter import ExportError, ExportOptions, RejectedError, export
from w2vc_exporter.gate.references import read_budget
from w2vc_exporter.graph.passes.emulate_half import EmulateHalf
from w2vc_exporter.graph.passes.quantize_matmul import QuantizeMatMul
from w2vc_exporter.graph.passes.reduce_precision import ReducePrecision
from w2vc_exporter.graph.trace import trace
from w2vc_exporter.precision.fitting import Fitting
from w2vc_exporter.precision.ranges import cpu_session
from w2vc_model import load as load_model
from w2vc_runtime import OptionError, load
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.sessions.select import open_session

ALL = "fp32,fp16,bf16,int8"
# One of each family, kind and head; the matrix proves the rest in fp32.
CELLS = [
    ("wav2vec2", "group", "ctc", "plain"),
    ("wav2vec2-stable", "layer", "sequence-classification", "weighted sum"),
    ("conformer-relative", "layer", "ctc", "adapter"),
    ("conformer-rotary", "group", "frame-classification", "plain"),
    ("conformer-none", "group", "pretraining", "plain"),
    ("bert-relative_key", "log-mel", "ctc", "adapter"),
    ("bert-relative", "log-mel", "base", "plain"),
    ("bert-rotary", "log-mel", "xvector", "plain"),
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(cell).replace(" ", "-"))
def test_every_precision_in_one_bundle(cell, tmp_path):
    result = export(ExportOptions(tiny(*cell, brief=True)[1], head=cell[2], precision=ALL, output=tmp_path / "b"))
    assert [graph.precision for graph in result.manifest.graphs] == ALL.split(",")
    assert [graph.files for graph in result.manifest.graphs] == [
        ("model.onnx",), ("model_fp16.onnx",), ("model_bf16.onnx",), ("model_int8.onnx",)
    ]  # fmt: skip
    differences = [result.verdicts[precision].difference for precision in ALL.split(",")]
    assert all(not verdict.problems for verdict in result.verdicts.values())
    assert differences[0] < differences[1] < differences[2]
    assert not any(graph.kept for graph in result.manifest.graphs)
    assert {path.name for path in (tmp_path / "b").glob("*.onnx*")} == {
        file for graph in result.manifest.graphs for file in graph.files
    }
    assert set(json.loads((tmp_path / "b" / "report.json").read_text())["precisions"]) == set(ALL.split(","))
    assert run_cli.main(["verify", str(tmp_path / "b"), "--provider", "cpu"]) == 0
    assert Bundle.read(tmp_path / "b").manifest == result.manifest


def types(path: Path) -> dict[str, set[int]]:
    """Element types of the weights of the products."""
    graph = onnx.load(path).graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    found: dict[str, set[int]] = {}
    for node in graph.node:
        if node.op_type in ("MatMul", "MatMulIntegerToFloat", "Conv") and node.input[1] in stored:
            found.setdefault(node.op_type, set()).add(stored[node.input[1]])
    return found


def test_weights_are_stored_in_the_type_of_their_precision(tmp_path):
    export(ExportOptions(tiny()[1], precision=ALL, output=tmp_path / "b"))
    kinds = onnx.TensorProto
    assert types(tmp_path / "b" / "model.onnx") == {"MatMul": {kinds.FLOAT}, "Conv": {kinds.FLOAT}}
    assert types(tmp_path / "b" / "model_fp16.onnx") == {"MatMul": {kinds.FLOAT16}, "Conv": {kinds.FLOAT16}}
    assert types(tmp_path / "b" / "model_bf16.onnx") == {"MatMul": {kinds.BFLOAT16}, "Conv": {kinds.BFLOAT16}}
    integers = types(tmp_path / "b" / "model_int8.onnx")
    assert integers == {"MatMulIntegerToFloat": {kinds.INT8}, "Conv": {kinds.FLOAT}, "MatMul": {kinds.FLOAT}}


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory) -> Path:
    """A checkpoint that computes what `tiny` computes, by way of activations past the range of fp16."""
    model = build("conformer-relative", **{**TINY, "hidden_act": "relu", "feat_extract_norm": "layer"})
    with torch.no_grad():
        network = model.wav2vec2_conformer.encoder.layers[1].ffn1
        network.intermediate_dense.weight *= 1e6
        network.intermediate_dense.bias *= 1e6
        network.output_dense.weight *= 1e-6
    return save(model, tmp_path_factory.mktemp("overflow") / "c")


def logits(graph: ir.Model, folder: Path) -> np.ndarray:
    ir.save(graph, folder / "graph.onnx")
    (clip,) = clips(16000)
    inputs = {"input_values": clip[None], "attention_mask": np.ones((1, 16000), dtype=np.int64)}
    return open_session(folder / "graph.onnx", "cpu").run(inputs)["logits"]


def test_what_overflows_is_found_kept_in_fp32_and_listed(overflowing, tmp_path):
    plain = trace(load_model(overflowing, "ctc"))
    ReducePrecision()(plain)
    assert np.isfinite(logits(plain, tmp_path)).all()  # ONNX Runtime's CPU provider does not notice
    EmulateHalf()(plain)
    assert np.isnan(logits(plain, tmp_path)).any()

    result = export(ExportOptions(overflowing, precision="fp16", output=tmp_path / "b"))
    (graph,) = result.manifest.graphs
    (kept,) = graph.kept
    assert "past a quarter of the half range (65504)" in kept.reason
    assert 2 <= len(kept.nodes) <= 8  # two products with their biases and the activation, and no other layer
    assert graph.kept_fp32["MatMul"] == 2
    assert result.verdicts["fp16"].difference < 1e-2


def test_a_budget_that_is_missed_keeps_the_layers_that_cost_the_most(tmp_path):
    plain = export(ExportOptions(tiny()[1], precision="int8", output=tmp_path / "plain")).verdicts["int8"]
    budget = f"difference={plain.difference / 1.5:.6f},tokens=0%"
    result = export(ExportOptions(tiny()[1], precision="int8", budget=budget, output=tmp_path / "b"))
    (graph,) = result.manifest.graphs
    assert graph.kept[-1].reason.startswith("int8 costs the most in ")
    assert result.verdicts["int8"].difference < plain.difference / 1.5
    products = {node.op_type for node in onnx.load(tmp_path / "b" / "model_int8.onnx").graph.node}
    assert {"MatMul", "MatMulIntegerToFloat"} <= products  # some are kept, and not all


def test_weights_are_let_go_of_before_a_graph_is_judged(tmp_path, monkeypatch):
    """The nodes and values of a graph refer to each other, so that leaving it alone does not free its weights."""
    built: list[ir.Model] = []
    build, session = Fitting._build, cpu_session

    def traced(model):
        built.append(trace(model))
        return built[-1]

    def remembered(self, keep):
        model, counted = build(self, keep)
        built.append(model)
        return model, counted

    def judged(*arguments):
        assert built
        assert not any(value.const_value for model in built for value in model.graph.initializers.values())
        return session(*arguments)

    monkeypatch.setattr("w2vc_exporter.pipeline.trace", traced)
    monkeypatch.setattr(Fitting, "_build", remembered)
    monkeypatch.setattr("w2vc_exporter.precision.fitting.cpu_session", judged)
    checkpoint = tiny("bert-none", "log-mel", brief=True)[1]
    export(ExportOptions(checkpoint, precision=ALL, output=tmp_path / "b"))
    assert len(built) == 9  # one each, one more of each half to judge, and three whose drift is measured


def test_a_budget_that_cannot_be_met_is_refused(tmp_path):
    options = ExportOptions(tiny()[1], precision="fp32", budget="difference=1e-12", output=tmp_path / "b")
    with pytest.raises(RejectedError, match=r"not published: fp32, one frame: differs by"):
        export(options)
    assert [path.name for path in tmp_path.iterdir()] == ["b.rejected"]
    assert {path.name for path in (tmp_path / "b.rejected").iterdir()} == {"model.onnx", "report.json", "report.html"}


def test_budgets_are_read():
    assert read_budget("tokens=99.5%") == {"choices": 0.995}
    assert read_budget("difference=1e-3, tokens=0.5") == {"difference": 1e-3, "choices": 0.5}
    for text in ("wer=+0.2", "wer=0.2", "wer=0.2%", " wer = +0.2% "):
        assert read_budget(text) == {"wer": 0.2}
    assert read_budget("tokens=99.9%,wer=+5") == {"choices": 0.999, "wer": 5}


@pytest.mark.parametrize(
    "budget",
    [
        "tokens",
        "tokens=all",
        "tokens=120%",
        "speed=1",
        "difference=-1",
        "",
        "tokens=99%;",
        "wer=-0.1",
        "wer=nan",
        "wer=",
    ],
)
def test_budgets_that_cannot_be_read(budget, tmp_path):
    with pytest.raises(ExportError, match=r"cannot be read; expected tokens=PERCENT% .*, wer=\+POINTS"):
        export(ExportOptions(tiny()[1], budget=budget, output=tmp_path / "b"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("precision", "message"), [("fp8", "unknown precision 'fp8'; known: fp32"), ("fp16,fp16", "named twice")]
)
def test_precisions_that_are_refused(precision, message):
    with pytest.raises(ExportError, match=message):
        ExportOptions(precision=precision)


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    return export(ExportOptions("digits", precision=ALL, output=folder / "b")).bundle


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_runtime_picks_a_precision(several, precision):
    (clip,) = clips(40000)
    full = load(several, "cpu").outputs([clip])[0]["logits"]
    other = load(several, "cpu", precision).outputs([clip])[0]["logits"]
    np.testing.assert_array_equal(full, load(several, "cpu", "fp32").outputs([clip])[0]["logits"])
    assert 0 < difference(other, full) < 2e-2


def test_bf16_runs_where_there_is_arithmetic_for_it(several):
    (clip,) = clips(40000)
    full = load(several, "cpu").outputs([clip])[0]["logits"]
    with pytest.raises(OptionError, match="provider 'cpu' cannot compute in bf16; take 'openvino' or 'cuda'"):
        load(several, "cpu", "bf16")
    pytest.importorskip("openvino")
    assert difference(load(several, "openvino", "bf16").outputs([clip])[0]["logits"], full) < 5e-2


def test_precisions_on_the_command_line(several, capsys):
    recording = str(DEMO_AUDIO / "seven-two-nine.flac")
    for precision in ("fp32", "int8"):
        command = ["run", str(several), recording, "--precision", precision, "--provider", "cpu"]
        assert run_cli.main(command) == 0
        assert capsys.readouterr().out == "seven two nine\n"
    assert run_cli.main(["run", str(several), recording, "--precision", "fp8"]) == 2
    assert capsys.readouterr().err == f"w2vc: {several} has no graph in fp8; it has: fp32, fp16, bf16, int8\n"
    assert run_cli.main(["info", str(several)]) == 0
    shown = capsys.readouterr().out
    assert all(f"{precision} verified" in shown for precision in ALL.split(","))


def test_quantisation_is_shared_and_skips_what_it_is_told():
    model = trace(load_model(tiny("bert-none", "log-mel")[1], "ctc"))
    products = [node for node in model.graph if node.op_type == "MatMul" and node.inputs[1].const_value is not None]
    rewrite = QuantizeMatMul(keep=[products[0].name])
    assert rewrite(model).modified
    assert rewrite.quantized == len(products) - 1
    operators = Counter(node.op_type for node in model.graph)
    assert operators["MatMulIntegerToFloat"] == len(products) - 1
    assert operators["QuantizeLinear"] < operators["MatMulIntegerToFloat"]  # query, key and value read the same
    onnx.checker.check_model(ir.to_proto(model))
    everything = [node.name for node in model.graph]
    again = trace(load_model(tiny("bert-none", "log-mel")[1], "ctc"))
    assert not QuantizeMatMul(keep=everything)(again).modified
