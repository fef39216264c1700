"""A stand-in for ONNX Runtime's GPU providers: it remembers what it is handed, and computes nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import onnxruntime
import pytest

from w2vc_runtime.bundle import Bundle, Graph, Manifest
from w2vc_runtime.engines import identity
from w2vc_runtime.sessions import onnx_runtime_cuda
from w2vc_runtime.system.gpu import Gpu


class StandIn:
    """Takes the place of ONNX Runtime's session and remembers what it was given."""

    made: ClassVar[list[StandIn]] = []
    starts = True

    def __init__(self, path, configuration, **arguments):
        self.path, self.configuration, self.arguments = path, configuration, arguments
        self.made.append(self)

    @property
    def given(self) -> dict[str, dict[str, str]]:
        """Options by execution provider, in order."""
        return dict(self.arguments["providers"])

    def get_providers(self):
        return [*(self.given if self.starts else ()), "CPUExecutionProvider"]

    def get_outputs(self):
        return [SimpleNamespace(name="logits")]

    def run(self, outputs, inputs, options):
        return [np.zeros(1)]


def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine that has a GPU, and ONNX Runtime with CUDA; returns their names, which may be changed."""
    available = [onnx_runtime_cuda.CUDA, "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "InferenceSession", StandIn)
    monkeypatch.setattr(StandIn, "made", [])
    for module in (onnx_runtime_cuda, identity):
        monkeypatch.setattr(module, "find_gpu", lambda: Gpu("NVIDIA L4", "sm89", 58))
    return available


def parts(bundle: Path) -> tuple[Path, Manifest, Graph]:
    """What `open_bundle` takes, of a bundle's first graph."""
    manifest = Bundle.read(bundle).manifest
    return bundle, manifest, manifest.graphs[0]
