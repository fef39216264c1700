"""``w2vc verify``: a bundle proves itself where there is no PyTorch, and a wrong one does not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from support.bundles import sign
from support.commands import refused
from support.isolation import FORBID, python
from support.oracle import tiny
from w2vc_exporter import ExportOptions, export
from w2vc_runtime.bundle import Bundle, digest
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.verify import cases, expectations
from w2vc_runtime.verify.parity import verify
from w2vc_runtime.verify.reference import Expected, Reference
from w2vc_runtime.verify.verdict import BUDGETS


@pytest.fixture
def bundle(digits, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(digits["fp32"], tmp_path / "bundle"))


def rewrite(bundle: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    graph = onnx.load(bundle / "model.onnx")
    change(graph)
    onnx.save(graph, bundle / "model.onnx")
    sign(bundle)


def louder(graph: onnx.ModelProto) -> None:
    for tensor in graph.graph.initializer:
        if tensor.name == "lm_head.bias":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))


def rename(graph: onnx.ModelProto) -> None:
    graph.graph.output[0].name = graph.graph.node[-1].output[0] = "scores"


def test_a_bundle_proves_itself_without_pytorch(digits):
    command = ["verify", str(digits["fp16"]), "--provider", "cpu"]
    code = f"from w2vc_runtime.cli.main import main; sys.exit(main({command!r}))"
    result = python(FORBID.format(names=["torch", "onnx", "transformers", "w2vc_exporter", "w2vc_model"]) + code)
    assert result.returncode == 0, result.stderr
    header, row = result.stdout.splitlines()
    assert header.split()[:2] == ["precision", "provider"]
    assert row.split()[:2] == ["fp16", "cpu"]
    assert row.endswith("passed")


@pytest.mark.parametrize("cell", [("conformer-relative", "group", "ctc"), ("wav2vec2", "group", "pretraining")])
def test_padded_batches_of_hugging_face_are_stored_too(cell, tmp_path, capsys):
    checkpoint = tiny(*cell, brief=True)[1]
    export(ExportOptions(checkpoint, head=cell[2], padding="hf-exact", output=tmp_path / "b"))
    assert run_cli.main(["verify", str(tmp_path / "b"), "--provider", "cpu"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (louder, "failed: fp32, one frame: differs by"),
        (rename, "failed: fp32, the graph gives nothing as logits, and its manifest says float32 [batch, frames, 32]"),
    ],
)
def test_another_graph_under_new_hashes_fails(change, line, bundle, capsys):
    rewrite(bundle, lambda graph: None)
    assert run_cli.main(["verify", str(bundle), "--provider", "cpu"]) == 0
    capsys.readouterr()
    rewrite(bundle, change)
    assert run_cli.main(["verify", str(bundle), "--provider", "cpu"]) == 1
    captured = capsys.readouterr()
    assert "  failed" in captured.out.splitlines()[1]
    assert line in captured.err


def test_a_graph_that_cannot_be_loaded_fails(bundle, capsys):
    rewrite(bundle, lambda graph: graph.opset_import[0].ClearField("version"))
    assert run_cli.main(["verify", str(bundle), "--provider", "cpu"]) == 1
    assert "cannot load" in capsys.readouterr().err
    (bundle / "model.onnx").write_bytes(b"no graph")
    sign(bundle)
    assert "model.onnx is not an ONNX graph" in refused(capsys, run_cli.main, "verify", bundle, "--provider", "cpu")


@pytest.mark.parametrize("name", ["model.onnx", "verification.npz"])
def test_a_flipped_byte(name, bundle, capsys):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    assert f"{name} is damaged" in refused(capsys, run_cli.main, "verify", bundle)


def test_reports_that_do_not_belong(digits, bundle, capsys):
    shutil.copyfile(digits["fp16"] / "report.json", bundle / "report.json")
    assert "report.json is the report of another bundle" in refused(capsys, run_cli.main, "verify", bundle)
    (bundle / "report.json").write_text((digits["fp32"] / "report.json").read_text().replace("e-0", "e-1"))
    assert "report.json is damaged: its content" in refused(capsys, run_cli.main, "verify", bundle)
    (bundle / "report.json").write_text("{")
    assert "report.json is damaged: it is not a report" in refused(capsys, run_cli.main, "verify", bundle)
    (bundle / "report.json").unlink()
    assert "has no report.json" in refused(capsys, run_cli.main, "verify", bundle)


def test_the_page_is_that_of_the_report(bundle, capsys):
    page = bundle / "report.html"
    content = page.read_bytes()
    for other in (b"", content[:-1], content.replace(b"e-0", b"e-1"), content + b"\n"):
        page.write_bytes(other)
        line = refused(capsys, run_cli.main, "verify", bundle)
        assert f"{page} is damaged: it does not match report.json's sha256; export the bundle again" in line
    page.unlink()
    assert "has no report.html" in refused(capsys, run_cli.main, "verify", bundle)
    page.write_bytes(content)
    report = json.loads((bundle / "report.json").read_text())
    del report["page"]
    (bundle / "report.json").write_text(json.dumps({**report, "sha256": digest(report)}))
    assert "does not say what its page report.html is" in refused(capsys, run_cli.main, "verify", bundle)


@pytest.mark.parametrize("name", ["manifest.json", "report.json", "report.html", "verification.npz", "model.onnx"])
def test_a_directory_in_place_of_a_file(name, bundle, capsys):
    (bundle / name).unlink()
    (bundle / name).mkdir()
    assert f"{bundle / name} is not a file" in refused(capsys, run_cli.main, "verify", bundle)


def test_audio_that_this_numpy_makes_otherwise(bundle, capsys, monkeypatch):
    monkeypatch.setattr(cases, "SPEECH_LEVEL", 0.2)
    assert "does not make the audio that" in refused(capsys, run_cli.main, "verify", bundle)


def test_bundles_that_hold_no_reference_or_another(bundle, capsys):
    arrays = dict(np.load(bundle / "verification.npz"))
    for broken in ({**arrays, "logits.frames": arrays["logits.frames"][:-1]}, {"clips": arrays["clips"]}):
        np.savez(bundle / "verification.npz", **broken)
        sign(bundle)
        assert "verification.npz does not fit the manifest" in refused(capsys, run_cli.main, "verify", bundle)
    manifest = Bundle.read(bundle).manifest
    files = {name: entry for name, entry in manifest.files.items() if name != "verification.npz"}
    (bundle / "manifest.json").write_text(dataclasses.replace(manifest, files=files).to_json())
    sign(bundle)
    assert "has no verification.npz" in refused(capsys, run_cli.main, "verify", bundle)


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["logits.values", "logits.largest"])
def test_references_are_finite(name, number, bundle, capsys):
    arrays = dict(np.load(bundle / "verification.npz"))
    arrays[name].flat[3] = number
    np.savez(bundle / "verification.npz", **arrays)
    sign(bundle)
    assert "(logits has a value that is not finite)" in refused(capsys, run_cli.main, "verify", bundle)


def test_a_precision_that_is_not_there(bundle, capsys):
    assert "has no graph in int8" in refused(capsys, run_cli.main, "verify", bundle, "--precision", "int8")


class Echo:
    """A session that gives what PyTorch gave, but for what a test changes."""

    provider = "echo"

    def __init__(self, outputs: list[dict[str, np.ndarray]]) -> None:
        self.outputs = iter(outputs)

    def run(self, inputs):
        return next(self.outputs)


def test_what_is_stored_stays_small_and_judges_as_the_whole_does(tmp_path):
    """24 layers of 1024 channels would take 100 MB whole; frames between the stored ones show in the choices."""
    generator = np.random.default_rng(0)
    shapes = {"logits": (600, 32), **{f"hidden_states_{layer}": (600, 1024) for layer in range(25)}}
    whole = {name: generator.standard_normal((2, *shape)).astype(np.float32) for name, shape in shapes.items()}
    expected = {name: tuple(map(Expected.whole, value)) for name, value in whole.items()}
    reference = Reference("c", (np.zeros(400, np.float32),) * 2, 12.0, {}, expected)
    expectations.write(tmp_path / "a.npz", [reference], "logits")
    expectations.write(tmp_path / "b.npz", [reference], "logits")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert 3e6 < (tmp_path / "a.npz").stat().st_size < 4.2e6

    arrays = dict(np.load(tmp_path / "a.npz"))
    rows = int(arrays["rows"])
    few = {name: tuple(expectations.expected_of(arrays, name, rows)) for name in shapes}
    cut = dataclasses.replace(reference, expected=few)
    assert not verify(Echo([whole]), [cut], BUDGETS["fp32"], "logits").problems
    for name in shapes:
        other = {**whole, name: whole[name] * np.float32(1.001)}
        assert verify(Echo([other]), [cut], BUDGETS["fp32"], "logits").problems
    shifted = whole["logits"].copy()
    shifted[:, 1] = -shifted[:, 1]  # a frame that is not stored
    verdict = verify(Echo([{**whole, "logits": shifted}]), [cut], BUDGETS["fp32"], "logits")
    assert (verdict.rows[0].choices, verdict.rows[0].same) == (1200, 1198)
