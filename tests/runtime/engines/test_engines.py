"""TensorRT engines: what is compiled, for which clips, and what every refusal leaves behind. None is run here."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from support.commands import content, refused
from support.paths import DEMO_AUDIO, TRANSCRIPTS
from w2vc_exporter import cli as export_cli
from w2vc_runtime import BundleError, EngineError, OptionError, load
from w2vc_runtime.bundle import Bundle, Frames, Tensor, file_entry
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.engines import EngineOptions, compile_bundle, compile_graph, compiler
from w2vc_runtime.engines.identity import this_platform
from w2vc_runtime.engines.profiles import OptimizationProfile, default_profiles
from w2vc_runtime.features import LogMel
from w2vc_runtime.system import gpu
from w2vc_runtime.verify.again import check_report

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")

PROFILE = "seconds=0.5:2:5,batch=1:1:2"
PLAN = "engines/tensorrt-rtx-sm89-fp16.plan"
BRIEF = ("seconds=1:1:2,batch=1:1:1",)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> tuple[Path, str]:
    """A bundle of the digits with an engine, in one command, and what the command said."""
    target = tmp_path_factory.mktemp("engines") / "digits"
    arguments = ["--head", "ctc", "--fp16", "--tensorrt", "--target", "sm89", "--profile", PROFILE, "-o", str(target)]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert export_cli.main(arguments) == 0
    return target, shown.getvalue()


@pytest.fixture
def bundle(compiled, tmp_path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(compiled[0], tmp_path / "bundle"))


def test_one_command_exports_and_compiles(compiled, capsys):
    path, shown = compiled
    manifest = Bundle.read(path).manifest
    (engine,) = manifest.engines
    plan = (path / PLAN).read_bytes()
    assert b"vtrt" in plan[:64]
    assert (engine.file, engine.size, engine.sha256) == (PLAN, len(plan), file_entry(path / PLAN).sha256)
    assert (engine.backend, engine.targets, engine.precision) == ("tensorrt-rtx", ("sm89",), "fp16")
    assert (engine.platform, engine.gpu) == (this_platform(), None)
    assert engine.graph == {"model_fp16.onnx": file_entry(path / "model_fp16.onnx").sha256}
    (profile,) = engine.profiles
    assert (profile.seconds, profile.batch) == ((0.5, 2.0, 5.0), (1, 1, 2))
    shapes = ((1, 8000), (1, 32000), (2, 80000))
    assert profile.shapes == {"input_values": shapes, "attention_mask": shapes}
    assert engine.summary in shown
    assert run_cli.main(["info", str(path)]) == 0
    assert f"{PLAN} ({engine.summary})" in capsys.readouterr().out


def test_a_compiled_bundle_still_runs_and_keeps_its_certificate(compiled):
    path = compiled[0]
    name, text = next(iter(TRANSCRIPTS.items()))
    assert load(path, "cpu")(DEMO_AUDIO / name).text == text
    manifest = Bundle.read(path).manifest
    check_report(Bundle(path, manifest))
    with pytest.raises(BundleError, match="is the report of another bundle"):
        check_report(Bundle(path, dataclasses.replace(manifest, name="other")))


def test_compiling_again_gives_the_same_bundle(bundle, capsys):
    """But for the order of some tensors in the plan, which TensorRT chooses anew each time."""
    before, manifest = content(bundle), Bundle.read(bundle).manifest
    arguments = ["compile", str(bundle), "--precision", "fp16", "--target", "SM89", "--profile", PROFILE]
    (bundle / "engines" / ".1.plan").write_bytes(b"what a killed compilation left")
    assert run_cli.main(arguments) == 0
    after = content(bundle)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} <= {PLAN, "manifest.json"}
    one, two = (np.frombuffer(files[PLAN], np.uint8) for files in (before, after))
    assert np.count_nonzero(one != two) < 1000  # of 10 million
    (engine,), again = manifest.engines, Bundle.read(bundle).manifest
    assert again == dataclasses.replace(
        manifest, engines=(dataclasses.replace(engine, sha256=again.engines[0].sha256),)
    )
    assert capsys.readouterr().out.startswith(f"{bundle / PLAN}: tensorrt-rtx ")


def test_a_bundle_without_engines_has_no_trace_of_them(compiled):
    manifest = dataclasses.replace(Bundle.read(compiled[0]).manifest, engines=())
    assert "engines" not in json.loads(manifest.to_json())
    assert manifest.sha256 == manifest.certified == Bundle.read(compiled[0]).manifest.certified


def test_a_second_engine_joins_the_first(bundle, monkeypatch):
    """The backend is stood in for: what is put into the bundle is the same."""
    manifest = Bundle.read(bundle).manifest

    def write(_, job, report=None):
        if "plan" in job:
            Path(job["plan"]).write_bytes(b"plan")
        answer = {"version": "1", "targets": ["SM86"], "layers": 1, "seconds": 0.0, "flags": []}
        return {**answer, "activation_bytes": None, "log": []}

    monkeypatch.setattr(compiler, "_work", write)
    second = compile_bundle(bundle, EngineOptions(("sm86",))).engine
    assert Bundle.read(bundle).manifest.engines == (*manifest.engines, second)
    assert (bundle / second.file).read_bytes() == b"plan"
    profiles = default_profiles(manifest.interface)
    assert [each.seconds for each in second.profiles] == [profile.seconds for profile in profiles]
    Bundle.read(bundle).check()


def test_a_damaged_or_stale_plan_is_told(bundle):
    manifest = Bundle.read(bundle).manifest
    engine = dataclasses.replace(manifest.engines[0], graph={"model_fp16.onnx": "0" * 64})
    with pytest.raises(BundleError, match=r"was compiled from another model_fp16\.onnx"):
        Bundle(bundle, dataclasses.replace(manifest, engines=(engine,))).check()
    plan = bundle / PLAN
    plan.write_bytes(plan.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"fp16\.plan is damaged"):
        load(bundle, "cpu")
    plan.unlink()
    with pytest.raises(BundleError, match="has no engines/"):
        load(bundle, "cpu")


@pytest.mark.parametrize("command", ["run", "verify"])
def test_an_engine_without_a_gpu_is_one_line(command, bundle, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "DRIVER", "libnone.so.1")
    before = content(bundle)
    arguments = [bundle, *([DEMO_AUDIO / "seven-two-nine.flac"] if command == "run" else [])]
    line = refused(capsys, run_cli.main, command, *arguments, "--provider", "tensorrt-rtx")
    assert line.startswith("w2vc: there is no NVIDIA driver here (libnone.so.1 cannot be loaded); install one, or take")
    plan = bundle / PLAN
    plan.write_bytes(plan.read_bytes()[:-1])
    line = refused(capsys, run_cli.main, command, *arguments, "--provider", "tensorrt-rtx")
    assert line == f"w2vc: {plan} is damaged: it does not match the manifest's sha256; export the bundle again"
    assert content(bundle) == {**before, PLAN: before[PLAN][:-1]}


def test_an_engine_without_its_backend_is_one_line(bundle, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    arguments = ["run", bundle, DEMO_AUDIO / "seven-two-nine.flac", "--provider", "tensorrt-rtx"]
    line = refused(capsys, run_cli.main, *arguments)
    fault = "needs tensorrt-rtx, which is not installed; pip install 'w2vc[trt-rtx]'"
    assert line == f"w2vc: provider 'tensorrt-rtx' {fault}"


PROFILES = {
    "5": "is not seconds=MIN:OPT:MAX,batch=MIN:OPT:MAX, such as seconds=0.5:2:5,batch=1:4:16",
    "seconds=1:2:3": "is not seconds=MIN:OPT:MAX",
    "seconds=1:two:3,batch=1:1:1": "seconds are numbers, such as 0.5:2:5",
    "seconds=1:2:3,batch=1:1:1.5": "batch is whole numbers of clips, such as 1:4:16",
    "seconds=0:2:3,batch=1:1:1": "seconds must be above 0 and at most 3600",
    "seconds=-1:2:3,batch=1:1:1": "seconds must be above 0 and at most 3600",
    "seconds=nan:2:3,batch=1:1:1": "seconds must be above 0 and at most 3600",
    "seconds=1:2:inf,batch=1:1:1": "seconds must be above 0 and at most 3600",
    "seconds=1:2:3,batch=0:1:1": "a batch has at least 1 clip",
    "seconds=2:1:3,batch=1:1:1": "seconds must rise from MIN to OPT to MAX",
    "seconds=1:2:3,batch=1:4:2": "batch must rise from MIN to OPT to MAX",
    "seconds=0.02:2:3,batch=1:1:1": "starts at 0.02 s, and the shortest clip that this model answers for is 0.025 s",
}


@pytest.mark.parametrize("spec", PROFILES)
def test_a_bad_profile_is_one_line(spec, bundle, capsys):
    before = content(bundle)
    line = refused(capsys, run_cli.main, "compile", bundle, "--profile", spec)
    assert line.startswith("w2vc: ")
    assert PROFILES[spec] in line
    assert content(bundle) == before


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--target", "sm90"], "has no target 'sm90'; it has: sm75, sm80, sm86, sm89"),
        (["--target", "sm89,sm89"], "a target is named twice in sm89,sm89"),
        (["--target", "sm89", "--backend", "tensorrt"], "compiles for the GPU of this machine; leave targets out"),
        (["--precision", "int8"], "has no graph in int8; it has: fp16"),
    ],
)
def test_a_bad_argument_is_one_line(arguments, fault, bundle, capsys):
    before = content(bundle)
    assert fault in refused(capsys, run_cli.main, "compile", bundle, *arguments)
    assert content(bundle) == before


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--target", "sm89"], "targets and profiles are for engines, and none is asked for; add --tensorrt"),
        (["--tensorrt", "--profile", "5"], "is not seconds=MIN:OPT:MAX"),
        (["--tensorrt", "--target", "sm1"], "has no target 'sm1'"),
        (["--tensorrt", "--int8"], "TensorRT has no kernels for it; export with --provider tensorrt"),
        (["--tensorrt", "--int8", "--provider", "openvino"], "this int8 is written for provider 'openvino'"),
        (["--tensorrt", "--profile", "seconds=0.01:1:2,batch=1:1:1"], "the shortest clip that this model answers for"),
    ],
)
def test_a_bad_export_is_one_line(arguments, fault, tmp_path, capsys):
    assert fault in refused(capsys, export_cli.main, "--head", "ctc", *arguments, "-o", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_int8_for_another_provider_is_refused_from_a_bundle_too(bundle):
    manifest = Bundle.read(bundle).manifest
    for provider, taken in (("cpu", False), ("openvino", False), (None, False), ("cuda", True), ("tensorrt", True)):
        graph = dataclasses.replace(manifest.graphs[0], precision="int8", provider=provider)
        options = EngineOptions(profiles=("seconds=0.001:1:2,batch=1:1:1",))  # what is refused next
        with pytest.raises(OptionError, match="shortest clip" if taken else "TensorRT has no kernels"):
            compile_graph(Bundle(bundle, manifest), graph, options, bundle / "plan")


def test_a_missing_backend_is_one_line(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compiler, "find_spec", lambda _: None)
    fault = "compiling engines needs {0}, which is not installed; pip install 'w2vc[{1}]'"
    for name, extra in (("tensorrt-rtx", "trt-rtx"), ("tensorrt", "trt")):
        assert fault.format(name, extra) in refused(capsys, run_cli.main, "compile", bundle, "--backend", name)
    arguments = ["--head", "ctc", "--tensorrt", "-o", tmp_path / "b"]
    assert fault.format("tensorrt-rtx", "trt-rtx") in refused(capsys, export_cli.main, *arguments)
    assert not (tmp_path / "b").exists()


PLANS = {
    "plan": "the NVIDIA driver is missing, or too old for it",
    "plan[:5000]": "the plan is cut short; compile the bundle again",
    "b'x' * 5000": "the file is no plan of this version; compile the bundle again",
}


@pytest.mark.parametrize("content", PLANS)
def test_a_plan_that_does_not_load_in_plain_words(content, compiled):
    """Of TensorRT-RTX itself, which takes one logger for a process."""
    if content == "plan" and Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    code = f"""
import pathlib, tensorrt_rtx
from w2vc_runtime.engines.worker import Log
plan, log = pathlib.Path({str(compiled[0] / PLAN)!r}).read_bytes(), Log(tensorrt_rtx)
assert tensorrt_rtx.Runtime(log.logger).deserialize_cuda_engine({content}) is None
print(log.reason())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == PLANS[content]


def test_two_compilations_of_a_bundle_do_not_mix(bundle, capsys):
    with compiler._locked(bundle):
        assert "is being compiled by another process" in refused(capsys, run_cli.main, "compile", bundle)


def graph(*nodes: onnx.NodeProto) -> bytes:
    """A graph with the inputs and outputs of the digits."""
    inputs = [
        helper.make_tensor_value_info(name, kind, ["batch", "samples"])
        for name, kind in (("input_values", TensorProto.FLOAT), ("attention_mask", TensorProto.INT64))
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("custom", 1)]
    mask = helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT)
    add = helper.make_node("Add", ["x", "mask"], ["logits"])
    body = helper.make_graph([*nodes, mask, add], "graph", inputs, [output])
    return helper.make_model(body, opset_imports=opsets, ir_version=10).SerializeToString()


GRAPHS = {
    "half a file": (None, {}, "the parser does not take the graph: it is not an ONNX model, or a part of one"),
    "unsupported": (
        graph(helper.make_node("Bernoulli", ["input_values"], ["x"], name="coin")),
        {},
        r"node 'coin' \(Bernoulli\) is not supported$",
    ),
    "unknown": (
        graph(helper.make_node("Mine", ["input_values"], ["x"], name="mine", domain="custom")),
        {},
        r"node 'mine' \(Mine\) is not supported: Plugin not found",
    ),
    "nothing for this GPU": (
        graph(
            helper.make_node("Transpose", ["input_values"], ["t"], perm=[1, 0]),
            helper.make_node("MatMul", ["input_values", "t"], ["product"]),
            helper.make_node("ReduceSum", ["product"], ["x"]),
        ),
        {"targets": ("sm75",)},
        r"for Turing \(SM75\): FP32 GEMM is not supported$",
    ),
    "too large": (
        graph(helper.make_node("Relu", ["input_values"], ["x"])),
        {"profiles": ("seconds=1:1:4,batch=1:1:20000000",)},
        "a profile does not fit the graph: Profile kMAX values are not self-consistent.*Volume exceeds limit$",
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_tensorrt_refuses_is_one_line(name, compiled, tmp_path):
    data, options, fault = GRAPHS[name]
    whole = (compiled[0] / "model_fp16.onnx").read_bytes()
    (tmp_path / "model_fp16.onnx").write_bytes(whole[: len(whole) // 2] if data is None else data)
    manifest = Bundle.read(compiled[0]).manifest
    with pytest.raises(EngineError, match=fault) as caught:
        compile_graph(
            Bundle(tmp_path, manifest),
            manifest.graphs[0],
            EngineOptions(**{"profiles": BRIEF, **options}),
            tmp_path / "plan",
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "plan").exists()


def test_weights_beside_the_graph_are_found(compiled, tmp_path, monkeypatch):
    model = onnx.load_from_string(graph(helper.make_node("Add", ["input_values", "half"], ["x"])))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0.5], np.float32), "half"))
    path, data = tmp_path / "model_fp16.onnx", tmp_path / "model_fp16.onnx.data"
    onnx.save_model(model, path, save_as_external_data=True, location=data.name, size_threshold=0)
    assert data.stat().st_size
    manifest = Bundle.read(compiled[0]).manifest
    large = dataclasses.replace(manifest.graphs[0], files=(path.name, data.name))
    manifest = dataclasses.replace(manifest, files={each.name: file_entry(each) for each in (path, data)})
    options = EngineOptions(profiles=BRIEF)
    monkeypatch.chdir("/")
    engine = compile_graph(Bundle(tmp_path, manifest), large, options, tmp_path / "plan").engine
    assert set(engine.graph) == {path.name, data.name}
    data.unlink()
    with pytest.raises(EngineError, match="the parser does not take the graph"):
        compile_graph(Bundle(tmp_path, manifest), large, options, tmp_path / "plan")


def test_a_damaged_graph_is_not_compiled(bundle, capsys):
    path = bundle / "model_fp16.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    before = content(bundle)
    assert "model_fp16.onnx is damaged" in refused(capsys, run_cli.main, "compile", bundle)
    assert content(bundle) == before


def test_shapes_are_those_of_the_features(compiled):
    """By hand: frames of 400 samples, one every 160, pairs of them as steps, zeros up to a whole pair."""
    recipe = LogMel()
    manifest = Bundle.read(compiled[0]).manifest
    inputs = (
        Tensor("input_features", "float32", recipe.shape),
        Tensor("attention_mask", "int64", ("batch", "frames")),
    )
    spectrogram = dataclasses.replace(manifest, features=recipe, inputs=inputs, frames={"frames": Frames(560, 320)})
    profile = OptimizationProfile.parse("seconds=0.035:0.045:2,batch=1:3:4")
    assert profile.entry(spectrogram.interface).shapes == {
        "input_features": ((1, 1, 160), (3, 2, 160), (4, 99, 160)),
        "attention_mask": ((1, 1), (3, 2), (4, 99)),
    }
    mask = Tensor("mask_time_indices", "bool", ("batch", "frames"))
    shapes = profile.entry(dataclasses.replace(manifest, inputs=(*manifest.inputs, mask)).interface).shapes
    assert shapes["input_values"] == shapes["attention_mask"] == ((1, 560), (3, 720), (4, 32000))
    assert shapes["mask_time_indices"] == ((1, 1), (3, 2), (4, 99))


@pytest.mark.parametrize("shortest", [400, 16000, 16000 * 7])
def test_the_usual_profiles_begin_where_the_model_does_and_leave_no_gap(shortest, compiled):
    interface = dataclasses.replace(Bundle.read(compiled[0]).interface, shortest=shortest)
    profiles = default_profiles(interface)
    assert round(profiles[0].seconds[0] * interface.sampling_rate) == shortest
    assert profiles[-1].seconds[2] == 30
    for profile, following in itertools.pairwise(profiles):
        assert profile.seconds[2] == following.seconds[0]
    for profile in profiles:
        profile.check(interface)
        assert list(profile.seconds) == sorted(profile.seconds)
