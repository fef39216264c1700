"""The process that compiles, with other modules in TensorRT's place: how it ends, and what it says."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.commands import content, refused
from support.oracle import tiny
from w2vc_exporter import cli as export_cli
from w2vc_runtime import EngineError
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.engines import BACKENDS, EngineOptions, compile_bundle, compiler, worker
from w2vc_runtime.engines.backends import Backend
from w2vc_runtime.system.gpu import Gpu


@pytest.fixture
def bundle(digits, tmp_path) -> Path:
    """A copy of the digits in fp16."""
    return Path(shutil.copytree(digits["fp16"], tmp_path / "bundle"))


@pytest.fixture
def backend(monkeypatch, tmp_path):
    """Put a Python module, given by its text, in the place of TensorRT-RTX."""

    def put(text: str) -> None:
        folder = tmp_path / "modules"
        folder.mkdir()
        (folder / "other_tensorrt.py").write_text(text)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setitem(BACKENDS, "tensorrt-rtx", Backend("tensorrt-rtx", "other_tensorrt", "trt-rtx", True))

    return put


ENDS = {
    "os.abort()": "w2vc: tensorrt-rtx was ended by SIGABRT",
    "os.kill(os.getpid(), 9)": "w2vc: tensorrt-rtx was ended by SIGKILL, as where memory runs out",
    "raise RuntimeError('no driver')": "w2vc: tensorrt-rtx failed: RuntimeError: no driver",
    "raise TypeError('nullptr')": "model_fp16.onnx: it cannot start here: it does not say why",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_backend_that_dies_is_one_line(end, backend, bundle, capsys):
    backend(f"import os\n__version__ = '1'\nclass ILogger: pass\ndef Builder(logger):\n    {end}\n")
    before = content(bundle)
    assert ENDS[end] in refused(capsys, run_cli.main, "compile", bundle)
    assert content(bundle) == before


def test_an_export_whose_backend_dies_leaves_nothing(backend, tmp_path, capsys):
    backend("import os\n__version__ = '1'\nclass ILogger: pass\ndef Builder(logger):\n    os.abort()\n")
    checkpoint = tiny("bert-none", "log-mel", brief=True)[1]
    arguments = [checkpoint, "--head", "ctc", "--tensorrt", "-o", tmp_path / "bundle"]
    assert refused(capsys, export_cli.main, *arguments) == (
        "w2vc-export: tensorrt-rtx was ended by SIGABRT; another precision or another version of it may do"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["modules"]


@pytest.mark.parametrize(("members", "flags"), [("EXPLICIT_BATCH = 0; STRONGLY_TYPED = 1", 2), ("OTHER = 0", 0)])
def test_networks_are_typed_in_every_version(members, flags, backend, bundle):
    """TensorRT 10 wants to be asked for types, and later ones may not know the flag."""
    backend(
        "__version__ = '10'\nclass ILogger: pass\n"
        f"class NetworkDefinitionCreationFlag: {members}\n"
        "class Builder:\n"
        "    def __init__(self, logger): pass\n"
        "    def create_network(self, flags): raise RuntimeError(f'flags {flags}')\n"
    )
    with pytest.raises(EngineError, match=f"flags {flags}$"):
        compile_bundle(bundle, EngineOptions())


MESSAGES = {
    "IBuilder::build: Error Code 10: Internal Error (Could not find any implementation for node {ForeignNode[a + b]}. "
    "In chooseTactic at /_src/optimizer.cpp:9)": "there is no implementation of node {ForeignNode[a + b]} for",
    "[allocator.cpp::allocate::74] Error Code 1: Cuda Runtime (out of memory)": "memory ran out; take smaller profiles",
    "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([tactic.cpp:1676: enumerate_tactics] Tactic Selection: no "
    "tactics to implement the operation within workspace limit.": "a layer needs more than 4 GB of scratch memory",
    "API Usage Error\nof two lines": "API Usage Error of two lines",
    "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is not compatible with this "
    "version of TensorRT, expecting library version 10.3.0.26 got 10.0.1.6, please rebuild.": "the plan is of another",
    "The engine plan file is generated on an incompatible device, expecting compute 8.6 got compute 8.9, please "
    "rebuild.": "the plan is for another GPU; compile the bundle again",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_what_tensorrt_says_in_plain_words(message):
    log = worker.Log(SimpleNamespace(ILogger=object))
    log.logger.log(SimpleNamespace(name="WARNING"), "something else")
    log.logger.log(SimpleNamespace(name="ERROR"), message)
    assert log.reason().startswith(MESSAGES[message])
    assert "/_src/" not in log.reason()


def test_what_native_code_prints_is_no_answer(backend):
    backend("import os\n__version__ = '1'\nos.write(1, b'hello')\n")
    EngineOptions().check()


class Config:
    """A builder's configuration that takes the timings of one GPU."""

    def create_timing_cache(self, content: bytes) -> SimpleNamespace:
        return SimpleNamespace(content=content, serialize=lambda: content + b"+")

    def set_timing_cache(self, timings: SimpleNamespace, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        return not timings.content.startswith(b"another")


def test_timings_are_taken_from_this_gpu_or_begun_anew(tmp_path):
    path = tmp_path / "timings"
    assert worker.take_timings(Config(), None) is None
    for before, taken in ((None, b""), (b"own", b"own"), (b"another GPU's", b"")):
        if before is not None:
            path.write_bytes(before)
        assert worker.take_timings(Config(), str(path)).content == taken


def test_timings_of_a_gpu_are_kept_for_the_next_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiler, "find_gpu", lambda: Gpu("NVIDIA H200", "sm90", 132))
    seen = []
    for measured in (b"one", b"two"):
        with compiler._timings(EngineOptions(backend="tensorrt")) as job:
            seen.append(Path(job["timings"]).read_bytes() if Path(job["timings"]).is_file() else None)
            Path(job["timings"]).write_bytes(measured)
    assert seen == [None, b"one"]
    (kept,) = (tmp_path / "w2vc" / "tensorrt").iterdir()
    assert kept.name == "nvidia-h200-132-multiprocessors.timings"
    with compiler._timings(EngineOptions(("sm89",))) as job:  # which measures nothing
        assert job == {}


def test_engines_of_two_gpus_have_two_names(monkeypatch):
    names = set()
    for count in (8, 16):  # a Jetson Orin Nano and an AGX, which both call themselves Orin
        monkeypatch.setattr(compiler, "find_gpu", lambda count=count: Gpu("Orin", "sm87", count))
        names.add(EngineOptions(backend="tensorrt").file_name("fp16"))
    assert names == {f"engines/tensorrt-orin-{count}-multiprocessors-fp16.plan" for count in (8, 16)}
