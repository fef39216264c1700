"""Sessions that run engines, as far as a machine without a GPU goes: what is ours, on a stand-in for what is not."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from support.paths import DEMO_AUDIO, ROOT
from w2vc_runtime import InferenceError, MissingExtraError, OptionError
from w2vc_runtime.bundle import Engine, EngineProfile
from w2vc_runtime.sessions.tensorrt.batches import Batches
from w2vc_runtime.sessions.tensorrt.cuda import Device

STANDIN = ROOT / "tests" / "support" / "standin"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_sessions_on_a_stand_in(digits, tmp_path):
    """The checks are in tests/support/standin/checks.py."""
    pytest.importorskip("cuda.bindings", reason="no cuda-bindings here")
    library = tmp_path / "libcuda.so.1"
    command = ["cc", "-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1", "-o", library, STANDIN / "libcuda.c", "-ldl"]
    subprocess.run(command, check=True)
    places = {"STANDIN_BUNDLE": digits["fp32"], "STANDIN_AUDIO": DEMO_AUDIO, "LD_LIBRARY_PATH": tmp_path}
    places["PYTHONPATH"] = os.pathsep.join(map(str, [STANDIN, *sys.path[1:]]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", STANDIN / "checks.py"],
        env=environment | {name: str(place) for name, place in places.items()},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_stand_in_has_nothing_that_tensorrt_has_not():
    tensorrt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")
    for file in ("standin_tensorrt.py", "standin_tensorrt_rtx.py"):
        for name in members((STANDIN / file).read_text()):
            owner, _, member = name.partition(".")
            assert hasattr(tensorrt, owner), name
            assert not member or hasattr(getattr(tensorrt, owner), member), name


def members(text: str) -> list[str]:
    """Public classes of a module, what they have, and what their enumerations list."""
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name != "Severity":  # which is ILogger's own
            found.append(node.name)
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                    found.append(f"{node.name}.{part.name}")
                for target in part.targets if isinstance(part, ast.Assign) else ():
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    found += [f"{node.name}.{name.id}" for name in names if not name.id.startswith("_")]
    return found


@pytest.fixture
def batches() -> Batches:
    """Of a model with log-mel features and a time mask: profiles of 4 to 8 and 20 to 40 steps."""
    shapes = [
        {"input_features": [[1, a, 80], [1, a, 80], [b, c, 80]], "mask": [[1, a // 2], [1, a // 2], [b, c // 2]]}
        for a, b, c in ((4, 8, 10), (20, 2, 40))
    ]
    entries = tuple(EngineProfile((a, a, b), (1, 1, 1), each) for each, (a, b) in zip(shapes, SECONDS))
    engine = Engine("plan", "", 0, "tensorrt", "1", "", (), None, (), "fp16", {}, entries)
    output = SimpleNamespace(shape=("batch", "frames"))
    features = SimpleNamespace(name="input_features", shape=("batch", "frames", 80))
    mask = SimpleNamespace(name="mask", shape=("batch", "pairs"))
    contract = {"invariant": True, "frames": {}, "features": SimpleNamespace(padding_value=1.5)}
    return Batches(engine, SimpleNamespace(inputs=[features, mask], outputs=[output], **contract))


SECONDS = ((0.1, 0.2), (0.4, 0.8))


def test_every_input_is_padded_to_the_profile(batches):
    inputs = {"input_features": np.ones((1, 12, 80), np.float32), "mask": np.ones((1, 6), bool)}
    plan = batches.plan(inputs)
    assert (plan.profile, plan.rows) == (1, 2)
    ((part, rows),) = batches.parts(inputs, plan)
    assert rows == 1
    assert part["input_features"].shape == (1, 20, 80)
    assert (part["input_features"][:, 12:] == 1.5).all()
    assert part["mask"].tolist() == [[True] * 6 + [False] * 4]


def test_what_is_of_the_whole_batch_is_not_run_in_parts(batches):
    inputs = {"input_features": np.ones((9, 8, 80), np.float32), "mask": np.ones((9, 4), bool)}
    assert [rows for _, rows in batches.parts(inputs, batches.plan(inputs))] == [8, 1]
    batches._parts = False
    with pytest.raises(
        InferenceError, match=r"takes clips of 0\.1 to 0\.2 s, 0\.4 to 0\.8 s, and not input_features of sh"
    ):
        batches.plan(inputs)


def test_no_driver_is_one_line():
    pytest.importorskip("cuda.bindings", reason="no cuda-bindings here")
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    with pytest.raises(
        OptionError, match=r"there is no NVIDIA driver here \(libcuda\.so\.1 cannot be loaded\); install"
    ):
        Device.open()


def test_no_cuda_bindings_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    Device.open.__func__.cache_clear()
    with pytest.raises(MissingExtraError, match=r"running engines needs cuda-bindings.*pip install 'w2vc\[trt-rtx\]'"):
        Device.open()
