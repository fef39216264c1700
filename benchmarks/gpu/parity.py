"""Are the GPU's providers within budget, for every family, position kind and head?

    python benchmarks/gpu/parity.py --build-only --jobs 8         the tiny bundles of the matrix, without a GPU
    python benchmarks/gpu/parity.py --jobs 8 [--providers cuda]

The matrix is that of tests/support/oracle.py (needs PyTorch and transformers). Each bundle is verified on each provider
in each precision as ``w2vc verify`` does, on what PyTorch computed when it was exported, within the budgets of its
manifest. Providers ``tensorrt-rtx`` and ``tensorrt`` run engines, which are built where the package of that name is
installed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import bundles
from harness import Cell, Measure, Report, chosen, parser, run, serve, table
from plans import TINY as ARCHITECTURES

from w2vc_runtime.verify.again import verify_bundle

PROVIDERS = ("cuda", "tensorrt-rtx", "tensorrt")
# What compiles engines for a provider: the module without which there are none, and cells say so.
MODULES = {"tensorrt-rtx": "tensorrt_rtx", "tensorrt": "tensorrt"}
PRECISIONS = ("fp32", "fp16", "bf16")
COLUMNS = {
    "model": lambda cell: cell["model"],
    "provider": lambda cell: cell["provider"],
    "precision": lambda cell: cell["precision"],
    "difference": lambda cell: "NaN" if cell["difference"] is None else f"{cell['difference']:.1e}",
    "allowed": lambda cell: f"{cell['budget']['difference']:.0e}",
    "same choices": lambda cell: f"{cell['same']:.2%}",
    "verdict": lambda cell: "passed" if cell["passed"] else f"failed: {cell['problems'][0]}",
}


def cells(architectures: list[str], quick: bool) -> list[list[str]]:
    """The matrix, what says most first: every position kind, then every head, then the options."""
    from support.oracle import CLASSES, OPTIONS, fronts, matrix

    every = [cell for cell in matrix() if cell.architecture in architectures]
    options, heads = list(OPTIONS), ["ctc", *(head for head in CLASSES if head != "ctc")]
    every.sort(key=lambda cell: (options.index(cell.option), heads.index(cell.head), cell.norm == "group"))
    if quick:  # each architecture with its usual front end
        every = [cell for cell in every if (cell.head, cell.option, cell.norm) == ("ctc", "plain", fronts(cell[0])[-1])]
    return [list(cell) for cell in every]


def described(cell: list[str], compilers: list[str]) -> Cell:
    """A bundle, as `bundles` has it."""
    engines = [[backend, [], precision] for backend in compilers for precision in PRECISIONS]
    return bundles.of_cell(cell, PRECISIONS, engines)


def measuring(job: Cell) -> Measure:
    """Task of a worker: one bundle on one provider."""

    def measure(cell: Cell) -> Cell:
        (outcome,) = verify_bundle(Path(job["bundle"]), job["provider"], cell["precision"])
        found: Cell = {"ran": outcome.provider, "budget": asdict(outcome.certified.budget)}
        if outcome.verdict is None:
            return {**found, "problem": outcome.reason}
        return {
            **found,
            "difference": outcome.verdict.difference,
            "same": outcome.verdict.same,
            "passed": not outcome.problems,
            "problems": outcome.problems,
        }

    return measure


def summary(found: list[Cell]) -> str:
    """Family by precision and provider: how many passed, and how near to its budget the worst came."""
    groups: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in found:
        groups[cell["architecture"], cell["precision"], cell["provider"]].append(cell)
    rows = [["architecture", "precision", "provider", "passed", "failed", "not run", "worst difference, of allowed"]]
    for key, group in sorted(groups.items()):
        judged = [cell for cell in group if "passed" in cell]
        passed = sum(cell["passed"] for cell in judged)
        worst = max((_used(cell) for cell in judged), default=None)
        counts = [passed, len(judged) - passed, len(group) - len(judged)]
        rows.append([*key, *map(str, counts), "-" if worst is None else f"{worst:.0%}"])
    return table(rows)


def _used(cell: Cell) -> float:
    """What a difference uses of its budget; infinite for NaN."""
    return float("inf") if cell["difference"] is None else cell["difference"] / cell["budget"]["difference"]


def main() -> int:
    arguments = parser(__doc__, "parity", 9, ARCHITECTURES)
    arguments.add_argument("--providers", default=",".join(PROVIDERS), metavar="NAMES", help="default: %(default)s")
    options = arguments.parse_args()
    if options.job:
        return serve(options.job, {"build": bundles.build, "measure": measuring})
    architectures = chosen(options.models, ARCHITECTURES, "--models")
    providers = ["cpu"] if options.device == "cpu" else chosen(options.providers, PROVIDERS, "--providers")
    report = Report(options, __doc__)
    compilers = [name for name in providers if name in MODULES and find_spec(MODULES[name])]
    matrix = [(cell, described(cell, compilers)) for cell in cells(architectures, options.quick)]
    bundles.build_all(report, __file__, options, [bundle for _, bundle in matrix])
    if options.build_only:
        return report.finish()
    jobs = [
        {
            "task": "measure",
            "bundle": str(options.bundles / bundle["name"]),
            "provider": provider,
            "cells": [
                {"model": bundle["name"], "architecture": cell[0], "provider": provider, "precision": precision}
                for precision in PRECISIONS
            ],
        }
        for cell, bundle in matrix
        for provider in providers
    ]
    run(report, "cells", __file__, jobs, options.jobs)
    report.show(COLUMNS)
    print(summary(report.cells))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
