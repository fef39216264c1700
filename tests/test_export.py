"""One export, every length and batch: the graph equals Hugging Face's model, which it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from oracle import ARCHITECTURES, NORMS, PUBLISHED, alone, build, clips, difference, padded, save, tiny, together

from w2vc_exporter import ExportError, ExportOptions, export
from w2vc_runtime import load
from w2vc_runtime.manifest import Manifest
from w2vc_runtime.session import open_session

TOLERANCE = 1e-4
BATCH = (16000, 400, 9001)


def run(bundle: Path, batch: list[np.ndarray]) -> np.ndarray:
    values, mask = padded(batch)
    graph = bundle / Manifest.read(bundle).graphs[0].files[0]
    return open_session(graph, "cpu").run({"input_values": values.numpy(), "attention_mask": mask.numpy()})["logits"]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tiny_graphs_equal_hugging_face(architecture, norm, tmp_path):
    theirs, checkpoint = tiny(architecture, norm)
    invariant = export(ExportOptions(checkpoint, output=tmp_path / "invariant")).bundle
    for clip in clips(400, 719, 720, 1600, 16000, 40001):
        assert difference(run(invariant, [clip])[0], alone(theirs, clip)) < TOLERANCE
    batch = clips(*BATCH)
    for row, clip in zip(run(invariant, batch), batch):
        expected = alone(theirs, clip)
        assert difference(row[: len(expected)], expected) < TOLERANCE


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hf_exact_graphs_equal_hugging_faces_padded_batch(architecture, norm, tmp_path):
    theirs, checkpoint = tiny(architecture, norm)
    exact = export(ExportOptions(checkpoint, padding="hf-exact", output=tmp_path / "exact")).bundle
    for batch in (clips(*BATCH), clips(800), clips(40001)):
        assert difference(run(exact, batch), together(theirs, batch)) < TOLERANCE


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_width_from_a_tenth_to_twenty_seconds(name, tmp_path):
    theirs = build(PUBLISHED[name][0], **PUBLISHED[name][1])
    checkpoint = save(theirs, tmp_path / name)
    bundle = export(ExportOptions(checkpoint, output=tmp_path / "bundle")).bundle
    for clip in clips(1600, 12345, 80000, 320000):
        assert difference(run(bundle, [clip])[0], alone(theirs, clip)) < TOLERANCE
    batch = clips(32000, 1600, 17777)
    for row, clip in zip(run(bundle, batch), batch):
        expected = alone(theirs, clip)
        assert difference(row[: len(expected)], expected) < TOLERANCE


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name.startswith("wav2vec2-conformer-r")][:2])
def test_real_width_equals_hugging_faces_padded_batch(name, tmp_path):
    theirs = build(PUBLISHED[name][0], **PUBLISHED[name][1])
    checkpoint = save(theirs, tmp_path / name)
    bundle = export(ExportOptions(checkpoint, padding="hf-exact", output=tmp_path / "bundle")).bundle
    batch = clips(32000, 1600, 17777)
    assert difference(run(bundle, batch), together(theirs, batch)) < TOLERANCE


def test_graph_has_dynamic_batch_and_time_and_the_ecosystems_names(digits):
    graph = onnx.load(digits["fp32"] / "model.onnx").graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "input_values": ["batch", "samples"],
        "attention_mask": ["batch", "samples"],
        "logits": ["batch", "frames", 32],
    }


def test_exporting_twice_gives_the_same_bytes(tmp_path):
    _, checkpoint = tiny()
    for precision in ("fp32", "fp16"):
        folders = [tmp_path / f"{precision}-{number}" / "bundle" for number in (1, 2)]
        for folder in folders:
            folder.parent.mkdir()
            export(ExportOptions(checkpoint, precision=precision, output=folder))
        one, two = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
        manifests = [json.loads(files.pop("manifest.json")) for files in (one, two)]
        assert one == two
        assert [manifest.pop("created") != "" for manifest in manifests] == [True, True]
        assert manifests[0] == manifests[1]


def test_graph_names_no_file_of_this_machine(digits):
    for path in digits["fp32"].iterdir():
        content = path.read_bytes()
        assert b"/w2vc_model/" not in content
        assert str(Path.home()).encode() + b"/" not in content


def test_large_weights_go_to_external_data(tmp_path, monkeypatch):
    monkeypatch.setattr("w2vc_exporter.bundle.EXTERNAL_DATA_BYTES", 1000)
    theirs, checkpoint = tiny()
    bundle = export(ExportOptions(checkpoint, output=tmp_path / "bundle")).bundle
    assert Manifest.read(bundle).graphs[0].files == ("model.onnx", "model.onnx.data")
    assert (bundle / "model.onnx").stat().st_size < (bundle / "model.onnx.data").stat().st_size
    (clip,) = clips(8000)
    assert difference(run(bundle, [clip])[0], alone(theirs, clip)) < TOLERANCE
    assert load(bundle, "cpu").provider == "cpu"


def test_an_existing_output_is_left_alone(tmp_path):
    target = tmp_path / "there"
    target.mkdir()
    with pytest.raises(ExportError, match="exists; name another directory with -o"):
        export(ExportOptions(output=target))
    with pytest.raises(ExportError, match="nowhere is not a directory"):
        export(ExportOptions(output=tmp_path / "nowhere" / "bundle"))
    assert list(tmp_path.iterdir()) == [target]


def test_a_crash_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("w2vc_exporter.bundle.ir.save", fail)
    with pytest.raises(ExportError, match="No space left on device"):
        export(ExportOptions(tiny()[1], output=tmp_path / "bundle"))
    assert list(tmp_path.iterdir()) == []
