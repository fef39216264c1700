"""What ONNX Runtime's CUDA is handed, and one line where it cannot be had. That it runs is not shown."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import onnxruntime
import pytest

from support.gpu_providers import StandIn, stand_in
from w2vc_runtime import MissingExtraError, OptionError, load
from w2vc_runtime.sessions import onnx_runtime_cuda
from w2vc_runtime.system import gpu
from w2vc_runtime.system.cache import cache_folder

CUDA_OPTIONS = {
    "arena_extend_strategy": "kSameAsRequested",
    "cudnn_conv_algo_search": "HEURISTIC",
    "cudnn_conv1d_pad_to_nc1d": "1",
    "use_tf32": "0",
}


@pytest.fixture
def gpus(monkeypatch):
    """A machine that has a GPU and ONNX Runtime with CUDA, but for what it computes."""
    return stand_in(monkeypatch)


def test_cuda_is_kept_from_searching_and_from_hoarding(gpus, digits):
    assert load(digits["fp16"], "cuda").provider == "cuda"
    (made,) = StandIn.made
    assert made.path == digits["fp16"] / "model_fp16.onnx"
    assert made.given == {onnx_runtime_cuda.CUDA: CUDA_OPTIONS}
    assert made.arguments["enable_fallback"] == 0


def test_a_provider_that_gives_way_to_the_cpu_is_told(gpus, digits, monkeypatch):
    monkeypatch.setattr(StandIn, "starts", False)
    with pytest.raises(OptionError, match="provider 'cuda' could not be started here"):
        load(digits["fp32"], "cuda")


def test_the_cache_is_where_the_user_has_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for named, expected in ((str(tmp_path / "x"), tmp_path / "x"), ("relative", tmp_path / ".cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert cache_folder("tensorrt-rtx") == expected / "w2vc" / "tensorrt-rtx"


def test_what_is_not_installed_is_one_line(digits, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(OptionError, match=r"'cuda' is not in this onnxruntime; pip install 'w2vc\[gpu\]' has it"):
        load(digits["fp32"], "cuda")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for provider, extra in {"cuda": "gpu", "cpu": "cpu"}.items():
        fault = rf"provider '{provider}' needs onnxruntime, which is not installed; pip install 'w2vc\[{extra}\]'"
        with pytest.raises(MissingExtraError, match=fault):
            load(digits["fp32"], provider)


def test_a_driver_that_is_missing_or_finds_no_gpu(monkeypatch):
    monkeypatch.setattr(gpu, "DRIVER", "libnone.so.1")
    with pytest.raises(OptionError, match=r"there is no NVIDIA driver here \(libnone.so.1 cannot be loaded\)"):
        gpu.find_gpu()

    def named(name, length, device):
        name.value = b"NVIDIA H200"
        return 0

    def told(value, attribute, device):
        value._obj.value = {75: 9, 76: 0, 16: 132}[attribute]
        return 0

    driver = SimpleNamespace(
        cuInit=lambda flags: 0,
        cuDeviceGet=lambda device, index: 0,
        cuDeviceGetName=named,
        cuDeviceGetAttribute=told,
    )
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert gpu.find_gpu() == gpu.Gpu("NVIDIA H200", "sm90", 132)
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
