"""Do plans that were built without a GPU load and run here, and is what they compute right?

    python benchmarks/gpu/plans.py --build-only --bundles DIR     on any machine, with tensorrt-rtx and PyTorch
    python benchmarks/gpu/plans.py --bundles DIR                  on one with a GPU; needs no PyTorch

Each plan is of TensorRT-RTX, for one target. ``for here`` is what its identity in the manifest says; TensorRT itself is
asked whatever that says. Load, first and second call are of a session whose kernel cache is empty, then of another that
finds what the first kept. Parity is on the cases that the bundle was verified on, within its budget.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import bundles
from harness import Cell, Measure, Report, chosen, one_line, parser, run, serve

from w2vc_runtime.bundle import Bundle, Engine, Manifest
from w2vc_runtime.errors import W2vcError
from w2vc_runtime.sessions.select import open_session
from w2vc_runtime.verify import expectations
from w2vc_runtime.verify.parity import verify

BACKEND = "tensorrt-rtx"
CARRIED = ("digits", "digits-bert")
# Tiny random models: every family and position kind of tests/support/oracle.py.
TINY = (
    "wav2vec2", "wav2vec2-stable", "conformer-relative", "conformer-rotary", "conformer-none",
    "bert-relative_key", "bert-relative", "bert-rotary", "bert-none",
)  # fmt: skip
PRECISIONS = ("fp32", "fp16", "bf16")
DEFAULT = "default"
TARGETS = (DEFAULT, "sm80", "sm86", "sm89")
QUICK_MODELS, QUICK_TARGETS = ("digits", "bert-relative_key"), (DEFAULT, "sm89")
TIMED_CASE = "3.1 s"
RUNS = 20
COLUMNS = {
    "model": lambda cell: cell["model"],
    "precision": lambda cell: cell["precision"],
    "target": lambda cell: cell["target"],
    "MB": lambda cell: f"{cell['bytes'] / 1e6:.0f}",
    "for here": lambda cell: "no" if cell["refused"] else "yes",
    "load": lambda cell: _seconds(cell["cold"], "load"),
    "first": lambda cell: _seconds(cell["cold"], "first"),
    "load again": lambda cell: _seconds(cell["warm"], "load"),
    "first again": lambda cell: _seconds(cell["warm"], "first"),
    "then": lambda cell: f"{1000 * cell['warm']['median']:.2f} ms",
    "difference": lambda cell: "NaN" if cell["difference"] is None else f"{cell['difference']:.1e}",
    "allowed": lambda cell: f"{cell['budget']['difference']:.0e}",
    "same choices": lambda cell: f"{cell['same']:.2%}",
    "verdict": lambda cell: "passed" if cell["passed"] else f"failed: {cell['problems'][0]}",
}


def targets(model: str, quick: bool) -> tuple[str, ...]:
    """What a model is built for: every target the digits, to find out which run, the others for the default."""
    if model != CARRIED[0]:
        return (DEFAULT,)
    return QUICK_TARGETS if quick else TARGETS


def described(model: str, quick: bool) -> Cell:
    """A bundle, as `bundles` has it."""
    engines = [[BACKEND, names(t), p] for t in targets(model, quick) for p in PRECISIONS]
    if model in CARRIED:
        return {
            "name": model,
            "checkpoint": model,
            "head": "ctc",
            "precisions": PRECISIONS,
            "engines": engines,
            "verified": True,
        }
    norm = "log-mel" if model.startswith("bert") else "layer"
    return bundles.of_cell([model, norm, "ctc", "plain"], PRECISIONS, engines)


def names(target: str) -> list[str]:
    """A target as a manifest has it."""
    return [] if target == DEFAULT else [target]


def measuring(job: Cell) -> Measure:
    """Task of a worker: one plan after the other."""
    bundle = Path(job["bundle"])
    manifest = Bundle.read(bundle).manifest
    references, chosen_output = expectations.read(Bundle(bundle, manifest))
    if job["device"] == "gpu":  # what starts once a process is no part of loading a plan
        from w2vc_runtime.engines.identity import module_of
        from w2vc_runtime.sessions.tensorrt.cuda import Device

        module_of(BACKEND)
        Device.open()
    (timed,) = (reference.inputs for reference in references if reference.case == TIMED_CASE)

    def measure(cell: Cell) -> Cell:
        engine = find(manifest, cell)
        found: Cell = {"bytes": engine.size, "refused": None if job["device"] == "cpu" else refusal(bundle, engine)}
        with tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            for state in ("cold", "warm"):
                start = time.perf_counter()
                session = opened(bundle, manifest, engine, job["device"])
                found[state] = {"load": time.perf_counter() - start, **calls(session, timed)}
            budget = manifest.verification[engine.precision].budget
            verdict = verify(session, references, budget, chosen_output)
            del session  # which keeps its kernels once more as it goes
        return {
            **found,
            "difference": verdict.difference,
            "budget": {"difference": budget.difference, "choices": budget.choices},
            "same": verdict.same,
            "passed": not verdict.problems,
            "problems": verdict.problems,
        }

    return measure


def find(manifest: Manifest, cell: Cell, backend: str = BACKEND) -> Engine:
    """The plan of a cell; raise `LookupError` where the bundle does not have it. TensorRT's is for the GPU here."""
    for engine in manifest.engines:
        if (engine.backend, engine.precision) == (backend, cell["precision"]) and (
            backend != BACKEND or list(engine.targets) == names(cell["target"])
        ):
            return engine
    raise LookupError("the bundle has no such plan")


def refusal(bundle: Path, engine: Engine) -> str | None:
    """Why w2vc would not run a plan here, by its identity; None if it would."""
    from w2vc_runtime.engines.identity import find_engine

    manifest = replace(Bundle.read(bundle).manifest, engines=(engine,))
    try:
        find_engine(Bundle(bundle, manifest), engine.precision, engine.backend)
    except W2vcError as error:
        return one_line(error)
    return None


def opened(bundle: Path, manifest: Manifest, engine: Engine, device: str) -> Any:
    """A session on the plan, whatever it was built for; on the CPU one on its graph instead."""
    if device == "cpu":
        read = Bundle(bundle, manifest)
        return open_session(read.file(read.graph(engine.precision)), "cpu", engine.precision)
    from w2vc_runtime.sessions.tensorrt.session import EngineSession

    return EngineSession(Bundle(bundle, manifest), engine)


def calls(session: Any, inputs: Any) -> Cell:
    """Seconds of the first call, the second, and the median of some more."""
    taken = []
    for _ in range(2 + RUNS):
        start = time.perf_counter()
        session.run(inputs)
        taken.append(time.perf_counter() - start)
    return {"first": taken[0], "second": taken[1], "median": statistics.median(taken[2:])}


def _seconds(times: Cell, name: str) -> str:
    return f"{times[name]:.2f} s"


def main() -> int:
    arguments = parser(__doc__, "plans", 9, (*CARRIED, *TINY))
    options = arguments.parse_args()
    if options.job:
        return serve(options.job, {"build": bundles.build, "measure": measuring})
    models = chosen(options.models, (*CARRIED, *TINY), "--models")
    if options.quick:
        models = [model for model in models if model in QUICK_MODELS] or models[:1]
    report = Report(options, __doc__)
    wanted = {model: described(model, options.quick) for model in models}
    bundles.build_all(report, __file__, options, list(wanted.values()))
    if options.build_only:
        return report.finish()
    jobs = [
        {
            "task": "measure",
            "device": options.device,
            "bundle": str(options.bundles / wanted[model]["name"]),
            "cells": [{"model": model, "target": target, "precision": precision} for precision in PRECISIONS],
        }
        for model in models
        for target in targets(model, options.quick)
    ]
    run(report, "cells", __file__, jobs)
    report.show(COLUMNS)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
