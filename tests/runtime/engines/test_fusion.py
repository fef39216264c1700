"""Attention is one kernel a layer in half precision, for every position kind: what costs that is told here."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from support.fusion import fused_attention
from support.oracle import ARCHITECTURES, fronts, tiny
from support.plans import rtx
from w2vc_exporter import ExportOptions, export
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.engines import EngineOptions, worker

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")
PROFILES = ("seconds=0.5:1:2,batch=1:1:2", "seconds=2:3:5,batch=1:1:1")
# One of every kind of attention; the others differ around it.
KINDS = ("wav2vec2", "conformer-relative", "conformer-rotary", "bert-relative_key")


def fused(bundle: Bundle, graph: Path, folder: Path) -> int:
    """Fused kernels in the plan of a graph."""
    tensorrt, log = rtx()
    profiles = EngineOptions(profiles=PROFILES).resolve(bundle.interface)
    shapes = [profile.entry(bundle.interface).shapes for profile in profiles]
    job = {"graph": str(graph), "plan": str(folder / "plan"), "profiles": shapes, "targets": ["SM89"], "lengths": True}
    worker.compile_plan(tensorrt, log, job, lambda line: None)
    return fused_attention((folder / "plan").read_bytes())


def exported(architecture: str, folder: Path) -> Bundle:
    checkpoint = tiny(architecture, fronts(architecture)[-1], brief=True)[1]
    budget = "tokens=0%,difference=1"
    path = export(ExportOptions(checkpoint, "ctc", "fp16,bf16", budget=budget, output=folder / "bundle")).bundle
    return Bundle.read(path)


@pytest.mark.parametrize(
    "architecture",
    [each if each in KINDS else pytest.param(each, marks=pytest.mark.full) for each in ARCHITECTURES],
)
def test_attention_is_one_kernel(architecture, tmp_path):
    bundle = exported(architecture, tmp_path)
    for graph in bundle.manifest.graphs:
        assert fused(bundle, bundle.file(graph), tmp_path) == len(PROFILES), graph.precision  # of one layer


def test_attention_that_cannot_be_fused_is_seen(tmp_path):
    """Negative control: something stands between softmax and the values."""
    bundle = exported("conformer-relative", tmp_path)
    model = onnx.load(bundle.file(bundle.graph("fp16")))
    (index,) = (index for index, node in enumerate(model.graph.node) if node.op_type == "Softmax")
    softmax = model.graph.node[index]
    given, softmax.output[0] = softmax.output[0], "between"
    model.graph.node.insert(index + 1, helper.make_node("Mul", ["between", "between"], [given]))
    onnx.save(model, tmp_path / "changed.onnx")
    assert fused(bundle, tmp_path / "changed.onnx", tmp_path) == 0
