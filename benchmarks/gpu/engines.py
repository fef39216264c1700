"""Which engines does this GPU take, what does TensorRT say of the others, and how long do they take to load?

    python benchmarks/gpu/engines.py --build-only        on any machine, with tensorrt-rtx and PyTorch
    python benchmarks/gpu/engines.py                     on one with a GPU: three minutes

The digits in fp16, one plan of TensorRT-RTX for each target and one for none in particular; where TensorRT is
installed, its plan for the GPU at hand. Of each: whether w2vc would run it by its identity, what TensorRT answers about
its first bytes (``get_engine_validity``), seconds to load and of the first two calls, and how far its answer is from
ONNX Runtime's on the CPU. What w2vc refuses by its identity is loaded all the same: does TensorRT refuse it, too?
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bundles
import numpy as np
from harness import Cell, Measure, Report, one_line, parser, run, serve
from plans import find, opened, refusal

from w2vc_runtime.bundle import Bundle, Engine
from w2vc_runtime.engines import BACKENDS
from w2vc_runtime.errors import W2vcError
from w2vc_runtime.sessions.select import open_session

DIGITS = "digits"
PRECISION = "fp16"
DEFAULT = "default"
TARGETS = (DEFAULT, *(f"sm{number}" for number in BACKENDS["tensorrt-rtx"].capabilities or ()))
SECONDS = 2.0
COLUMNS = {
    "backend": lambda cell: cell["backend"],
    "target": lambda cell: cell["target"],
    "MB": lambda cell: f"{cell['bytes'] / 1e6:.0f}",
    "by identity": lambda cell: "no" if cell["refused"] else "yes",
    "validity": lambda cell: cell["validity"] or "not asked",
    "load": lambda cell: f"{cell['load']:.2f} s",
    "first": lambda cell: f"{cell['calls'][0]:.3f} s",
    "second": lambda cell: f"{cell['calls'][1]:.3f} s",
    "differs": lambda cell: f"{cell['difference']:.1e}",
}


def described(here: bool) -> Cell:
    """The bundle, as `bundles` has it. here: whether TensorRT compiles for the GPU of this machine."""
    engines = [["tensorrt-rtx", [] if target == DEFAULT else [target], PRECISION] for target in TARGETS]
    return {
        "name": DIGITS,
        "checkpoint": DIGITS,
        "head": "ctc",
        "precisions": [PRECISION],
        "engines": [*engines, *([["tensorrt", [], PRECISION]] if here else [])],
        "verified": True,
    }


def validity(path: Path, engine: Engine) -> list[Any]:
    """What TensorRT says of a plan's first bytes: its name, and the reasons by number; None where it is not asked."""
    from w2vc_runtime.sessions.tensorrt.program import _runtime

    runtime, _ = _runtime(engine.backend)
    if not hasattr(runtime, "get_engine_validity"):
        return [None, None]
    with path.open("rb") as file:
        answer, reasons = runtime.get_engine_validity(file.read(runtime.engine_header_size))
    return [answer.name, int(reasons)]


def measuring(job: Cell) -> Measure:
    """Task of a worker: one plan."""
    bundle = Path(job["bundle"])
    read = Bundle.read(bundle)
    manifest = read.manifest

    def measure(cell: Cell) -> Cell:
        engine = find(manifest, cell, cell["backend"])
        gpu = job["device"] == "gpu"
        found: Cell = {"bytes": engine.size, "refused": refusal(bundle, engine)}
        found["validity"], found["reasons"] = validity(bundle / engine.file, engine) if gpu else (None, None)
        clip = 0.1 * np.random.default_rng(0).standard_normal(int(SECONDS * 16000)).astype(np.float32)
        inputs = read.interface.feed([clip])
        with tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            start = time.perf_counter()
            try:
                session = opened(bundle, manifest, engine, job["device"])
            except W2vcError as error:  # and what TensorRT said of it stays
                return {**found, "problem": one_line(error)}
            found["load"], found["calls"] = time.perf_counter() - start, []
            for _ in range(2):
                start = time.perf_counter()
                answer = session.run(inputs)["logits"]
                found["calls"].append(time.perf_counter() - start)
            session.close()
        expected = open_session(read.file(read.graph(PRECISION)), "cpu", PRECISION).run(inputs)["logits"]
        return {**found, "difference": float(np.abs(answer - expected).max() / np.abs(expected).max())}

    return measure


def main() -> int:
    options = parser(__doc__, "engines", 3, (DIGITS,)).parse_args()
    if options.job:
        return serve(options.job, {"build": bundles.build, "measure": measuring})
    report = Report(options, __doc__)
    here = options.device == "gpu" and not options.build_only and find_spec("tensorrt") is not None
    bundles.build_all(report, __file__, options, [described(here)])
    if options.build_only:
        return report.finish()
    cells = [{"backend": "tensorrt-rtx", "target": target} for target in TARGETS]
    cells += [{"backend": "tensorrt", "target": "here"}] if here else []
    jobs = [
        {
            "task": "measure",
            "device": options.device,
            "bundle": str(options.bundles / DIGITS),
            "cells": [{"precision": PRECISION, **cell}],
        }
        for cell in cells
    ]
    run(report, "cells", __file__, jobs)
    report.show(COLUMNS)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
