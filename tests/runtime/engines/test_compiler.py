"""The process that compiles: what it tells, how it ends, and what it leaves. TensorRT-RTX itself, and no GPU."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from support.commands import complaints, content, refused
from w2vc_runtime.bundle import FILE_NAME, Bundle, file_entry
from w2vc_runtime.cli import main as cli
from w2vc_runtime.engines import BACKENDS, EngineOptions, compile_bundle, compiler

tensorrt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")

COMMAND = [sys.executable, "-m", "w2vc_runtime.cli.main", "compile"]
# What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
HEARING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from w2vc_runtime.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
BRIEF = "seconds=1:1:2,batch=1:1:1"


@pytest.fixture
def bundle(digits, tmp_path) -> Path:
    """A copy of the digits in fp16, without an engine."""
    return Path(shutil.copytree(digits["fp16"], tmp_path / "bundle"))


def job(bundle: Path, plan: Path, *specs: str) -> dict:
    """What the worker is told to do."""
    interface = Bundle.read(bundle).interface
    profiles = EngineOptions(profiles=specs).resolve(interface)
    shapes = [profile.entry(interface).shapes for profile in profiles]
    return {
        "graph": str(bundle / "model_fp16.onnx"),
        "plan": str(plan),
        "profiles": shapes,
        "targets": ["SM89"],
        "lengths": True,
    }


def put(bundle: Path, *nodes: onnx.NodeProto, **constants: np.ndarray) -> None:
    """Make a bundle's graph one of these nodes, from ``input_values`` to ``logits``, and its manifest agree."""
    inputs = [
        helper.make_tensor_value_info(name, kind, ["batch", "samples"])
        for name, kind in (("input_values", TensorProto.FLOAT), ("attention_mask", TensorProto.INT64))
    ]
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    body = helper.make_graph(nodes, "graph", inputs, [output], initializers)
    path = bundle / "model_fp16.onnx"
    path.write_bytes(
        helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    )
    manifest = Bundle.read(bundle).manifest
    manifest = dataclasses.replace(manifest, files=manifest.files | {path.name: file_entry(path)})
    (bundle / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")


def until(terminal: int, text: bytes) -> bytes:
    """What a terminal shows, up to a text or the end."""
    shown = b""
    while text not in shown:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
    return shown


def test_progress_is_tensorrts_own_on_a_terminal(bundle):
    controller, terminal = os.openpty()
    command = [*COMMAND, str(bundle), "--target", "sm89", "--profile", BRIEF]
    with subprocess.Popen(command, stderr=terminal, stdout=subprocess.DEVNULL) as process:
        os.close(terminal)
        shown = until(controller, b"no such text")
    os.close(controller)
    assert process.returncode == 0
    assert b"[1/1] compiling bundle: Building engine, 0 of 6 ..." in shown
    last = shown.rpartition(b"\r\x1b[K")[2]
    assert last.startswith(b"[1/1] compiling bundle: ")
    assert last.endswith(b" s\r\n")
    piped = subprocess.run(command, capture_output=True, text=True)
    assert (piped.returncode, complaints(piped.stderr)) == (0, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_worker_and_leaves_nothing(number, bundle):
    before = content(bundle)
    controller, terminal = os.openpty()
    command = [sys.executable, "-c", HEARING, "compile", str(bundle), "--target", "sm89"]
    with subprocess.Popen(command, stderr=terminal, stdout=subprocess.PIPE) as process:
        os.close(terminal)
        assert b"Building engine" in until(controller, b"Building engine")
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert Path(f"/proc/{child}").exists()
        process.send_signal(number)
        assert process.stdout.read() == b""
    shown = until(controller, b"no such text")
    os.close(controller)
    assert process.returncode == 128 + number
    assert not Path(f"/proc/{child}").exists()
    assert shown.endswith(b"failed\r\n")
    assert content(bundle) == before
    assert not (bundle / "engines").exists()


def test_a_worker_whose_parent_was_killed_stops(bundle, tmp_path):
    plan = tmp_path / "plan"
    text = json.dumps({**job(bundle, plan), "module": "tensorrt_rtx", "path": sys.path})
    command = [sys.executable, str(compiler.WORKER), text]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["doing"].startswith("Building engine, 0 of")
        process.stdout.close()
    assert process.returncode == 1
    assert not plan.exists()


def test_tf32_is_off(bundle, tmp_path):
    """TensorRT sets it by itself, and fp32 would mean ten bits of mantissa in every product."""
    backend = BACKENDS["tensorrt-rtx"]
    answer = compiler._work(backend, job(bundle, tmp_path / "plan", BRIEF))
    assert answer["flags"] == []
    config = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR)).create_builder_config()
    assert config.get_flag(tensorrt.BuilderFlag.TF32)


def test_memory_grows_with_the_profile(bundle, tmp_path):
    """What TensorRT says of activations on the way to a plan; of several profiles, the largest counts."""
    short, long = "seconds=1:1:5,batch=1:1:1", "seconds=1:1:20,batch=1:1:1"
    backend, plan = BACKENDS["tensorrt-rtx"], tmp_path / "plan"
    needs = [
        compiler._work(backend, job(bundle, plan, *specs))["activation_bytes"]
        for specs in ((short,), (long,), (short, long))
    ]
    assert 2 * needs[0] < needs[1] == needs[2] < 1e9


def test_scratch_memory_is_capped(bundle, tmp_path, monkeypatch):
    """At a megabyte, by what TensorRT says where none of its kernels is that small."""
    worker = tmp_path / "worker.py"
    worker.write_text(compiler.WORKER.read_text().replace("WORKSPACE_BYTES = 4 << 30", "WORKSPACE_BYTES = 1 << 20"))
    monkeypatch.setattr(compiler, "WORKER", worker)
    answer = compiler._work(BACKENDS["tensorrt-rtx"], job(bundle, tmp_path / "plan", BRIEF))
    assert answer["problem"] == "a layer needs more than 4 GB of scratch memory; take smaller profiles"
    assert not (tmp_path / "plan").exists()


def test_a_native_crash_is_one_line(bundle, capsys):
    """The quotient of the least integer and -1, which TensorRT computes ahead and the processor traps."""
    shape = [
        helper.make_node("Div", ["least", "minus"], ["shape"]),
        helper.make_node("Expand", ["input_values", "shape"], ["logits"]),
    ]
    put(bundle, *shape, least=np.array([-(2**63), 1]), minus=np.array([-1, 1]))
    before = content(bundle)
    line = refused(capsys, cli.main, "compile", bundle, "--target", "sm89", "--profile", BRIEF)
    assert line == "w2vc: tensorrt-rtx was ended by SIGFPE; another precision or another version of it may do"
    assert content(bundle) == before
    put(bundle, *shape, least=np.array([1, 1]), minus=np.array([1, 1]))
    assert compile_bundle(bundle, EngineOptions(("sm89",), (BRIEF,))).layers


@pytest.mark.parametrize(
    ("profile", "fault"),
    [
        ("seconds=1:60:3600,batch=1:1:64", "memory ran out; take smaller profiles"),
        ("seconds=3600:3600:3600,batch=64:64:64", "tensor volume exceeds"),
        ("seconds=1:2:3601,batch=1:1:1", "seconds must be above 0 and at most 3600"),
    ],
)
def test_a_profile_that_no_memory_holds_is_one_line(profile, fault, bundle, capsys):
    """There is no position table to run past: positions are computed for the length at hand, and memory is the end."""
    before = content(bundle)
    assert fault in refused(capsys, cli.main, "compile", bundle, "--target", "sm89", "--profile", profile)
    assert content(bundle) == before


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="tensorrt is installed here")
def test_a_backend_that_is_not_installed_is_one_line(bundle, capsys):
    before = content(bundle)
    line = refused(capsys, cli.main, "compile", bundle, "--backend", "tensorrt")
    assert line == "w2vc: compiling engines needs tensorrt, which is not installed; pip install 'w2vc[trt]'"
    assert content(bundle) == before
