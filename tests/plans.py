"""Networks and plans of exported graphs, with TensorRT-RTX itself and no GPU. That plans run is not shown here."""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from w2vc_runtime.engines import worker
from w2vc_runtime.engines.profiles import OptimizationProfile
from w2vc_runtime.manifest import Manifest

# Wheels are for Linux on x86-64 only; elsewhere test_tensorrt.py reports itself skipped.
HERE = find_spec("tensorrt_rtx") is not None
TYPES = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16"}
DTYPES = {"FLOAT": "float32", "INT64": "int64", "BOOL": "bool"}
TARGET = "SM89"


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


def expect_network(network: Any, manifest: Manifest, precision: str) -> None:
    """Inputs and outputs are the manifest's; products are in the graph's type, and softmax and norms in float32."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    assert described(inputs) == {each.name: (each.dtype, dimensions(each.shape)) for each in manifest.inputs}
    outputs = [network.get_output(i) for i in range(network.num_outputs)]
    assert described(outputs) == {each.name: (each.dtype, dimensions(each.shape)) for each in manifest.outputs}
    types = Counter()
    for layer in map(network.get_layer, range(network.num_layers)):
        types[layer.type.name, layer.get_output(0).dtype.name] += 1
    half = TYPES[precision]
    for kind, wanted in (
        ("MATRIX_MULTIPLY", half),
        ("CONVOLUTION", half),
        ("SOFTMAX", "FLOAT"),
        ("NORMALIZATION", "FLOAT"),
    ):
        assert {dtype for found, dtype in types if found == kind} <= {wanted}, (kind, types)
    assert types["MATRIX_MULTIPLY", half]


def expect_plan(bundle: Path, precision: str, *specs: str) -> bytes:
    """One graph of a bundle compiles for a GPU that is not here; returns the plan. specs: of its profiles."""
    tensorrt, log = rtx()
    log.lines.clear()
    manifest = Manifest.read(bundle)
    (graph,) = (each for each in manifest.graphs if each.precision == precision)
    builder = tensorrt.Builder(log.logger)
    network = worker.parse(tensorrt, builder, log, str(bundle / graph.files[0]))
    if precision in TYPES:
        expect_network(network, manifest, precision)
    shapes = [OptimizationProfile.parse(spec).shapes(manifest) for spec in specs]
    config = worker.configure(tensorrt, builder, log, {"profiles": shapes, "targets": [TARGET]})
    assert config.num_optimization_profiles == len(specs)
    assert [name for each in shapes for name in each] == [tensor.name for tensor in manifest.inputs] * len(specs)
    assert "TF32" not in worker.flags(tensorrt, config)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, log.reason()
    plan = bytes(plan)
    said = [text for severity, text in log.lines if severity in worker.FAILURES]
    assert [text for text in said if not text.endswith("has Int64 binding.")] == []  # as TensorRT reminds its callers
    assert plan[4:8] == b"vtrt" or b"vtrt" in plan[:64]
    weights = sum(manifest.files[name].size for name in graph.files)
    assert weights / 4 < len(plan) < 4 * weights + 1e7
    return plan
