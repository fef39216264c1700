"""The ONNX file that wraps an engine for ONNX Runtime. TensorRT is stood in for: no plan is compiled or run here."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from w2vc_exporter import ExportOptions
from w2vc_exporter import cli as export_cli
from w2vc_exporter.errors import ExportError
from w2vc_runtime import BundleError, OptionError
from w2vc_runtime.bundle import Bundle, Frames, Manifest, Tensor
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.engines import EngineOptions, compile_bundle, compiler
from w2vc_runtime.engines.ep_context import write_ep_context
from w2vc_runtime.features import LogMel

PLAN = "engines/tensorrt-rtx-sm89-fp16.plan"
CONTEXT = "engines/tensorrt-rtx-sm89-fp16.onnx"


@pytest.fixture
def bundle(digits, tmp_path, monkeypatch) -> Path:
    """A copy to compile in, where compiling writes a few bytes."""

    def write(_, job, *rest):
        if "plan" in job:
            Path(job["plan"]).write_bytes(b"plan")
        return {"version": "1.7", "targets": ["SM86", "SM89"], "layers": 1, "seconds": 0.0} | {
            "flags": [],
            "activation_bytes": None,
            "log": [],
        }

    monkeypatch.setattr(compiler, "_work", write)
    return Path(shutil.copytree(digits["fp16"], tmp_path / "bundle"))


def attributes(model: onnx.ModelProto) -> dict[str, object]:
    (node,) = model.graph.node
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def test_one_node_names_the_plan_beside_it(bundle, capsys):
    arguments = ["compile", str(bundle), "--target", "sm89", "--ep-context"]
    assert run_cli.main(arguments) == 0
    manifest = Bundle.read(bundle).manifest
    (engine,) = manifest.engines
    assert set(engine.files) == {PLAN, CONTEXT}
    Bundle(bundle, manifest).check()
    (profile,) = engine.profiles
    assert profile.seconds == (0.025, 10, 30)
    assert profile.batch == (1, 1, 8)

    model = onnx.load(bundle / CONTEXT)
    onnx.checker.check_model(model, full_check=True)
    (node,) = model.graph.node
    assert (node.op_type, node.domain) == ("EPContext", "com.microsoft")
    for listed, given, named in (
        (manifest.inputs, model.graph.input, node.input),
        (manifest.outputs, model.graph.output, node.output),
    ):
        assert list(named) == [tensor.name for tensor in listed]
        expected = [
            onnx.helper.make_tensor_value_info(
                tensor.name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), tensor.shape
            )
            for tensor in listed
        ]
        assert list(given) == expected
    assert attributes(model) == {
        "embed_mode": 0,
        "main_context": 1,
        "ep_cache_context": b"tensorrt-rtx-sm89-fp16.plan",
        "ep_sdk_version": b"1.7",
        "hardware_architecture": b"89",
        "onnx_model_filename": b"model_fp16.onnx",
        "partition_name": b"tensorrt-rtx-sm89-fp16",
        "source": b"NvTensorRTRTXExecutionProvider",
    }
    first = (bundle / CONTEXT).read_bytes()
    assert run_cli.main(arguments) == 0
    assert (bundle / CONTEXT).read_bytes() == first


def family(manifest: Manifest, name: str) -> Manifest:
    """The manifest as if it were of another kind of input."""
    if name == "waveform":
        return manifest
    if name == "pretraining":
        mask = Tensor("mask_time_indices", "bool", ("batch", "frames"))
        return dataclasses.replace(manifest, inputs=(*manifest.inputs, mask))
    recipe = LogMel()
    inputs = (
        Tensor("input_features", "float32", recipe.shape),
        Tensor("attention_mask", "int64", ("batch", "frames")),
    )
    frames = {"frames": Frames(560, 320)}
    return dataclasses.replace(manifest, features=recipe, inputs=inputs, frames=frames, shortest=560)


SPEECH = ((1, 400), (1, 160000), (8, 480000))  # 25 ms alone, 10 s alone, 8 clips of 30 s
STEPS = ((1, 1), (1, 499), (8, 1499))
SHAPES = {
    "waveform": {"input_values": SPEECH, "attention_mask": SPEECH},
    "pretraining": {"input_values": SPEECH, "attention_mask": SPEECH, "mask_time_indices": STEPS},
    "log-mel": {"input_features": tuple((*sizes, 160) for sizes in STEPS), "attention_mask": STEPS},
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_profile_is_one_for_all_speech(name, digits):
    interface = family(Bundle.read(digits["fp32"]).manifest, name).interface
    (profile,) = EngineOptions(ep_context=True).resolve(interface)
    assert profile.entry(interface).shapes == SHAPES[name]


def test_onnx_runtime_reads_it_and_wants_a_provider_for_it(bundle):
    compile_bundle(bundle, EngineOptions(ep_context=True))
    with pytest.raises(Exception, match=r"NOT_IMPLEMENTED .*EPContext|NOT_IMPLEMENTED.*kernel.*EPContext"):
        onnxruntime.InferenceSession(bundle / "engines/tensorrt-rtx-fp16.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("backend", "targets", "source", "architecture"),
    [
        ("tensorrt-rtx", ("sm86", "sm120"), b"NvTensorRTRTXExecutionProvider", b"86,120"),
        ("tensorrt-rtx", (), b"NvTensorRTRTXExecutionProvider", b"80+"),
        ("tensorrt", ("sm90",), b"TensorrtExecutionProvider", b"90"),
    ],
)
def test_who_runs_it_and_where(backend, targets, source, architecture, bundle, tmp_path):
    compile_bundle(bundle, EngineOptions())
    manifest = Bundle.read(bundle).manifest
    engine = dataclasses.replace(manifest.engines[0], backend=backend, targets=targets)
    write_ep_context(tmp_path / "context.onnx", manifest, engine, 20)
    found = attributes(onnx.load(tmp_path / "context.onnx"))
    assert found["source"] == source
    assert found["hardware_architecture"] == architecture


def test_names_numbers_and_shapes_of_every_size(bundle, tmp_path):
    """Against onnx's own writer: long names, fixed dimensions past one byte, no dimensions, other types."""
    compile_bundle(bundle, EngineOptions())
    manifest = Bundle.read(bundle).manifest
    inputs = (Tensor("x" * 300, "bool", ("batch", 128)), Tensor("i", "int64", ("batch", 1 << 21)))
    wide = dataclasses.replace(manifest, inputs=inputs, outputs=(Tensor("perplexity", "float32", ()),))
    write_ep_context(tmp_path / "context.onnx", wide, manifest.engines[0], 300)
    data = (tmp_path / "context.onnx").read_bytes()
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    assert model.SerializeToString() == data
    shown = {each.name: each.type.tensor_type for each in (*model.graph.input, *model.graph.output)}
    assert [each.dim_value or each.dim_param for each in shown["x" * 300].shape.dim] == ["batch", 128]
    assert [each.dim_value or each.dim_param for each in shown["i"].shape.dim] == ["batch", 1 << 21]
    assert shown["perplexity"].HasField("shape")
    assert not shown["perplexity"].shape.dim
    assert [shown[name].elem_type for name in ("x" * 300, "i", "perplexity")] == [9, 7, 1]
    assert {each.domain: each.version for each in model.opset_import} == {"": 300, "com.microsoft": 1}


def test_what_wraps_an_engine_is_checked_and_goes_with_it(bundle):
    compile_bundle(bundle, EngineOptions(("sm89",), ep_context=True))
    context = bundle / CONTEXT
    whole = context.read_bytes()
    context.write_bytes(whole[:-1])
    with pytest.raises(BundleError, match=r"sm89-fp16\.onnx is damaged"):
        Bundle.read(bundle).check()
    context.unlink()
    with pytest.raises(BundleError, match=r"has no engines/tensorrt-rtx-sm89-fp16\.onnx"):
        Bundle.read(bundle).check()
    context.write_bytes(whole)
    (bundle / "engines" / ".1.onnx").write_bytes(b"what a killed compilation left")
    compile_bundle(bundle, EngineOptions(("sm89",)))
    assert [path.name for path in (bundle / "engines").iterdir()] == [Path(PLAN).name]
    assert Bundle.read(bundle).manifest.engines[0].ep_context is None
    Bundle.read(bundle).check()


def test_several_profiles_are_refused(bundle, capsys):
    profile = "seconds=1:1:2,batch=1:1:1"
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    assert run_cli.main(["compile", str(bundle), "--ep-context", "--profile", profile, "--profile", profile]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        "w2vc: --ep-context takes one profile, since ONNX Runtime runs an engine's first and no other; 2 are given\n"
    )
    assert {path: path.stat().st_mtime_ns for path in bundle.rglob("*")} == before
    with pytest.raises(OptionError, match="--ep-context takes one profile"):
        EngineOptions(profiles=(profile, profile), ep_context=True)
    (given,) = EngineOptions(profiles=(profile,), ep_context=True).resolve(Bundle.read(bundle).interface)
    assert given.seconds == (1, 1, 2)


def test_an_export_passes_it_on():
    options = export_cli.parse_args(["--head", "ctc", "--tensorrt", "--ep-context"]).engines
    assert options is not None
    assert options.ep_context
    assert not ExportOptions(tensorrt=True).engines.ep_context
    with pytest.raises(ExportError, match="--ep-context is for engines, and none is asked for; add --tensorrt"):
        ExportOptions(ep_context=True)
