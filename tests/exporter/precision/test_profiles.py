"""Graphs written for the provider that will run them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import numpy_helper

from support.oracle import Cell, clips, tiny
from support.parity import expect_alone, long_enough
from w2vc_exporter import ExportError, ExportOptions, RejectedError, cli, export
from w2vc_runtime import OptionError, load
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.sessions.openvino import OpenVinoSession

pytest.importorskip("openvino", reason="openvino has no wheels for this platform")

LENGTHS = (16000, 400, 9001)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("profiles")
    checkpoint = tiny("wav2vec2", "layer")[1]
    precisions = {"cpu": "fp32,int8", "openvino": "fp32,bf16,int8", "tensorrt": "fp32,int8"}
    for provider, precision in precisions.items():
        export(ExportOptions(checkpoint, precision=precision, provider=provider, output=folder / provider))
    return {provider: folder / provider for provider in precisions}


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_each_provider_has_its_form(written):
    cpu, openvino, tensorrt = (written[name] for name in ("cpu", "openvino", "tensorrt"))
    positional = 1  # the convolution that embeds positions is padded
    assert operators(cpu / "model.onnx")["Conv"] > positional
    assert operators(cpu / "model_int8.onnx")["Conv"] == positional
    assert operators(cpu / "model_int8.onnx")["MatMulIntegerToFloat"]
    for precision in ("", "_bf16", "_int8"):
        assert operators(openvino / f"model{precision}.onnx")["Conv"] == positional
    assert operators(tensorrt / "model_int8.onnx")["Conv"] == operators(cpu / "model.onnx")["Conv"]
    for bundle in (openvino, tensorrt):
        found = operators(bundle / "model_int8.onnx")
        assert found["QuantizeLinear"]
        assert found["DequantizeLinear"] > found["QuantizeLinear"]
        assert not found["MatMulIntegerToFloat"]


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_every_form_computes_the_same(written, provider):
    theirs, _ = tiny("wav2vec2", "layer")
    expect_alone(theirs, "ctc", load(written[provider], provider, "fp32"), clips(*LENGTHS))


def test_the_manifest_says_what_a_graph_is_written_for_and_auto_takes_it(written, monkeypatch, capsys):
    for provider, bundle in written.items():
        assert {graph.provider for graph in Bundle.read(bundle).manifest.graphs} == {provider}
        assert run_cli.main(["info", str(bundle)]) == 0
        assert f"fp32 (model.onnx, opset 20, for {provider})" in capsys.readouterr().out
    assert load(written["openvino"], "auto", "int8").provider == "openvino"
    assert load(written["cpu"], "auto", "int8").provider == "cpu"
    with pytest.raises(OptionError, match="int8 graph is written for provider 'cpu', with operators of ONNX Runtime"):
        load(written["cpu"], "openvino", "int8")
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert load(written["openvino"], "auto", "fp32").provider == "cpu"


def test_without_a_provider_only_dynamic_int8_is_written_for_one(tmp_path):
    result = export(ExportOptions(tiny(brief=True)[1], precision="fp32,int8", output=tmp_path / "b"))
    assert [graph.provider for graph in result.manifest.graphs] == [None, "cpu"]


def test_static_scales_come_from_the_recordings(tmp_path):
    (tmp_path / "recordings").mkdir()
    soundfile.write(tmp_path / "recordings" / "a.wav", np.full(16000, 0.25, np.float32), 16000)
    steps = {}
    for name, folder in (("noise", None), ("recordings", tmp_path / "recordings")):
        options = ExportOptions(
            tiny(brief=True)[1], precision="int8", provider="tensorrt", calibrate=folder,
            budget="difference=1e9,tokens=0%", output=tmp_path / f"from {name}",
        )  # fmt: skip
        bundle = export(options).bundle
        tensors = onnx.load(bundle / "model_int8.onnx").graph.initializer
        steps[name] = {t.name: float(numpy_helper.to_array(t)) for t in tensors if t.name.endswith("_step")}
    assert steps["noise"].keys() == steps["recordings"].keys()
    assert steps["noise"] != steps["recordings"]


def test_the_gate_judges_on_the_provider_itself(tmp_path, monkeypatch):
    intact = OpenVinoSession.run

    def broken(session, inputs):
        return {name: value * np.float32(1.01) for name, value in intact(session, inputs).items()}

    monkeypatch.setattr(OpenVinoSession, "run", broken)
    with pytest.raises(RejectedError, match="not published: fp32"):
        export(ExportOptions(tiny(brief=True)[1], provider="openvino", output=tmp_path / "b"))
    export(ExportOptions(tiny(brief=True)[1], provider="cpu", output=tmp_path / "b"))


def test_a_layer_over_budget_stays_in_fp32_with_static_scales_too(tmp_path):
    checkpoint = tiny()[1]
    plain = ExportOptions(checkpoint, precision="int8", provider="tensorrt", output=tmp_path / "plain")
    difference = export(plain).verdicts["int8"].difference
    budget = f"difference={difference / 1.5:.6f},tokens=0%"
    options = ExportOptions(checkpoint, precision="int8", provider="tensorrt", budget=budget, output=tmp_path / "b")
    result = export(options)
    assert result.manifest.graphs[0].kept[-1].reason.startswith("int8 costs the most in ")
    assert result.verdicts["int8"].difference < difference / 1.5


@pytest.mark.parametrize(
    "cell", [Cell("bert-relative_key", "log-mel", "ctc"), Cell("conformer-rotary", "group", "ctc")]
)
def test_other_families(cell, tmp_path):
    """No front end of convolutions; and one whose group norm stands between channels first and last."""
    theirs, checkpoint = tiny(*cell, brief=True)
    options = ExportOptions(checkpoint, precision="fp32,int8", provider="openvino", output=tmp_path / "b")
    result = export(options)
    assert not result.verdicts["int8"].problems
    model = load(result.bundle, "openvino", "fp32")
    expect_alone(theirs, cell.head, model, long_enough(model, *LENGTHS))


def test_bad_providers(tmp_path, monkeypatch, capsys):
    with pytest.raises(ExportError, match="unknown provider 'tpu'; known: cpu, cuda, tensorrt, openvino"):
        ExportOptions(provider="tpu")
    with pytest.raises(ExportError, match="provider 'cpu' cannot compute in bf16; take 'openvino'"):
        ExportOptions(provider="cpu", precision="fp32,bf16")
    monkeypatch.setitem(sys.modules, "openvino", None)
    target = tmp_path / "b"
    assert cli.main([str(tiny(brief=True)[1]), "--head", "ctc", "--provider", "openvino", "-o", str(target)]) == 2
    assert "pip install 'w2vc[openvino]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
