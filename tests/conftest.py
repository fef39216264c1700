"""Shared fixtures."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread for each worker; more would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import w2vc_runtime.bench.measure
from support.paths import DATA
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import W2vcError

pytest.register_assert_rewrite("support.parity", "support.plans")  # their assertions say what differs, as tests' own do


@cache
def no_gpu() -> str | None:
    """Why there is no GPU for engines here; None where there is one."""
    try:
        from w2vc_runtime.sessions.tensorrt.cuda import Device

        Device.open()
    except (ImportError, W2vcError) as error:
        return str(error)
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (reason := no_gpu()):
        pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def brief_measurements() -> Iterator[None]:
    """Graphs are timed on one short clip; the report has a test of all lengths.

    Each is timed after a garbage collection, which need not look at all that torch has made for good: a tenth of the
    time of a tiny export.
    """
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(w2vc_runtime.bench.measure, "SECONDS", (1.0,))
        yield


@pytest.fixture(scope="session", autouse=True)
def patient_threads() -> Iterator[None]:
    """ONNX Runtime's threads do not spin while they wait: they would take the cores of the other workers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return

    class Patient(onnxruntime.SessionOptions):
        def __init__(self) -> None:
            super().__init__()
            self.add_session_config_entry("session.intra_op.allow_spinning", "0")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "SessionOptions", Patient)
        yield


@pytest.fixture(scope="session")
def fsdd() -> Path:
    """The Free Spoken Digit Dataset, where this machine has it."""
    folder = DATA / "fsdd"
    if not folder.is_dir():
        pytest.skip(f"no Free Spoken Digit Dataset in {folder}; set W2VC_DATA to the folder that holds fsdd/")
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles of the digits checkpoint by precision."""
    folder = tmp_path_factory.mktemp("digits")
    return {
        precision: export(ExportOptions(precision=precision, output=folder / precision)).bundle
        for precision in ("fp32", "fp16")
    }


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """One second of a quiet tone at 16 kHz."""
    import soundfile  # which machines with a GPU may lack

    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(16000) / 20), 16000)
    return path
