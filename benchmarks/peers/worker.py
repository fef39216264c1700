"""Run one peer's file in the peer's environment: make a model, or time it when told to.

    python worker.py make JOB.json
    python worker.py serve JOB.json

A file has ``make(checkpoint, target, name, shapes)``, where ``target`` is a directory and ``shapes`` are those of the
clips that a model for one length is made for, and ``Engine(checkpoint, target, settings)`` with ``prepare(clips)``,
which is not timed, and ``run(prepared)``, which gives the logits [frames, tokens] of each clip, or its text. A clip has
``samples`` at 16 kHz, and ``values``, the input that Hugging Face's feature extractor makes of them. Only what the
peers' environments all have is used here: the standard library and numpy.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

# Standard output has answers only, one JSON object a line; what libraries print goes with the errors.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)


@dataclass(frozen=True)
class Clip:
    samples: np.ndarray
    values: np.ndarray


def main() -> None:
    os.dup2(2, 1)
    job = json.loads(Path(sys.argv[2]).read_text())
    os.sched_setaffinity(0, job["cores"])  # what some of them take their number of threads from
    if sys.argv[1] == "make":
        with _told("make"):
            make(job)
    else:
        serve(job)


def make(job: dict[str, Any]) -> None:
    start = time.perf_counter()
    shapes = [tuple(shape) for shape in job["shapes"]]
    _module(job["file"]).make(Path(job["checkpoint"]), Path(job["target"]), job["name"], shapes)
    tell({"seconds": time.perf_counter() - start, "peak": peak()})


def serve(job: dict[str, Any]) -> None:
    start = time.perf_counter()
    with _told("start"):
        module = _module(job["file"])
        imported = time.perf_counter()
        engine = module.Engine(Path(job["checkpoint"]), Path(job["target"]), {**job["settings"], **job["given"]})
        tell({"import": imported - start, "load": time.perf_counter() - imported})
    prepared: dict[str, Any] = {}
    for line in sys.stdin:
        with _told("run"):
            tell(_run(engine, json.loads(line), prepared))


def _run(engine: Any, order: dict[str, Any], prepared: dict[str, Any]) -> dict[str, Any]:
    """Time a cell; the first run of it, which ``output`` marks, gives its results."""
    name = order["cell"]
    if name not in prepared:
        with np.load(order["clips"]) as arrays:
            count = len(arrays.files) // 2
            clips = [Clip(arrays[f"samples_{index}"], arrays[f"values_{index}"]) for index in range(count)]
        prepared.clear()  # one cell at a time
        prepared[name] = engine.prepare(clips)
    if not order.get("output"):
        engine.run(prepared[name])  # not timed: what the other engines left in the caches is not this one's
    start, used = time.perf_counter(), time.process_time()
    results = engine.run(prepared[name])
    seconds, processor = time.perf_counter() - start, time.process_time() - used
    if order.get("output"):
        if isinstance(results[0], str):
            Path(order["output"]).with_suffix(".json").write_text(json.dumps(results))
        else:
            np.savez(order["output"], **{str(index): np.asarray(each) for index, each in enumerate(results)})
    found = {"seconds": seconds, "processor": processor, "resident": resident(), "peak": peak()}
    return {**found, **installed()} if order.get("output") else found


def installed() -> dict[str, Any]:
    """Bytes on disk of the packages that this process has loaded, and their versions."""
    owners = packages_distributions()
    names = {name for module in list(sys.modules) for name in owners.get(module.partition(".")[0], ())}
    size = 0
    for name in names:
        for file in distribution(name).files or ():
            with contextlib.suppress(OSError):
                size += Path(str(file.locate())).stat().st_size
    return {"installed": size, "versions": {name: version(name) for name in sorted(names)}}


def resident() -> int:
    """Bytes in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """Most bytes that were in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


def tell(answer: dict[str, Any]) -> None:
    ANSWERS.write(f"{json.dumps(answer)}\n")


@contextlib.contextmanager
def _told(what: str) -> Any:
    """A failure is an answer too, in one line."""
    try:
        yield
    except BaseException as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        tell({"problem": f"{what}: {type(error).__name__}: {lines[0] if lines else 'no message'}"[:300]})
        if not isinstance(error, Exception):
            raise


def _module(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("peer", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
