"""The bundles that the scripts measure: exported and compiled where they are not there yet, which needs no GPU.

A bundle is described by a dict: ``name``; ``checkpoint``, the name of one that the package carries, or of random ones
``{"cell": ...}``, a tiny one of the parity matrix, and ``{"published": NAME, "layers": N}``; ``head``; ``precisions``;
``engines``, of each backend, targets and precision; ``verified``: whether it is for verification, which wants engines
of one profile up to 13 s, or for timing, which wants the usual ones, and for which the gate need see no more than one
case; ``plain``, precisions in which Hugging Face's model is exported beside it; and ``form``, another way to write the
model down (`support.forms`), where there is one.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stderr
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness import Cell, Measure, Report, one_line, run

from w2vc_runtime.bundle import FILE_NAME, Bundle, Manifest
from w2vc_runtime.engines import BACKENDS, EngineOptions, compile_bundle
from w2vc_runtime.errors import W2vcError

# Longest of the cases that a bundle is verified on, and a little more; most clips of one of them.
VERIFIED_SECONDS, VERIFIED_CLIPS = 13, 4
PROFILE = "seconds={least!r}:2:{most},batch=1:2:{clips}"


def of_cell(cell: Sequence[str], precisions: Sequence[str], engines: Sequence[Any]) -> Cell:
    """A tiny model of the parity matrix: architecture, norm, head and option."""
    name = "-".join(cell).replace(" ", "-")
    checkpoint = {"cell": list(cell)}
    return {
        "name": name,
        "checkpoint": checkpoint,
        "head": cell[2],
        "precisions": list(precisions),
        "engines": list(engines),
        "verified": True,
    }


def complete(folder: Path, bundle: Cell) -> bool:
    """Whether all of a bundle is there."""
    manifest = exported(folder / bundle["name"], bundle["precisions"])
    return manifest is not None and not missing_engines(manifest, bundle) and not missing_plain(folder, bundle)


def exported(path: Path, precisions: Sequence[str]) -> Manifest | None:
    """The manifest of a bundle with graphs in these precisions; None where this w2vc reads no such bundle there."""
    try:
        manifest = Bundle.read(path).manifest
    except W2vcError:
        return None
    return manifest if {graph.precision for graph in manifest.graphs} >= set(precisions) else None


def missing_engines(manifest: Manifest, bundle: Cell) -> list[Any]:
    """Those of TensorRT are for the GPU of the machine, whatever that is."""
    there = {
        (engine.backend, engine.targets if BACKENDS[engine.backend].names_targets else (), engine.precision)
        for engine in manifest.engines
    }
    return [each for each in bundle["engines"] if (each[0], tuple(each[1]), each[2]) not in there]


def missing_plain(folder: Path, bundle: Cell) -> list[str]:
    return [each for each in bundle.get("plain", ()) if not plain_path(folder, bundle["name"], each).is_file()]


def plain_path(folder: Path, name: str, precision: str) -> Path:
    """Where the plain export of a model is."""
    return folder / f"{name}-plain" / f"{precision}.onnx"


def build_all(report: Report, script: str, options: argparse.Namespace, wanted: Sequence[Cell]) -> None:
    """Complete bundles, each in a process of its own. What cannot be built is told, and what needs it says so again."""
    folder = options.bundles
    jobs = [
        {"task": "build", "folder": str(folder), "described": bundle, "cells": [{"bundle": bundle["name"]}]}
        for bundle in wanted
        if not complete(folder, bundle)
    ]
    # TensorRT measures kernels on the GPU as it builds: two builds at once would measure each other.
    measures = any(not BACKENDS[backend].names_targets for bundle in wanted for backend, *_ in bundle["engines"])
    run(report, "builds", script, jobs, 1 if measures else options.jobs)


def build(job: Cell) -> Measure:
    """Task of a worker: complete a bundle."""
    return lambda cell: ensure(Path(job["folder"]), job["described"])


def ensure(folder: Path, bundle: Cell) -> Cell:
    """Make what is missing of a bundle; ``problem`` says what could not be made."""
    start, problems = time.perf_counter(), []
    path = folder / bundle["name"]
    if exported(path, bundle["precisions"]) is None:
        if (path / FILE_NAME).is_file():  # one of another version, or with other precisions
            shutil.rmtree(path)
        _export(path, bundle)
    manifest = Bundle.read(path).manifest
    for backend, targets, precision in missing_engines(manifest, bundle):
        profiles = (_profile(manifest),) if bundle["verified"] else ()
        try:
            compile_bundle(path, EngineOptions(tuple(targets), profiles, backend), precision)
        except W2vcError as error:
            problems.append(one_line(error))
    for precision in missing_plain(folder, bundle):
        try:
            _export_plain(plain_path(folder, bundle["name"], precision), bundle, precision)
        except Exception as error:  # of torch, of many kinds
            problems.append(f"plain export in {precision}: {one_line(error)}")
    size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    found = {"seconds": round(time.perf_counter() - start, 1), "bytes": size}
    return {**found, "problem": "; ".join(problems)} if problems else found


def _profile(manifest: Manifest) -> str:
    least = manifest.shortest / manifest.features.sampling_rate
    return PROFILE.format(least=least, most=VERIFIED_SECONDS, clips=VERIFIED_CLIPS)


def _export(path: Path, bundle: Cell) -> None:
    import w2vc_runtime.bench.measure
    from w2vc_exporter import ExportOptions, export
    from w2vc_exporter.precision.drift import CASE
    from w2vc_runtime.verify import cases

    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint, arguments = bundle["checkpoint"], {}
    with ExitStack() as stack:
        if bundle.get("form"):
            from support.forms import FORMS

            stack.enter_context(FORMS[bundle["form"]].context())
        # The times of this machine's CPU are of no interest.
        stack.enter_context(patch.object(w2vc_runtime.bench.measure, "SECONDS", (1.0,)))
        if not bundle["verified"]:  # the gate on a large model would take most of the time
            stack.enter_context(patch.dict(cases.CASES, {CASE: cases.CASES[CASE]}, clear=True))
            stack.enter_context(patch.dict(cases.GAINS, clear=True))
            arguments["budget"] = "tokens=0%,difference=1"
        if not isinstance(checkpoint, str):
            from support.oracle import save

            scratch = stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent))
            checkpoint = save(model(bundle), Path(scratch))
        precision = ",".join(bundle["precisions"])
        export(ExportOptions(checkpoint, head=bundle["head"], precision=precision, output=path, **arguments))


def model(bundle: Cell) -> Any:
    """Hugging Face's model of a random checkpoint, with the same weights every time."""
    from support import oracle
    from support.published import LETTER_HEAD, PUBLISHED

    source = bundle["checkpoint"]
    if "cell" in source:
        cell = oracle.Cell(*source["cell"])
        return oracle.build(cell.architecture, cell.head, **{**oracle.TINY, **oracle.BRIEF, **cell.config})
    architecture, _, config = PUBLISHED[source["published"]]
    return oracle.build(architecture, "ctc", **{**config, **LETTER_HEAD, "num_hidden_layers": source["layers"]})


def _export_plain(path: Path, bundle: Cell, precision: str) -> None:
    """What ``torch.onnx.export`` makes of Hugging Face's model without a mask, batch and length dynamic."""
    import torch

    from support.oracle import clips, spectra

    theirs = model(bundle).to(dtype(precision))
    theirs.set_attn_implementation("eager")  # the default, sdpa, fails to export
    batch = spectra(100, 100) if theirs.main_input_name == "input_features" else clips(32000, 32000)
    values = torch.stack([torch.from_numpy(clip) for clip in batch]).to(dtype(precision))
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    scratch = path.parent.with_name(f".{path.parent.name}-{precision}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with redirect_stderr(None):
        torch.onnx.export(
            theirs,
            (values,),
            scratch / path.name,
            dynamo=True,
            opset_version=20,
            input_names=[theirs.main_input_name],
            dynamic_shapes=(dynamic,),
            verbose=False,
        )
    path.parent.mkdir(exist_ok=True)
    for file in sorted(scratch.iterdir(), reverse=True):  # the data first
        file.replace(path.parent / file.name)
    scratch.rmdir()


def dtype(precision: str) -> Any:
    """PyTorch's type of a precision."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
