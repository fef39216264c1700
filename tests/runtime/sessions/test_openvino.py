"""OpenVINO computes what Hugging Face computes, in the precision of the bundle, from several threads at once."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from support import parity
from support.oracle import Cell, clips, tiny
from support.parity import expect_alone, expect_together, exported, long_enough
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import BundleError, InferenceError, MissingExtraError, OptionError, load
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.sessions.select import open_session
from w2vc_runtime.verify.verdict import BUDGETS

# Every architecture and position kind, every head.
CELLS = [
    Cell("wav2vec2", "group", "pretraining"),
    Cell("wav2vec2-stable", "layer", "base"),
    Cell("conformer-relative", "group", "ctc"),
    Cell("conformer-rotary", "layer", "xvector"),
    Cell("conformer-none", "layer", "sequence-classification"),
    Cell("bert-relative_key", "log-mel", "xvector", "adapter"),
    Cell("bert-relative", "log-mel", "base", "adapter"),
    Cell("bert-rotary", "log-mel", "frame-classification"),
    Cell("bert-none", "log-mel", "ctc"),
]
HALF = [Cell("conformer-rotary", "layer", "ctc"), Cell("bert-relative_key", "log-mel", "ctc")]
LENGTHS = (0, 1600, 16000, 40001)
BATCH = (16000, 400, 9001)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_parity(cell, tmp_path):
    """Several lengths and a padded batch out of one session."""
    theirs, checkpoint = tiny(*cell)
    exported(checkpoint, cell.head, "padding-invariant", tmp_path / "bundle")
    model = load(tmp_path / "bundle", "openvino")
    assert model.provider == "openvino"
    for clip in long_enough(model, *LENGTHS):
        expect_alone(theirs, cell.head, model, [clip])
    expect_alone(theirs, cell.head, model, long_enough(model, *BATCH))


def test_parity_of_the_exact_contract(tmp_path):
    theirs, checkpoint = tiny("conformer-relative", "group")
    exported(checkpoint, "ctc", "hf-exact", tmp_path / "bundle")
    model = load(tmp_path / "bundle", "openvino")
    for lengths in (BATCH, (800,), (40001,)):
        expect_together(theirs, "ctc", model, clips(*lengths))


@pytest.mark.parametrize("cell", HALF, ids=str)
def test_parity_of_half_precision(cell, tmp_path, monkeypatch):
    theirs, checkpoint = tiny(*cell)
    bundle = export(ExportOptions(checkpoint, precision="fp16", output=tmp_path / "bundle")).bundle
    model = load(bundle, "openvino")
    monkeypatch.setattr(parity, "TOLERANCE", BUDGETS["fp16"].difference)
    for clip in long_enough(model, *LENGTHS):
        expect_alone(theirs, cell.head, model, [clip])
    expect_alone(theirs, cell.head, model, long_enough(model, *BATCH))


def test_external_data_is_read(digits, tmp_path):
    path = tmp_path / "model.onnx"
    whole = onnx.load(digits["fp32"] / "model.onnx")
    onnx.save_model(whole, path, save_as_external_data=True, location="model.onnx.data", size_threshold=1000)
    inputs = speech(8000)
    expected = open_session(digits["fp32"] / "model.onnx", "openvino").run(inputs)["logits"]
    np.testing.assert_array_equal(open_session(path, "openvino").run(inputs)["logits"], expected)


def test_threads_do_not_mix(digits):
    model = load(digits["fp32"], "openvino")
    batch = clips(*(4000 + 777 * index for index in range(9)))
    expected = [model.outputs([clip])[0]["logits"] for clip in batch]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda clip: model.outputs([clip])[0]["logits"], batch * 6))
    for answer, wanted in zip(answers, expected * 6):
        np.testing.assert_array_equal(answer, wanted)


def test_the_command_line(digits, tone, capsys):
    assert run_cli.main(["run", str(digits["fp16"]), str(tone), "--provider", "openvino", "--format", "json"]) == 0
    assert '"duration": 1.0' in capsys.readouterr().out


def test_auto_takes_it_on_x86_only(digits, monkeypatch):
    path = digits["fp32"] / "model.onnx"
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert open_session(path, "auto").provider == "openvino"
    assert open_session(path, "auto", "int4").provider == "cpu"  # which OpenVINO refuses
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert open_session(path, "auto").provider == "cpu"


def test_auto_needs_one_of_the_two(digits, monkeypatch):
    path = digits["fp32"] / "model.onnx"
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "onnxruntime", None)
        assert open_session(path, "auto").provider == "openvino"
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert open_session(path, "auto").provider == "cpu"
    with pytest.raises(MissingExtraError, match=r"'openvino' needs openvino, .*pip install 'w2vc\[openvino\]'"):
        open_session(path, "openvino")


def test_a_graph_that_it_cannot_load(digits, tmp_path):
    path = tmp_path / "model.onnx"
    graph = onnx.load(digits["fp32"] / "model.onnx")
    graph.opset_import.append(onnx.helper.make_opsetid("elsewhere", 1))
    graph.graph.node[0].domain, graph.graph.node[0].op_type = "elsewhere", "Frobnicate"
    onnx.save(graph, path)
    with pytest.raises(BundleError, match=r"^openvino .* cannot load .*model.onnx: .*elsewhere.Frobnicate$"):
        open_session(path, "openvino")
    with pytest.raises(OptionError, match=r"the graph is in int4; provider 'openvino' runs fp32 or fp16"):
        open_session(path, "openvino", "int4")


def test_a_failed_run_is_one_line_and_leaves_the_session_intact(digits):
    """OpenVINO's own compiled graph then fails on the shape that it ran last."""
    session = open_session(digits["fp32"] / "model.onnx", "openvino")
    expected = session.run(speech(16000))["logits"]
    with pytest.raises(InferenceError, match=r"^provider 'openvino' failed on an input of shape \[1, 10\]: .+$"):
        session.run(speech(10))
    np.testing.assert_array_equal(session.run(speech(16000))["logits"], expected)


def test_importing_it_reports_to_nobody(digits, tmp_path):
    """Its telemetry would leave an identifier in the home directory."""
    path = digits["fp32"] / "model.onnx"
    code = "from pathlib import Path; from w2vc_runtime.sessions.select import open_session; "
    code += f"open_session(Path({str(path)!r}), "
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    command = [sys.executable, "-c", code + "'openvino')"]
    subprocess.run(command, env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(Path(tmp_path).iterdir()) == []


def speech(samples: int) -> dict[str, np.ndarray]:
    """Inputs [1, samples] of a waveform graph."""
    return {"input_values": np.stack(clips(samples)), "attention_mask": np.ones((1, samples), np.int64)}
