"""Which kernels take the time on this GPU, and how long is it idle?

    python benchmarks/gpu/kernels.py [--models NAMES] [--precisions fp16]

The models of ``speed.py``, and its bundles. PyTorch's profiler reads from CUPTI what the driver ran, whoever asked for
it: PyTorch eager, ONNX Runtime on the plain export, and on ours. Of each: milliseconds of a run by the clock, those in
which a kernel or a copy ran, and the kernels that took most.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import bundles
from harness import ROOT, Cell, Measure, Report, parser, run, selected, serve
from speed import MODELS, PRECISIONS, RECORDED, TRIAL, WARM_UP, Speed, described

SHAPES, TRIAL_SHAPES = ((5, 1), (15, 4)), ((1, 2),)
RUNS, SHOWN = 5, 30
COLUMNS = {
    "model": lambda cell: cell["model"],
    "precision": lambda cell: cell["precision"],
    "batch": lambda cell: f"{cell['batch']} x {cell['seconds']} s",
    "way": lambda cell: cell["way"],
    "by the clock": lambda cell: f"{cell['wall_ms']:.2f} ms",
    "busy": lambda cell: f"{cell['busy_ms']:.2f} ms",
    "launches": lambda cell: f"{cell['launches']:.0f}",
    "most": lambda cell: ", ".join(f"{each['ms']:.2f} {each['name'][:48]}" for each in cell["kernels"][:4]),
}


def measuring(job: Cell) -> Measure:
    """Task of a worker: one model in one precision."""
    speed = Speed(job)

    def measure(cell: Cell) -> Cell:
        inputs, _ = speed.inputs(cell)
        rows = []
        ways = speed.ways("sessions")
        ways.pop(RECORDED, None)  # a process that recorded after the profiler was seen to crash
        for name, make in ways.items():
            row: Cell = {"way": name}
            with speed.told(row):
                row |= profiled(speed, speed.opened_way(name, make), inputs)
            rows.append(row)
        return {"rows": rows}

    return measure


def profiled(speed: Speed, call: Any, inputs: Any) -> Cell:
    """One way to run a model: milliseconds and launches of one run."""
    from torch.profiler import ProfilerActivity, profile

    for _ in range(WARM_UP):
        call(inputs)
    start = time.perf_counter()
    for _ in range(RUNS):
        call(inputs)
    wall = (time.perf_counter() - start) / RUNS
    activity = ProfilerActivity.CUDA if speed.device == "gpu" else ProfilerActivity.CPU
    with profile(activities=[activity]) as recorded:
        for _ in range(RUNS):
            call(inputs)
        speed.wait()
    time_of = "self_device_time_total" if speed.device == "gpu" else "self_cpu_time_total"
    kernels = [
        {"name": each.key, "ms": getattr(each, time_of) / 1000 / RUNS, "launches": each.count / RUNS}
        for each in recorded.key_averages()
        if getattr(each, time_of)
    ]
    kernels.sort(key=lambda each: -each["ms"])
    return {
        "wall_ms": 1000 * wall,
        "busy_ms": sum(each["ms"] for each in kernels),
        "launches": sum(each["launches"] for each in kernels),
        "kernels": kernels[:SHOWN],
    }


def main() -> int:
    arguments = parser(__doc__, "kernels", 4, MODELS)
    arguments.set_defaults(bundles=ROOT / "build" / "gpu" / "speed")
    arguments.add_argument("--precisions", default=PRECISIONS[0], metavar="NAMES", help="default: %(default)s")
    options = arguments.parse_args()
    if options.job:
        return serve(options.job, {"build": bundles.build, "measure": measuring})
    models, precisions = selected(options, MODELS, PRECISIONS, TRIAL)
    shapes = TRIAL_SHAPES if options.device == "cpu" else SHAPES
    report = Report(options, __doc__)
    wanted = [described(model, precisions, options.device) for model in models]
    bundles.build_all(report, __file__, options, wanted)
    if options.build_only:
        return report.finish()
    jobs = [
        {
            "task": "measure",
            "device": options.device,
            "bundles": str(options.bundles),
            "described": described(model, precisions, options.device),
            "precision": precision,
            "cells": [
                {"model": model, "precision": precision, "seconds": seconds, "batch": batch}
                for seconds, batch in shapes
            ],
        }
        for model in models
        for precision in precisions
    ]
    run(report, "cells", __file__, jobs)
    report.show(COLUMNS)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
