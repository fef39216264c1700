"""The native runtime, built once for all tests, and the golden vectors that it is held to."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from native_build import ROOT, run

BUILD = ROOT / "build" / "native"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time: tests run in several."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def toolchain() -> list[str]:
    """What cmake is given to configure with."""
    missing = [name for name in ("cmake", "c++", "cc") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the native runtime is not built: there is no {' or '.join(missing)} here")
    return ["-DCMAKE_BUILD_TYPE=Release"]


@pytest.fixture(scope="session")
def onnxruntime_library() -> Path:
    """ONNX Runtime's shared library, as its Python package carries it."""
    import onnxruntime

    found = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not found:
        pytest.skip(f"onnxruntime {onnxruntime.__version__} carries no libonnxruntime.so")
    return found[0]


@pytest.fixture(scope="session")
def native(toolchain: list[str]) -> Path:
    """The directory of a release build."""
    with locked("release"):
        folder = BUILD / "release"
        run(["cmake", "-S", ROOT / "runtime" / "cpp", "-B", folder, "-DW2VC_TESTS=ON", *toolchain])
        run(["cmake", "--build", folder, "--parallel", str(min(4, os.cpu_count() or 1))])
    return folder


@pytest.fixture(scope="session")
def goldens() -> Path:
    """The directory of golden vectors, made anew where the Python that makes them has changed."""
    folder = BUILD / "goldens"
    with locked("goldens"):
        sources = [
            path
            for place in ("runtime/w2vc_runtime", "exporter", "model", "tests/native", "tests/support")
            for path in (ROOT / place).rglob("*.py")
        ]
        stamp = folder / "made"
        newest = max(path.stat().st_mtime for path in sources)
        if not stamp.exists() or stamp.stat().st_mtime < newest:
            shutil.rmtree(folder, ignore_errors=True)
            run([sys.executable, ROOT / "tests" / "native" / "goldens.py", folder])
            stamp.touch()
    return folder


@pytest.fixture(scope="session")
def installed(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix that the runtime is installed in."""
    prefix = tmp_path_factory.mktemp("installed")
    run(["cmake", "--install", native, "--prefix", prefix])
    return prefix
