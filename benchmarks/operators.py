"""Which operators take the time in OpenVINO, of ours and of a peer's graph?

    python benchmarks/operators.py PATH [PATH ...] [--precision f32] [--seconds 10] [--static] [--shown 8]

A path is a bundle, or a model in OpenVINO's own form (``.xml``), as ``compare.py`` leaves under ``build/peers/models``.
Shares are of the time that OpenVINO gives for each operator (``PERF_COUNT``), medians of several runs, by the name that
its CPU plugin has for the kind.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from w2vc_runtime.bundle import Bundle

RUNS = 7
RATE = 16000


def inputs_of(path: Path, model: Any, seconds: float) -> dict[str, np.ndarray]:
    """One clip of noise, as a bundle is fed, or as the inputs of a model are shaped."""
    clip = (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)
    if path.is_dir():
        return Bundle.read(path).interface.feed([clip])
    (port,) = model.inputs
    shape = [1, len(clip)] if len(port.partial_shape) == 2 else [1, round(seconds * 50), 160]
    if port.partial_shape.is_static:
        shape = list(port.shape)
    return {port.any_name: np.resize(clip, shape)}


def taken(path: Path, precision: str, seconds: float, static: bool) -> tuple[Counter[str], Counter[str]]:
    """Milliseconds, and how many there are, by kind of operator. static: compiled for that one length."""
    core = openvino.Core()
    file = path
    if path.is_dir():
        bundle = Bundle.read(path)
        wanted = {"f32": "fp32", "bf16": "bf16"}.get(precision, precision)
        has = {graph.precision for graph in bundle.manifest.graphs}
        file = bundle.file(bundle.graph(wanted if wanted in has else None))
    hint = "f32" if precision == "f32" else "bf16"
    model = core.read_model(file)
    inputs = inputs_of(path, model, seconds)
    if static:
        model.reshape({name: list(value.shape) for name, value in inputs.items()})
    compiled = core.compile_model(
        model, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint, "PERF_COUNT": True}
    )
    request = compiled.create_infer_request()
    times: dict[str, list[float]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for run in range(RUNS):
        request.infer(inputs)
        sums: Counter[str] = Counter()
        counts.clear()
        for each in request.profiling_info:
            if each.real_time.total_seconds():
                sums[each.node_type] += each.real_time.total_seconds() * 1000
                counts[each.node_type] += 1
        for kind, total in sums.items() if run else ():  # the first makes what the others use
            times[kind].append(total)
    return Counter({kind: statistics.median(each) for kind, each in times.items()}), counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="+")
    parser.add_argument("--precision", choices=("f32", "bf16", "int8"), default="f32", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the clip; default: %(default)s")
    parser.add_argument("--static", action="store_true", help="compile for that one length")
    parser.add_argument("--shown", type=int, default=8, help="kinds of operators; default: %(default)s")
    options = parser.parse_args()
    length = f"{options.seconds:g} s{', for that length' if options.static else ''}"
    print(f"OpenVINO {openvino.__version__}, {options.precision}, {length}")
    for path in options.path:
        times, counts = taken(path, options.precision, options.seconds, options.static)
        whole = sum(times.values())
        rows = [f"{kind} {time / whole:.0%} ({counts[kind]})" for kind, time in times.most_common(options.shown)]
        print(f"{path}: {whole:.0f} ms; {', '.join(rows)}")


if __name__ == "__main__":
    main()
