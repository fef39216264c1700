"""Which provider runs a bundle, and why the others do not. GPUs are stood in for."""

from __future__ import annotations

import dataclasses
import logging
import platform
import re
import sys
from types import SimpleNamespace

import onnxruntime
import pytest

from support.gpu_providers import StandIn, parts, stand_in
from w2vc_runtime import BundleError, MissingExtraError, OptionError, load
from w2vc_runtime.bundle import Bundle, Engine, EngineProfile, Manifest
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.engines import BACKENDS, identity
from w2vc_runtime.sessions import onnx_runtime_cuda
from w2vc_runtime.sessions.select import PROVIDERS, open_bundle, open_session, survey
from w2vc_runtime.sessions.tensorrt import session
from w2vc_runtime.system.gpu import Gpu


@pytest.fixture
def gpus(monkeypatch):
    """A machine that has a GPU and ONNX Runtime with CUDA, but for what it computes."""
    return stand_in(monkeypatch)


def with_engine(manifest: Manifest, backend: str = "tensorrt-rtx", precision: str = "fp16") -> Manifest:
    profile = EngineProfile((1, 1, 1), (1, 1, 1), {})
    engine = Engine(
        "engines/e.plan", "0" * 64, 1, backend, "1.7", "linux-x86_64", ("sm89",), None, (), precision, {}, (profile,)
    )
    return dataclasses.replace(manifest, engines=(engine,))


@pytest.fixture
def engines(gpus, monkeypatch):
    """Engines can run here; what opens them remembers with what."""
    opened = []

    def open_engine(*arguments):
        opened.append(arguments)
        return SimpleNamespace(provider=arguments[-1], run=None)

    monkeypatch.setattr(identity, "find_engine", lambda *arguments: None)
    monkeypatch.setattr(session, "open_engine", open_engine)
    return opened


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_engine_of_a_bundle_comes_first(backend, engines, digits, monkeypatch):
    bundle, manifest, graph = parts(digits["fp16"])
    compiled_bundle = with_engine(manifest, backend)
    assert open_bundle(Bundle(bundle, compiled_bundle), graph, backend).provider == backend
    assert engines.pop() == (Bundle(bundle, compiled_bundle), graph.precision, backend)
    monkeypatch.setattr(identity, "find_engine", only(backend))
    assert open_bundle(Bundle(bundle, compiled_bundle), graph, "auto").provider == backend
    assert engines.pop() == (Bundle(bundle, compiled_bundle), graph.precision, backend)
    assert StandIn.made == []


def only(*backends: str):
    """What finds engines of some backends, and refuses the others."""

    def find(*arguments):
        if arguments[-1] not in backends:
            raise OptionError("there is none")

    return find


@pytest.mark.parametrize(("backend", "target"), [("tensorrt-rtx", " --target sm89"), ("tensorrt", "")])
def test_without_an_engine_the_line_says_what_compiles_it(backend, target, gpus, digits, capsys, tone, monkeypatch):
    command = ["run", str(digits["fp32"]), str(tone), "--provider", backend]
    line = f"w2vc: {digits['fp32']} has no {backend} engine in fp32; compile one with: w2vc compile {digits['fp32']} "
    line += f"--backend {backend} --precision fp32"
    assert run_cli.main(command) == 2
    assert capsys.readouterr().err == f"{line}{target}\n"

    def missing():
        raise OptionError("there is no GPU here")

    monkeypatch.setattr(identity, "find_gpu", missing)
    assert run_cli.main(command) == 2
    assert capsys.readouterr().err == f"{line}\n"
    # One of another precision is no engine of this graph.
    bundle, manifest, graph = parts(digits["fp32"])
    with pytest.raises(OptionError, match=f"has no {backend} engine in fp32; compile one with"):
        open_bundle(Bundle(bundle, with_engine(manifest, backend, "fp16")), graph, backend)
    assert StandIn.made == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_engines_need_the_bundle_and_a_graph_that_tensorrt_has_kernels_for(backend, gpus, digits):
    with pytest.raises(OptionError, match=f"'{backend}' runs the engines of a bundle, and .* is a graph by itself"):
        open_session(digits["fp16"] / "model_fp16.onnx", backend, "fp16")
    bundle, manifest, graph = parts(digits["fp16"])
    dynamic = dataclasses.replace(graph, precision="int8", provider="cpu")
    with pytest.raises(OptionError, match="TensorRT has no kernels for it"):
        open_bundle(Bundle(bundle, manifest), dynamic, backend)


REFUSALS = {
    "another GPU": ("find_engine", OptionError("it is for sm89, and sm90 is here"), "INFO"),
    "a plan that does not load": ("open_engine", BundleError("it cannot load the plan"), "WARNING"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_an_engine_that_does_not_run_is_an_error_by_name_and_passed_over_by_auto(
    case, engines, digits, caplog, monkeypatch
):
    name, error, level = REFUSALS[case]

    def refuse(*arguments):
        raise error

    monkeypatch.setattr({"find_engine": identity, "open_engine": session}[name], name, refuse)
    bundle, manifest, graph = parts(digits["fp16"])
    with pytest.raises(type(error), match=str(error)):
        open_bundle(Bundle(bundle, with_engine(manifest)), graph, "tensorrt-rtx")
    assert StandIn.made == []
    caplog.set_level(logging.INFO, "w2vc")
    assert open_bundle(Bundle(bundle, with_engine(manifest)), graph, "auto").provider == "cuda"
    (record,) = [each for each in caplog.records if each.args[0] == "tensorrt-rtx"]
    assert (record.levelname, record.getMessage()) == (
        level,
        f"provider 'tensorrt-rtx' is passed over for 'cuda': {error}",
    )
    assert engines == []


def test_an_engine_is_found_before_it_is_opened(gpus, digits, monkeypatch):
    def refuse():
        raise OptionError("there is no NVIDIA driver here")

    monkeypatch.setattr(identity, "find_gpu", refuse)
    monkeypatch.setattr(identity, "module_of", lambda backend: None)
    monkeypatch.setattr(session, "open_engine", None)
    bundle, manifest, graph = parts(digits["fp16"])
    found = survey(Bundle(bundle, with_engine(manifest)), graph)
    assert str(found["tensorrt-rtx"]) == "there is no NVIDIA driver here"
    assert found["cuda"] is None


def test_auto_falls_through_to_what_loads_and_says_what_did_not(gpus, digits, monkeypatch, caplog):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    caplog.set_level(logging.INFO, "w2vc")
    real = onnxruntime.InferenceSession

    def start(path, configuration, **arguments):
        if arguments["providers"][0][0] == onnx_runtime_cuda.CUDA:
            raise RuntimeError("CUDA failure 35")
        return real(path, configuration, **arguments)

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    assert load(digits["fp16"], "auto").provider == "cpu"
    said = {record.args[0]: (record.levelname, record.args[2]) for record in caplog.records}
    assert set(said) == {"tensorrt-rtx", "tensorrt", "cuda", "openvino"}
    assert said["cuda"][0] == "WARNING"
    assert str(said["cuda"][1]).endswith("CUDA failure 35")
    assert {level for name, (level, _) in said.items() if name != "cuda"} == {"INFO"}


def test_auto_without_anything_asks_for_the_least(digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"provider 'cpu' needs onnxruntime, .*pip install 'w2vc\[cpu\]'"):
        load(digits["fp16"], "auto")


def test_what_a_graph_is_written_for_comes_first(engines, digits, monkeypatch):
    bundle, manifest, graph = parts(digits["fp32"])
    assert list(survey(Bundle(bundle, manifest), graph)) == ["tensorrt-rtx", "tensorrt", "cuda", "openvino", "cpu"]
    for written_for in PROVIDERS:
        names = survey(Bundle(bundle, manifest), dataclasses.replace(graph, provider=written_for))
        assert next(iter(names)) == written_for
        assert set(names) == set(PROVIDERS)
    tensorrt = dataclasses.replace(graph, provider="tensorrt")
    assert open_bundle(Bundle(bundle, manifest), tensorrt, "auto").provider == "tensorrt"
    assert open_bundle(Bundle(bundle, manifest), graph, "auto").provider == "tensorrt-rtx"
    monkeypatch.setattr(identity, "find_engine", only())
    assert open_bundle(Bundle(bundle, manifest), tensorrt, "auto").provider == "cuda"


def test_info_of_a_gpu_that_a_backend_has_not_names_others(gpus, digits, capsys, monkeypatch):
    monkeypatch.setattr(identity, "find_gpu", lambda: Gpu("NVIDIA H200", "sm90", 132))
    assert run_cli.main(["info", str(digits["fp16"])]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("not tensorrt-rtx"))
    assert row.endswith(
        "tensorrt-rtx runs on sm75, sm80, sm86, sm89, sm120, sm121, and NVIDIA H200 (sm90) is here; "
        "take provider 'tensorrt' or 'cuda'"
    )


def test_info_says_what_auto_takes_and_why_not_the_others(gpus, digits, capsys, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")

    def shown() -> dict[str, str]:
        assert run_cli.main(["info", str(digits["fp16"])]) == 0
        lines = capsys.readouterr().out.splitlines()
        return dict(re.split(" {2,}", line, maxsplit=1) for line in lines)

    rows = shown()
    assert rows["auto provider"] == "cuda"
    assert rows["not tensorrt-rtx"] == (
        f"{digits['fp16']} has no tensorrt-rtx engine in fp16; compile one with: "
        f"w2vc compile {digits['fp16']} --backend tensorrt-rtx --precision fp16 --target sm89"
    )
    assert rows["not openvino"] == "this is not an x86 CPU"
    assert rows["not cpu"] == "it would work; cuda comes first"
    gpus.remove(onnx_runtime_cuda.CUDA)
    rows = shown()
    assert rows["auto provider"] == "cpu"
    assert rows["not cuda"].startswith("provider 'cuda' is not in this onnxruntime")
    assert StandIn.made == [], "no graph is loaded to say so"
