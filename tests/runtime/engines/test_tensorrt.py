"""TensorRT's parser and builder on graphs that no cell of the matrix has, and whether `plans` notices what is wrong.

The matrix itself is compiled where it is exported, in test_export.py. That plans run is not shown here.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from support.oracle import Cell, tiny
from support.plans import PROFILE, TYPES, expect_interface, expect_plan, expect_types, rtx
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import EngineError
from w2vc_runtime.bundle import Bundle, Manifest
from w2vc_runtime.engines import EngineOptions, compile_bundle, worker

tensorrt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")


@pytest.fixture(scope="module")
def halves(tmp_path_factory) -> Path:
    """A bundle in fp32, fp16 and bf16."""
    checkpoint = tiny("conformer-relative", "layer", brief=True)[1]
    output = tmp_path_factory.mktemp("halves") / "bundle"
    return export(ExportOptions(checkpoint, precision="fp32,fp16,bf16", output=output)).bundle


def parsed(bundle: Path, manifest: Manifest, precision: str):
    (graph,) = (each for each in manifest.graphs if each.precision == precision)
    _, log = rtx()
    return worker.parse(tensorrt, tensorrt.Builder(log.logger), log, str(bundle / graph.files[0]))


@pytest.mark.parametrize("precision", TYPES)
def test_products_in_another_type_are_noticed(precision, halves):
    network = parsed(halves, Bundle.read(halves).manifest, precision)
    expect_types(network, precision)
    for other in TYPES.keys() - {precision}:
        with pytest.raises(AssertionError, match=TYPES[other]):
            expect_types(network, other)


@pytest.mark.parametrize("kind", ["softmax", "normalization"])
def test_a_statistic_in_half_precision_is_noticed(kind):
    network = tensorrt.Builder(rtx()[1].logger).create_network(0)
    x = network.add_input("x", tensorrt.float16, (4, 4))
    product = network.add_matrix_multiply(x, tensorrt.MatrixOperation.NONE, x, tensorrt.MatrixOperation.NONE)
    expect_types(network, "fp16")
    if kind == "softmax":
        network.add_softmax(product.get_output(0))
    else:
        network.add_normalization(product.get_output(0), x, x, 2)
    with pytest.raises(AssertionError, match="HALF"):
        expect_types(network, "fp16")


@pytest.mark.parametrize("change", [{"name": "scores"}, {"dtype": "int64"}, {"shape": ("batch", "frames", 31)}])
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_another_interface_is_noticed(side, change, halves):
    manifest = Bundle.read(halves).manifest
    network = parsed(halves, manifest, "fp32")
    expect_interface(network, manifest)
    first, *others = getattr(manifest, side)
    other = dataclasses.replace(manifest, **{side: (dataclasses.replace(first, **change), *others)})
    with pytest.raises(AssertionError, match=first.name):
        expect_interface(network, other)


@pytest.mark.parametrize(
    ("precision", "fault"),
    [
        ("fp32", r"for Turing \(SM75\): FP32 GEMM is not supported$"),
        ("bf16", r"for target\(s\) sm75, because the model contains HW-specific datatypes: b16$"),
    ],
)
def test_what_a_gpu_cannot_do_is_refused(precision, fault, halves):
    """TensorRT-RTX compiles fp16 alone for sm75; the other precisions are not ours to mend."""
    with pytest.raises(EngineError, match=fault):
        compile_bundle(halves, EngineOptions(("sm75",), (PROFILE,)), precision)
    assert Bundle.read(halves).manifest.engines == ()


def test_every_target_takes_fp16(halves, tmp_path):
    """One plan for all of them: what the matrix is compiled for is no exception."""
    bundle = shutil.copytree(halves, tmp_path / "bundle")
    names = [name.lower() for name in dir(tensorrt.ComputeCapability) if worker.TARGET.fullmatch(name)]
    assert len(names) > 4
    targets = tuple(sorted(names, key=lambda name: int(name[2:])))
    assert compile_bundle(bundle, EngineOptions(targets, (PROFILE,)), "fp16").engine.targets == targets


@pytest.mark.parametrize(
    "cell", [Cell("conformer-relative", "layer", "ctc"), Cell("bert-relative_key", "log-mel", "ctc")]
)
def test_static_int8_compiles(cell, tmp_path):
    checkpoint = tiny(*cell, brief=True)[1]
    bundle = export(ExportOptions(checkpoint, precision="int8", provider="tensorrt", output=tmp_path / "bundle")).bundle
    network = parsed(bundle, Bundle.read(bundle).manifest, "int8")
    kinds = [network.get_layer(i).type for i in range(network.num_layers)]
    assert kinds.count(tensorrt.LayerType.DEQUANTIZE) > kinds.count(tensorrt.LayerType.QUANTIZE) > 0
    expect_plan(bundle, "int8")
