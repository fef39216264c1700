"""What ONNX Runtime's GPU providers are handed, and one line where one cannot be had. That they run is not shown."""

from __future__ import annotations

import ctypes
import dataclasses
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from gpu_providers import StandIn, parts, stand_in

from w2vc_runtime import BundleError, InferenceError, MissingExtraError, OptionError, gpu, load
from w2vc_runtime.cache import shared_folder
from w2vc_runtime.features import LogMel
from w2vc_runtime.manifest import FileEntry, Frames, Manifest, Tensor
from w2vc_runtime.sessions import onnx_runtime
from w2vc_runtime.sessions.select import open_bundle, open_session

CUDA_OPTIONS = {
    "arena_extend_strategy": "kSameAsRequested",
    "cudnn_conv_algo_search": "HEURISTIC",
    "cudnn_conv1d_pad_to_nc1d": "1",
    "use_tf32": "0",
}
SPEECH = "1x400", "1x160000", "8x480000"  # 25 ms alone, 10 s alone, 8 clips of 30 s


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """A machine that has a GPU and every execution provider, but for what they compute."""
    return stand_in(monkeypatch, tmp_path / "cache")


@pytest.fixture
def rtx(gpus, monkeypatch, tmp_path):
    """The plug-in of TensorRT-RTX, and the options that its GPU was given."""
    text = "def get_library_path(): return 'library.so'\n"
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / f"{onnx_runtime.RTX_PLUGIN}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "plugin")
    monkeypatch.delitem(sys.modules, onnx_runtime.RTX_PLUGIN, raising=False)
    devices, seen = [], []
    other = SimpleNamespace(ep_name="CPUExecutionProvider")
    device = SimpleNamespace(ep_name=onnx_runtime.TENSORRT_RTX)

    def register(name, library):
        assert (name, library) == (onnx_runtime.TENSORRT_RTX, "library.so")
        assert not devices, "a library is registered once"
        devices.append(device)

    class Configuration:
        log_severity_level = 2

        def add_provider_for_devices(self, chosen, options):
            assert chosen == [device]
            seen.append(options)

    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", register, raising=False)
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [other, *devices], raising=False)
    monkeypatch.setattr(onnxruntime, "SessionOptions", Configuration)
    return seen


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


PROFILES = {
    "waveform": {"input_values": SPEECH, "attention_mask": SPEECH},
    "pretraining": {
        "input_values": SPEECH,
        "attention_mask": SPEECH,
        "mask_time_indices": ("1x1", "1x499", "8x1499"),
    },
    "log-mel": {
        "input_features": ("1x1x160", "1x499x160", "8x1499x160"),
        "attention_mask": ("1x1", "1x499", "8x1499"),
    },
}


def test_cuda_is_kept_from_searching_and_from_hoarding(gpus, digits):
    assert load(digits["fp16"], "cuda").provider == "cuda"
    (made,) = StandIn.made
    assert made.path == digits["fp16"] / "model_fp16.onnx"
    assert made.given == {onnx_runtime.CUDA: CUDA_OPTIONS}
    assert made.arguments["enable_fallback"] == 0


@pytest.mark.parametrize("name", PROFILES)
def test_tensorrt_is_given_one_profile_for_all_speech(name, gpus, digits):
    bundle, manifest, graph = parts(digits["fp32"])
    opened = open_bundle(bundle, family(manifest, name), graph, "tensorrt")
    assert opened.provider == "tensorrt"
    given = StandIn.made[0].given
    assert list(given) == [onnx_runtime.TENSORRT, onnx_runtime.CUDA]
    assert given[onnx_runtime.CUDA] == CUDA_OPTIONS
    options = given[onnx_runtime.TENSORRT]
    folder = Path(options.pop("trt_engine_cache_path"))
    assert folder.is_dir()
    assert folder.is_relative_to(os.environ["XDG_CACHE_HOME"])
    assert options.pop("trt_timing_cache_path") == str(folder)
    for index, bound in enumerate(("min", "opt", "max")):
        expected = ",".join(f"{tensor}:{shapes[index]}" for tensor, shapes in PROFILES[name].items())
        assert options.pop(f"trt_profile_{bound}_shapes") == expected
    # Nothing that would let TensorRT choose types other than the graph's.
    assert options == {
        "trt_engine_cache_enable": "1",
        "trt_timing_cache_enable": "1",
        "trt_max_workspace_size": str(4 << 30),
    }


def test_tensorrt_rtx_is_a_plug_in_that_is_registered_once(rtx, digits):
    for _ in range(2):
        assert load(digits["fp16"], "tensorrt-rtx").provider == "tensorrt-rtx"
    assert all("providers" not in made.arguments for made in StandIn.made)
    options = rtx[0]
    assert rtx[1] == options
    assert Path(options.pop("nv_runtime_cache_path")).is_dir()
    for index, bound in enumerate(("min", "opt", "max")):
        assert options.pop(f"nv_profile_{bound}_shapes") == (
            f"input_values:{SPEECH[index]},attention_mask:{SPEECH[index]}"
        )
    assert options == {"nv_max_workspace_size": str(4 << 30)}


def test_tensorrt_rtx_may_be_built_in(gpus, digits):
    gpus.append(onnx_runtime.TENSORRT_RTX)
    assert load(digits["fp16"], "tensorrt-rtx").provider == "tensorrt-rtx"
    assert list(StandIn.made[0].given) == [onnx_runtime.TENSORRT_RTX]


def test_a_plug_in_that_does_not_start_is_one_line(rtx, digits, monkeypatch):
    def register(name, library):
        raise RuntimeError("libcuda.so.1: cannot open\nmore")

    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", register)
    with pytest.raises(OptionError, match=r"'tensorrt-rtx' could not be started here: libcuda.so.1: cannot open$"):
        load(digits["fp16"], "tensorrt-rtx")
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda name, library: None)
    with pytest.raises(OptionError, match="takes none of the GPUs here; use provider 'cuda'"):
        load(digits["fp16"], "tensorrt-rtx")


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "tensorrt-rtx"])
def test_a_provider_that_gives_way_to_the_cpu_is_told(provider, rtx, digits, monkeypatch):
    monkeypatch.setattr(StandIn, "starts", False)
    with pytest.raises(OptionError, match=f"provider '{provider}' could not be started here"):
        load(digits["fp32"], provider)


def folder_of_the_last() -> Path:
    return Path(StandIn.made[-1].given[onnx_runtime.TENSORRT]["trt_engine_cache_path"])


def test_nothing_compiled_is_taken_for_another_graph_gpu_or_version(gpus, digits, monkeypatch):
    load(digits["fp32"], "tensorrt")
    first = folder_of_the_last()
    (first / "engine").write_bytes(b"compiled")
    load(digits["fp32"], "tensorrt")
    assert folder_of_the_last() == first
    assert (first / "engine").exists()
    folders = {first}
    bundle, manifest, graph = parts(digits["fp32"])
    files = {**manifest.files, "model.onnx": FileEntry("0" * 64, 1)}
    open_bundle(bundle, dataclasses.replace(manifest, files=files), graph, "tensorrt")
    folders.add(folder_of_the_last())
    for target, name, value in (
        (onnx_runtime, "find_gpu", lambda: gpu.Gpu("NVIDIA L4", "sm89")),
        (onnx_runtime, "_tensorrt_version", lambda: 101700),
        (onnxruntime, "__version__", "1.99"),
        (onnx_runtime, "TENSORRT_OPTIONS", {}),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(target, name, value)
            load(digits["fp32"], "tensorrt")
            folders.add(folder_of_the_last())
    assert len(folders) == 6


def test_what_a_failed_compilation_left_is_not_taken(gpus, digits, monkeypatch):
    class Fails(StandIn):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            (folder_of_the_last() / "engine").write_bytes(b"half")
            raise RuntimeError("out of memory\nmore")

    with monkeypatch.context() as failing:
        failing.setattr(onnxruntime, "InferenceSession", Fails)
        with pytest.raises(BundleError, match=r"cannot load .*: out of memory$"):
            load(digits["fp32"], "tensorrt")
    assert (folder_of_the_last() / "engine").exists()
    load(digits["fp32"], "tensorrt")
    assert not (folder_of_the_last() / "engine").exists()


def test_processes_that_share_the_cache_wait_for_each_other(gpus):
    with shared_folder("tensorrt", ["key"]) as folder:
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_a_cache_that_cannot_be_written_is_one_line(gpus, digits, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    fault = r"what is compiled is kept in .*, which cannot be written \(Not a directory\); set XDG_CACHE_HOME"
    with pytest.raises(OptionError, match=fault):
        load(digits["fp32"], "tensorrt")


def test_the_cache_is_where_the_user_has_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for named, expected in ((str(tmp_path / "x"), tmp_path / "x"), ("relative", tmp_path / ".cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        with shared_folder("tensorrt", []) as folder:
            assert folder.parent == expected / "w2vc" / "tensorrt"


def test_a_batch_outside_the_profile_is_refused(gpus, digits):
    opened = open_bundle(*parts(digits["fp32"]), "tensorrt")
    names = ("input_values", "attention_mask")
    for shape in ((1, 400), (8, 480000)):
        assert set(opened.run({name: np.zeros(shape) for name in names})) == {"logits"}
    for shape in ((9, 400), (1, 480001), (1, 399)):
        with pytest.raises(InferenceError, match=r"takes input_values of shapes \[1, 400\] to \[8, 480000\]"):
            opened.run({name: np.zeros(shape) for name in names})


@pytest.mark.parametrize("provider", ["tensorrt", "tensorrt-rtx"])
def test_tensorrt_needs_the_bundle_and_a_graph_it_has_kernels_for(provider, rtx, digits):
    with pytest.raises(OptionError, match=f"'{provider}' compiles for the shapes that a manifest gives; load the"):
        open_session(digits["fp16"] / "model_fp16.onnx", provider, "fp16")
    bundle, manifest, graph = parts(digits["fp16"])
    dynamic = dataclasses.replace(graph, precision="int8", provider="cpu")
    with pytest.raises(OptionError, match="TensorRT has no kernels for it"):
        open_bundle(bundle, manifest, dynamic, provider)


def test_onnx_runtime_does_not_keep_tensorrt_to_the_types_of_a_graph(gpus, digits):
    with pytest.raises(OptionError, match=r"'tensorrt' runs fp16 from an engine alone, .*; make one with w2vc compile"):
        load(digits["fp16"], "tensorrt")
    assert StandIn.made == []


def test_what_is_not_installed_is_one_line(digits, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnx_runtime, "find_spec", lambda name: None)
    for provider, fault in {
        "cuda": r"is not in this onnxruntime; pip install 'w2vc\[gpu\]' has it",
        "tensorrt": r"is not in this onnxruntime; pip install 'w2vc\[gpu\]' has it",
        "tensorrt-rtx": "is not in this onnxruntime; pip install onnxruntime-ep-nv-tensorrt-rtx brings it",
    }.items():
        with pytest.raises(OptionError, match=f"provider '{provider}' {fault}"):
            load(digits["fp32"], provider)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for provider, extra in {"cuda": "gpu", "tensorrt": "gpu", "tensorrt-rtx": "cpu", "cpu": "cpu"}.items():
        fault = rf"provider '{provider}' needs onnxruntime, which is not installed; pip install 'w2vc\[{extra}\]'"
        with pytest.raises(MissingExtraError, match=fault):
            load(digits["fp32"], provider)


def test_the_tensorrt_that_onnx_runtime_wants_is_named(gpus, digits, tmp_path, monkeypatch):
    monkeypatch.undo()
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_tensorrt.so").write_bytes(b"\0libnvinfer.so.99\0")
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(OptionError, match=r"needs the libnvinfer\.so\.99 that this onnxruntime is made for"):
        onnx_runtime._tensorrt_version()


def test_a_driver_that_is_missing_or_finds_no_gpu(monkeypatch):
    monkeypatch.setattr(gpu, "DRIVER", "libnone.so.1")
    with pytest.raises(OptionError, match=r"there is no NVIDIA driver here \(libnone.so.1 cannot be loaded\)"):
        gpu.find_gpu()

    def named(name, length, device):
        name.value = b"NVIDIA H200"
        return 0

    def told(value, attribute, device):
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0

    driver = SimpleNamespace(
        cuInit=lambda flags: 0,
        cuDeviceGet=lambda device, index: 0,
        cuDeviceGetName=named,
        cuDeviceGetAttribute=told,
    )
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert gpu.find_gpu() == gpu.Gpu("NVIDIA H200", "sm90")
    driver.cuDeviceGet = lambda device, index: 100
    with pytest.raises(OptionError, match=r"finds no GPU here \(CUDA error 100\)"):
        gpu.find_gpu()


def test_importing_onnx_runtime_reports_to_nobody(digits, tmp_path):
    """Its telemetry would leave an identifier in the cache directory."""
    path = digits["fp32"] / "model.onnx"
    code = "from pathlib import Path; from w2vc_runtime.sessions.select import open_session; "
    code += f"open_session(Path({str(path)!r}), "
    reporting = {"CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST"}
    environment = {name: value for name, value in os.environ.items() if name not in reporting}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code + "'cpu')"], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
