"""What does TensorRT make of the layers, by its own account, in one build with detailed verbosity?

    python benchmarks/gpu/layers.py

The digits in fp16, built by TensorRT where it is installed, else by TensorRT-RTX, for one profile: how many layers the
plan has of each type and in each precision, which are fused attention, activation memory, what the builder warned of.
Its own list of layers is asked of a loaded plan (``EngineInspector``), and goes into a file beside the JSON. On a CPU
the builder is TensorRT-RTX for sm89, and there is no list: kernels are counted in the plan's text.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bundles
from harness import Cell, Measure, Report, parser, run, serve

from w2vc_runtime.bundle import Bundle
from w2vc_runtime.engines import BACKENDS, worker
from w2vc_runtime.engines.profiles import OptimizationProfile

DIGITS, PRECISION = "digits", "fp16"
PROFILE = "seconds=0.5:5:10,batch=1:4:8"
TARGET = "SM89"
COLUMNS = {
    "backend": lambda cell: cell["backend"],
    "network": lambda cell: str(cell["network_layers"]),
    "plan": lambda cell: "-" if cell["layers"] is None else str(sum(cell["layers"].values())),
    "attention kernels": lambda cell: str(cell["fused"]),
    "kernels": lambda cell: str(cell["kernels"]),
    "MB a call": lambda cell: f"{cell['activation_bytes'] / 1e6:.1f}",
}


def measuring(job: Cell) -> Measure:
    """Task of a worker: one build."""

    def measure(cell: Cell) -> Cell:
        from support.fusion import fused_attention, kernels

        tensorrt: Any = import_module(BACKENDS[cell["backend"]].module)
        log, read = worker.Log(tensorrt), Bundle.read(Path(job["bundle"]))
        builder = tensorrt.Builder(log.logger)
        network = worker.parse(tensorrt, builder, log, str(read.file(read.graph(PRECISION))))
        worker.take_lengths(tensorrt, network)
        shapes = worker.with_lengths(OptimizationProfile.parse(PROFILE).entry(read.interface).shapes)
        named = job["device"] == "cpu" and BACKENDS[cell["backend"]].names_targets
        config = worker.configure(tensorrt, builder, log, {"profiles": [shapes], "targets": [TARGET] if named else []})
        config.profiling_verbosity = tensorrt.ProfilingVerbosity.DETAILED
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise worker.Refusal(log.reason())
        text = bytes(plan)
        found: Cell = {
            "network_layers": network.num_layers,
            "fused": fused_attention(text),
            "kernels": kernels(text),
            "activation_bytes": log.activation_bytes(),
            "said": [text for severity, text in log.lines if severity in worker.FAILURES],
            "layers": None,
        }
        if job["device"] == "gpu":
            found |= listed(tensorrt, log, plan, Path(job["output"]))
        return found

    return measure


def listed(tensorrt: Any, log: worker.Log, plan: Any, output: Path) -> Cell:
    """The layers of a loaded plan by type and precision, and where all that TensorRT says of them is."""
    engine = tensorrt.Runtime(log.logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise worker.Refusal(log.reason())
    said = engine.create_engine_inspector().get_engine_information(tensorrt.LayerInformationFormat.JSON)
    path = output.with_name(f"{output.stem}-engine.json")
    path.write_text(said, encoding="utf-8")
    layers = [each for each in json.loads(said)["Layers"] if isinstance(each, dict)]
    kinds = Counter(each.get("LayerType", "?") for each in layers)
    types = Counter(str(value.get("Format/Datatype", "?")) for each in layers for value in each.get("Outputs", []))
    return {"layers": dict(kinds), "outputs": dict(types), "file": path.name}


def main() -> int:
    options = parser(__doc__, "layers", 5, (DIGITS,)).parse_args()
    if options.job:
        return serve(options.job, {"build": bundles.build, "measure": measuring})
    report = Report(options, __doc__)
    described = {
        "name": DIGITS, "checkpoint": DIGITS, "head": "ctc", "precisions": [PRECISION], "engines": [], "verified": True,
    }  # fmt: skip
    bundles.build_all(report, __file__, options, [described])
    if options.build_only:
        return report.finish()
    full = options.device == "gpu" and find_spec(BACKENDS["tensorrt"].module) is not None
    job = {
        "task": "measure",
        "device": options.device,
        "bundle": str(options.bundles / DIGITS),
        "output": str(options.output),
        "cells": [{"backend": "tensorrt" if full else "tensorrt-rtx"}],
    }
    run(report, "cells", __file__, [job])
    report.show(COLUMNS)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
