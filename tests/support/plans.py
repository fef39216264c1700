"""Networks and plans of exported graphs, with TensorRT-RTX itself and no GPU. That plans run is not shown here."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from w2vc_runtime.bundle import Bundle, Manifest
from w2vc_runtime.engines import worker
from w2vc_runtime.engines.profiles import OptimizationProfile

# Wheels are for Linux on x86-64 only. Elsewhere nothing is compiled, and test_tensorrt.py reports itself skipped.
HERE = find_spec("tensorrt_rtx") is not None
HALVES = {"fp16": "HALF", "bf16": "BF16"}
TYPES = {"fp32": "FLOAT", **HALVES}
DTYPES = {"FLOAT": "float32", "INT64": "int64", "BOOL": "bool"}
TARGET = "SM89"
# Long enough for every cell, with an adapter too.
PROFILE = "seconds=1:1.5:2,batch=1:2:3"


@cache
def rtx() -> tuple[Any, worker.Log]:
    """The module, and the one logger that it wants a process."""
    import tensorrt_rtx

    return tensorrt_rtx, worker.Log(tensorrt_rtx)


def dimensions(shape: tuple[str | int, ...]) -> tuple[int, ...]:
    """A shape as TensorRT has it: -1 for what varies."""
    return tuple(-1 if isinstance(size, str) else size for size in shape)


def described(tensors: list[Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {each.name: (DTYPES[each.dtype.name], tuple(each.shape)) for each in tensors}


def expect_interface(network: Any, manifest: Manifest) -> None:
    """Inputs and outputs have the manifest's names, types and shapes."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    assert described(inputs) == {each.name: (each.dtype, dimensions(each.shape)) for each in manifest.inputs}
    outputs = [network.get_output(i) for i in range(network.num_outputs)]
    assert described(outputs) == {each.name: (each.dtype, dimensions(each.shape)) for each in manifest.outputs}


def expect_types(network: Any, precision: str) -> None:
    """Products and convolutions are in the graph's type, softmax and norms in float32."""
    found: dict[str, set[str]] = {}
    for layer in map(network.get_layer, range(network.num_layers)):
        found.setdefault(layer.type.name, set()).add(layer.get_output(0).dtype.name)
    half = TYPES[precision]
    assert found["MATRIX_MULTIPLY"] == {half}
    assert found.get("CONVOLUTION", {half}) == {half}
    assert found.get("SOFTMAX", {"FLOAT"}) == found.get("NORMALIZATION", {"FLOAT"}) == {"FLOAT"}


def expect_plan(bundle: Path, precision: str) -> None:
    """One graph of a bundle becomes a plan for a GPU that is not here."""
    if not HERE:
        return
    tensorrt, log = rtx()
    log.lines.clear()
    manifest = Bundle.read(bundle).manifest
    (graph,) = (each for each in manifest.graphs if each.precision == precision)
    builder = tensorrt.Builder(log.logger)
    network = worker.parse(tensorrt, builder, log, str(bundle / graph.files[0]))
    expect_interface(network, manifest)
    if precision in TYPES:
        expect_types(network, precision)
    shapes = OptimizationProfile.parse(PROFILE).entry(manifest.interface).shapes
    assert list(shapes) == [network.get_input(i).name for i in range(network.num_inputs)]
    worker.take_lengths(tensorrt, network)
    shapes = worker.with_lengths(shapes)
    assert shapes.keys() == {network.get_input(i).name for i in range(network.num_inputs)}
    config = worker.configure(tensorrt, builder, log, {"profiles": [shapes], "targets": [TARGET]})
    assert config.num_optimization_profiles == 1
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, log.reason()
    said = [text for severity, text in log.lines if severity in worker.FAILURES]
    assert [text for text in said if not text.endswith("has Int64 binding.")] == []  # as TensorRT reminds its callers
    assert b"vtrt" in bytes(plan)[:64]
    weights = sum(manifest.files[name].size for name in graph.files)
    # Kernels come to some megabytes; weights may be stored in another order, and not twice.
    assert 0.9 * weights < plan.nbytes < 1.5 * weights + 2e7
