"""One export, every length and batch: the graph equals Hugging Face's model, which it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from support.matrix import README, rewritten
from support.oracle import (
    OPTIONS,
    Cell,
    build,
    clips,
    covering,
    fronts,
    matrix,
    save,
    tiny,
)  # fmt: skip
from support.parity import expect_alone, expect_steady, expect_together, exported, long_enough
from support.plans import HALVES, expect_plan
from support.published import PUBLISHED
from w2vc_exporter import ExportError, ExportOptions, export
from w2vc_exporter.options import PRECISIONS
from w2vc_runtime import load
from w2vc_runtime.bundle import Bundle

# `make test` takes cells that have every value of every axis; `make test-all` takes all.
CELLS = [pytest.param(cell, marks=() if cell in covering() else pytest.mark.full) for cell in matrix()]
BATCH = (16000, 400, 9001)
# What adding in another order does at most, of the largest value.
ROUNDING = 2e-6
ONE_OF_EACH_FAMILY = ("wav2vec2-large-960h-lv60-self", "wav2vec2-conformer-rel-pos-large", "w2v-bert-2.0")
# Of real width `make test` takes one, the quickest.
WIDTHS = [pytest.param(name, marks=() if name == "w2v-bert-2.0" else pytest.mark.full) for name in PUBLISHED]
TOGETHER = ("wav2vec2-conformer-rel-pos-large", "w2v-bert-2.0, adapter")


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_matrix(cell, tmp_path):
    """Below, at and above the traced length, alone and in a padded batch, under both contracts.

    Every precision is within its budget, from silence to a thousand times full scale, without a layer kept in fp32.
    TensorRT compiles each but int8, which is not written for it here.
    """
    theirs, checkpoint = tiny(*cell, brief=True)
    invariant = exported(checkpoint, cell.head, "padding-invariant", tmp_path / "invariant", ",".join(PRECISIONS))
    assert [graph.precision for graph in invariant.manifest.graphs] == list(PRECISIONS)
    assert not any(graph.kept for graph in invariant.manifest.graphs)
    for precision in ("fp32", "int8"):
        expect_steady(invariant.manifest, precision, ROUNDING)
    for clip in long_enough(invariant, 0, 719, 720, 1600, 16000, 40001):
        expect_alone(theirs, cell.head, invariant, [clip])
    expect_alone(theirs, cell.head, invariant, long_enough(invariant, *BATCH))
    for precision in ("fp32", *HALVES):
        expect_plan(tmp_path / "invariant", precision)
    exact = exported(checkpoint, cell.head, "hf-exact", tmp_path / "exact")
    for lengths in (BATCH, (800,), (40001,)):
        expect_together(theirs, cell.head, exact, long_enough(exact, *lengths))


@pytest.mark.parametrize("cell", covering(), ids=str)
def test_fixed_scales_are_the_same_in_any_batch(cell, tmp_path):
    """int8 as OpenVINO computes it, judged there; random weights are kept in fp32 where their ranges are too wide."""
    checkpoint = tiny(*cell, brief=True)[1]
    options = ExportOptions(checkpoint, head=cell.head, precision="int8", provider="openvino", output=tmp_path / "b")
    manifest = export(options).manifest
    assert b"QuantizeLinear" in (tmp_path / "b" / "model_int8.onnx").read_bytes()
    expect_steady(manifest, "int8", ROUNDING)


def test_readme_shows_the_matrix():
    assert README.read_text() == rewritten(README.read_text()), "run: python -m support.matrix"
    assert {cell.option for cell in matrix()} == set(OPTIONS)


def test_the_covering_cells_have_every_value_of_every_axis():
    assert len(covering()) < len(matrix()) / 8
    for axis in Cell._fields:
        assert {getattr(cell, axis) for cell in covering()} == {getattr(cell, axis) for cell in matrix()}


@pytest.mark.parametrize("name", WIDTHS)
def test_real_width_from_a_tenth_to_twenty_seconds(name, tmp_path):
    architecture, head, config = PUBLISHED[name]
    theirs = build(architecture, head, **config)
    checkpoint = save(theirs, tmp_path / "checkpoint")
    precisions = ("fp32", "fp16") if name in ONE_OF_EACH_FAMILY else ("fp32",)
    model = exported(checkpoint, head, "padding-invariant", tmp_path / "bundle", ",".join(precisions))
    for precision in precisions:
        expect_plan(tmp_path / "bundle", precision)
    for clip in long_enough(model, 1600, 12345, 320000):
        expect_alone(theirs, head, model, [clip])
    expect_alone(theirs, head, model, long_enough(model, 32000, 1600, 17777))


@pytest.mark.full
@pytest.mark.parametrize("name", TOGETHER)
def test_real_width_equals_hugging_faces_padded_batch(name, tmp_path):
    architecture, head, config = PUBLISHED[name]
    theirs = build(architecture, head, **config)
    model = exported(save(theirs, tmp_path / "checkpoint"), head, "hf-exact", tmp_path / "bundle")
    expect_together(theirs, head, model, clips(32000, 1600, 17777))
    expect_plan(tmp_path / "bundle", "fp32")


def test_graph_has_dynamic_batch_and_time_and_the_ecosystems_names(digits):
    graph = onnx.load(digits["fp32"] / "model.onnx").graph
    assert shapes(graph) == {
        "input_values": ["batch", "samples"],
        "attention_mask": ["batch", "samples"],
        "logits": ["batch", "frames", 32],
    }


def shapes(graph: onnx.GraphProto) -> dict[str, list[str | int]]:
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


def test_inputs_and_outputs_of_every_head(tmp_path):
    frames, adapted = ["batch", "frames"], ["batch", "adapter_frames"]
    mask = {"attention_mask": frames}
    mel = {"input_features": [*frames, 160], **mask}
    waveform = {"input_values": ["batch", "samples"], "attention_mask": ["batch", "samples"]}
    expected = {
        Cell("bert-relative_key", "log-mel", "base", "narrow adapter"): {
            **mel, "last_hidden_state": [*adapted, 32], **{f"hidden_states_{i}": [*frames, 48] for i in range(3)},
        },
        Cell("bert-none", "log-mel", "sequence-classification"): {**mel, "logits": ["batch", 3]},
        Cell("wav2vec2", "group", "frame-classification"): {**waveform, "logits": [*frames, 3]},
        Cell("wav2vec2", "group", "xvector"): {**waveform, "logits": ["batch", 16], "embeddings": ["batch", 16]},
        Cell("wav2vec2", "group", "pretraining"): {
            **waveform, "mask_time_indices": frames, "projected_states": [*frames, 18],
            "projected_quantized_states": [*frames, 18], "codevector_perplexity": ["batch"],
        },
    }  # fmt: skip
    for index, (cell, wanted) in enumerate(expected.items()):
        model = exported(tiny(*cell)[1], cell.head, "padding-invariant", tmp_path / str(index))
        assert shapes(onnx.load(tmp_path / str(index) / "model.onnx").graph) == wanted
        manifest = model.manifest
        assert {t.name: list(t.shape) for t in (*manifest.inputs, *manifest.outputs)} == wanted


@pytest.mark.parametrize("architecture", ["conformer-relative", "bert-relative_key"])
def test_exporting_twice_gives_the_same_bytes(architecture, tmp_path):
    _, checkpoint = tiny(architecture, fronts(architecture)[-1], brief=True)
    folders = [tmp_path / number / "bundle" for number in "12"]
    for folder in folders:
        folder.parent.mkdir()
        export(ExportOptions(checkpoint, precision=",".join(PRECISIONS), output=folder))
    one, two = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    manifests = [json.loads(files.pop("manifest.json")) for files in (one, two)]
    assert len([name for name in one if name.endswith(".onnx")]) == len(PRECISIONS)
    for files in (one, two):
        del files["report.json"], files["report.html"]  # they hold times, and have tests of their own
    assert one == two
    assert [manifest.pop("created") != "" for manifest in manifests] == [True, True]
    assert manifests[0] == manifests[1]


def test_graph_names_no_file_of_this_machine(digits):
    for path in digits["fp32"].iterdir():
        content = path.read_bytes()
        assert b"/w2vc_model/" not in content
        assert str(Path.home()).encode() + b"/" not in content


def test_large_weights_go_to_external_data(tmp_path, monkeypatch):
    monkeypatch.setattr("w2vc_exporter.graph.save.EXTERNAL_DATA_BYTES", 1000)
    theirs, checkpoint = tiny()
    bundle = export(ExportOptions(checkpoint, output=tmp_path / "bundle")).bundle
    assert Bundle.read(bundle).manifest.graphs[0].files == ("model.onnx", "model.onnx.data")
    assert (bundle / "model.onnx").stat().st_size < (bundle / "model.onnx.data").stat().st_size
    (clip,) = clips(8000)
    expect_alone(theirs, "ctc", load(bundle, "cpu"), [clip])
    assert load(bundle, "cpu").provider == "cpu"


def test_an_existing_output_is_left_alone(tmp_path):
    target = tmp_path / "there"
    target.mkdir()
    with pytest.raises(ExportError, match="exists; replace it with --force, or name another directory with -o"):
        export(ExportOptions(output=target))
    with pytest.raises(ExportError, match="nowhere is not a directory"):
        export(ExportOptions(output=tmp_path / "nowhere" / "bundle"))
    assert list(tmp_path.iterdir()) == [target]
