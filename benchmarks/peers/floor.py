"""What this machine can do at most: its best rate of products, at the shapes of these models, and of copying.

    python floor.py CORES...      prints JSON

Each kind of product is tried with what may be fastest at it: oneDNN by PyTorch and by OpenVINO, and ONNX Runtime's
kernels. The best of the best rounds counts, so that a share of the limit is never flattered.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

# Rows, depth, columns: 10 s in the feed-forward, its way back, the projections of attention, and the front end.
SHAPES = ((499, 1024, 4096), (499, 4096, 1024), (499, 1024, 1024), (7999, 1536, 512))
RUNS, SECONDS = 3, 0.4
COPIED = 256 << 20
# Products in one graph, so that what a call costs is not counted.
CHAINED = 4


def main() -> None:
    cores = [int(each) for each in sys.argv[1:]]
    os.sched_setaffinity(0, cores)
    rates: dict[str, dict[str, list[float]]] = {}
    for name, build in ENGINES.items():
        for precision in ("fp32", "bf16", "int8"):
            try:
                found = [_rate(build(precision, *shape), shape) for shape in SHAPES]
            except Exception as error:  # one that cannot is no limit
                print(f"{name} {precision}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
                continue
            rates.setdefault(precision, {})[name] = found
    best = {precision: [max(each) for each in zip(*engines.values())] for precision, engines in rates.items()}
    # Of all shapes together, as a model has them in turn.
    total = sum(map(operations, SHAPES))
    mixed = {p: total / sum(operations(s) / r for s, r in zip(SHAPES, each)) for p, each in best.items()}
    print(
        json.dumps({"cores": len(cores), "rates": mixed, "shapes": SHAPES, "engines": rates, "copy": copy(len(cores))})
    )


def operations(shape: tuple[int, int, int]) -> int:
    return 2 * shape[0] * shape[1] * shape[2]


def _rate(run: Callable[[], Any], shape: tuple[int, int, int]) -> float:
    """Operations a second: of `RUNS` rounds of some tenths of a second, the best."""
    run()
    best = 0.0
    for _ in range(RUNS):
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS / RUNS:
            run()
            count += CHAINED
        best = max(best, count * operations(shape) / (time.perf_counter() - start))
    return best


def copy(threads: int) -> float:
    """Bytes read and written a second, by a copy of more than the caches hold."""
    import torch

    torch.set_num_threads(threads)
    source = torch.ones(COPIED // 4)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(7):
        start = time.perf_counter()
        target.copy_(source)
        best = max(best, 2 * COPIED / (time.perf_counter() - start))
    return best


def with_torch(precision: str, rows: int, depth: int, columns: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if precision == "int8":
        a = torch.randint(-127, 127, (rows, depth), dtype=torch.int8)
        b = torch.randint(-127, 127, (depth, columns), dtype=torch.int8)
        return lambda: [torch._int_mm(a, b) for _ in range(CHAINED)]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    layer = torch.nn.Linear(depth, columns, bias=False, dtype=kind).eval()
    x = torch.randn(rows, depth, dtype=kind)

    @torch.inference_mode()
    def run() -> None:
        for _ in range(CHAINED):
            layer(x)

    return run


def with_openvino(precision: str, rows: int, depth: int, columns: int) -> Callable[[], Any]:
    import openvino
    from openvino import opset13 as ops

    random = np.random.default_rng(0)
    x = ops.parameter([rows, depth], np.float32)
    ends = []
    for _ in range(CHAINED):
        scaled = random.standard_normal((depth, columns)).astype(np.float32)
        source = x
        if precision == "int8":
            low, high = np.float32(-4), np.float32(4)
            source = ops.fake_quantize(x, low, high, low, high, 256)
            whole = ops.constant(np.clip(np.round(scaled * 30), -127, 127).astype(np.int8))
            weight = ops.multiply(ops.convert(whole, np.float32), ops.constant(np.float32(1 / 30)))
        else:
            weight = ops.constant(scaled)
        # The largest of each row: an output of all values would be written and copied.
        ends.append(ops.reduce_max(ops.matmul(source, weight, False, False), np.array([1]), True))
    model = openvino.Model(ends, [x], "products")
    hint = "bf16" if precision in ("bf16", "int8") else "f32"
    config = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(model, "CPU", config).create_infer_request()
    values = random.standard_normal((rows, depth)).astype(np.float32)
    return lambda: request.infer([values])


def with_onnxruntime(precision: str, rows: int, depth: int, columns: int) -> Callable[[], Any]:
    import onnxruntime
    from onnx import TensorProto, helper

    if precision == "bf16":
        raise ValueError("its CPU provider has no bf16")
    kind = TensorProto.INT8 if precision == "int8" else TensorProto.FLOAT
    given = TensorProto.UINT8 if precision == "int8" else TensorProto.FLOAT
    operator = "MatMulInteger" if precision == "int8" else "MatMul"
    random = np.random.default_rng(0)
    weight = (random.standard_normal((depth, columns)) * (30 if precision == "int8" else 1)).astype(
        np.int8 if precision == "int8" else np.float32
    )
    tensor = helper.make_tensor("w", kind, weight.shape, weight.tobytes(), raw=True)
    node = helper.make_node(operator, ["x", "w"], ["y"])
    result = TensorProto.INT32 if precision == "int8" else TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "products",
        [helper.make_tensor_value_info("x", given, [rows, depth])],
        [helper.make_tensor_value_info("y", result, [rows, columns])],
        [tensor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = random.integers(0, 255, (rows, depth)).astype(np.uint8 if precision == "int8" else np.float32)
    binding = session.io_binding()
    binding.bind_cpu_input("x", values)
    binding.bind_output("y")

    def run() -> None:
        for _ in range(CHAINED):
            session.run_with_iobinding(binding)

    return run


ENGINES = {"torch": with_torch, "openvino": with_openvino, "onnxruntime": with_onnxruntime}


if __name__ == "__main__":
    main()
