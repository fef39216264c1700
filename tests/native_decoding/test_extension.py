"""The extension as a package: its size, its types, and what it says of itself."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

native = pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")

SOURCE = Path(__file__).parents[2] / "runtime" / "cpp" / "python" / "w2vc_native"
MOST_BYTES = 1_500_000


def test_it_is_small():
    (library,) = Path(native.__file__).parent.glob("_native*.so")
    assert library.stat().st_size < MOST_BYTES


def test_its_stubs_are_of_this_extension(tmp_path):
    pytest.importorskip("nanobind", reason="nanobind is not installed")
    stub = tmp_path / "_native.pyi"
    command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "w2vc_native._native", "-o", stub]
    subprocess.run(command, check=True)
    assert stub.read_text() == (SOURCE / "_native.pyi").read_text()


def test_everything_public_says_what_it_is():
    for name in native.__all__:
        assert inspect.getdoc(getattr(native, name)), name


def test_results_show_themselves():
    import numpy as np

    logits = np.zeros((2, 2), np.float32)
    logits[:, 1] = 5
    (reading,) = native.GreedyDecoder(["", "a"], blank=0).decode(logits)
    assert repr(reading).startswith("Hypothesis('a', score=-0.0")
    assert repr(reading.words[0]) == "Span('a', 0, 2, 0.9933)"
