"""What the scripts share: options, the machine, jobs in processes of their own, and results that are kept as they come.

A script is its own worker: ``main`` starts it again with ``--job`` for each group of cells, so that what a native
library aborts on, or what takes too long, costs that group and no more. The worker prints one line a cell.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / room) for room in ("model", "exporter", "runtime")]
sys.path.append(str(ROOT / "tests"))

PACKAGES = (
    "w2vc", "numpy", "torch", "triton", "transformers", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu",
    "tensorrt-rtx", "tensorrt", "cuda-bindings",
)  # fmt: skip
QUERY = {"name": "name", "compute_cap": "capability", "driver_version": "driver", "memory.total": "memory_mib"}
MARK = "@cell "
TRIAL = "cpu: a trial of the script, no answer to its question"
WRONG_INPUT = 2

Cell = dict[str, Any]
Measure = Callable[[Cell], Cell]
"""From what identifies a cell to what was found: plain data, or several such as ``rows``."""
Task = Callable[[Cell], Measure]
"""What a worker does; made once for a job."""


def parser(description: str | None, name: str, minutes: float, models: Sequence[str]) -> argparse.ArgumentParser:
    """The options that every script has."""
    result = argparse.ArgumentParser(
        prog=f"benchmarks/gpu/{name}.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--quick", action="store_true", help="the few cells that say the most")
    add("--models", default=",".join(models), metavar="NAMES", help="default: %(default)s")
    add("--device", choices=("gpu", "cpu"), default="gpu", help="cpu tries the script itself, and answers nothing")
    add("--bundles", type=Path, default=ROOT / "build" / "gpu" / name, metavar="DIR", help="default: %(default)s")
    add("--build-only", action="store_true", help="build the bundles that DIR lacks and stop; needs no GPU")
    add("--jobs", type=int, default=1, metavar="N", help="bundles built at once; default: %(default)s")
    add("--minutes", type=float, default=minutes, help="what is not done by then is left out; default: %(default)s")
    output = ROOT / "benchmarks" / "gpu" / "results" / f"{name}.json"
    add("--output", type=Path, default=output, metavar="FILE", help="default: %(default)s")
    add("--job", help=argparse.SUPPRESS)
    return result


def chosen(names: str, known: Sequence[str], option: str) -> list[str]:
    """What a list with commas names; exit where it names something else."""
    result = [name.strip() for name in names.split(",")]
    for name in result:
        if name not in known:
            refuse(f"{option} {name!r} is unknown; known: {', '.join(known)}")
    return result


def selected(
    options: argparse.Namespace, models: Sequence[str], precisions: Sequence[str], trial: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The models and precisions that are asked for: with ``--quick`` the first model, on a CPU the trial's in fp32."""
    found = chosen(options.models, models, "--models"), chosen(options.precisions, precisions, "--precisions")
    if options.device == "cpu":
        return list(trial), ["fp32"]
    return found[0][:1] if options.quick else found[0], found[1]


def refuse(problem: str) -> None:
    """Exit with one line."""
    print(f"{Path(sys.argv[0]).name}: {problem}", file=sys.stderr)
    raise SystemExit(WRONG_INPUT)


class Report:
    """Results: a JSON file that is complete after every cell, and tables.

    ``builds`` of the file has what was built, ``cells`` what was measured; a cell that failed has its reason as
    ``problem``.
    """

    def __init__(self, options: argparse.Namespace, question: str | None) -> None:
        script, options.output, options.bundles = (
            Path(path).resolve() for path in (sys.argv[0], options.output, options.bundles)
        )
        os.chdir(ROOT)  # so that no result has this machine's directories in it
        if options.bundles.is_relative_to(ROOT):
            options.bundles = options.bundles.relative_to(ROOT)
        self.path: Path = options.bundles / "builds.json" if options.build_only else options.output
        self.deadline = time.monotonic() + 60 * options.minutes
        self.minutes = options.minutes
        self.cache = options.bundles.resolve() / "cache"  # a cache's directory is absolute
        self._lock = threading.Lock()
        if options.jobs < 1:
            refuse(f"--jobs must be at least 1, got {options.jobs}")
        gpu = None if options.device == "cpu" else find_gpu()
        if gpu is None and options.device == "gpu" and not options.build_only:
            refuse(
                "there is no NVIDIA GPU here (nvidia-smi does not answer); run it where one is, "
                "or try the script itself with --device cpu"
            )
        self.content: dict[str, Any] = {
            "question": (question or "").strip().partition("\n")[0],
            "device": gpu or {"name": "none; bundles are built without" if options.build_only else TRIAL},
            "system": {"processor": processor(), "cores": os.cpu_count(), "platform": platform.platform()},
            "versions": {"python": platform.python_version(), **{name: installed(name) for name in PACKAGES}},
            "command": shlex.join(["python", os.path.relpath(script), *sys.argv[1:]]),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "builds": [],
            "cells": [],
        }

    @property
    def cells(self) -> list[Cell]:
        return self.content["cells"]

    def add(self, kind: str, *entries: Cell) -> None:
        """Keep what became of a cell, and say so on standard error."""
        with self._lock:
            self.content[kind].extend(plain(entry) for entry in entries)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_name(f".{self.path.name}.partial")
            partial.write_text(json.dumps(self.content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            partial.replace(self.path)
            for entry in entries:
                shown = [str(value) for value in entry.values() if isinstance(value, (str, int))]
                print(f"{kind[:-1]} {len(self.content[kind])}: {', '.join(shown)}"[:160], file=sys.stderr, flush=True)

    def show(self, columns: Mapping[str, Callable[[Cell], str]]) -> None:
        """Print the cells as a table; of one that failed, its reason in place of figures."""
        rows = [list(columns)]
        for cell in self.cells:
            rows.append([_text(column, cell) for column in columns.values()])
            if "problem" in cell:
                rows[-1][-1] = cell["problem"]
        device = self.content["device"]
        print(", ".join(str(device[key]) for key in ("name", "capability", "driver") if key in device))
        print(table(rows))
        print(f"written to {self.path}")

    def finish(self) -> int:
        """The exit code: 1 where a bundle could not be built, or nothing measured."""
        if self.cells:
            return 0 if any("problem" not in cell for cell in self.cells) else 1
        return 1 if any("problem" in build for build in self.content["builds"]) else 0


def _text(column: Callable[[Cell], str], cell: Cell) -> str:
    try:
        return column(cell)
    except (KeyError, TypeError):  # it failed before it had that
        return "-"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns; the last has what room it needs."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([*(f"{c:<{w}}" for c, w in zip(row, widths)), row[-1]]).rstrip() for row in rows)


def plain(value: Any) -> Any:
    """Data that JSON has: None for what is not a number."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def find_gpu() -> Cell | None:
    """The first GPU as nvidia-smi describes it."""
    query = f"--query-gpu={','.join(QUERY)}"
    try:
        done = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return None
    return dict(zip(QUERY.values(), (value.strip() for value in lines[0].split(","))))


def processor() -> str:
    """Its name, where the system tells."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.is_file() else None
    return found[1] if found else platform.machine()


def installed(package: str) -> str | None:
    """Version of a package; None without it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def one_line(error: BaseException) -> str:
    """The first line of an error that says something; ours are one line anyway."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else "no message"
    return text if type(error).__module__.startswith("w2vc_") else f"{type(error).__name__}: {text}"[:300]


def serve(job: str, tasks: Mapping[str, Task]) -> int:
    """Be the worker of a job: print what became of each of its cells."""
    values = json.loads(job)
    broken: str | None = None
    try:
        measure = tasks[values["task"]](values)
    except Exception as error:  # every cell is told why
        broken = one_line(error)
    for index, cell in enumerate(values["cells"]):
        if broken is not None:
            found = {"problem": broken}
        else:
            try:
                found = measure(cell)
            except Exception as error:  # one cell, and not the others
                found = {"problem": one_line(error)}
        print(f"\n{MARK}{json.dumps([index, plain(found)])}", flush=True)
    return 0


def run(report: Report, kind: str, script: str, jobs: Sequence[Cell], workers: int = 1) -> None:
    """Do jobs, so many at once, in order.

    jobs: of each ``task``, ``cells`` and what the task wants. One that measures takes half of what is left of the time
    at most, so that one that hangs leaves some for the others.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    # What TensorRT-RTX compiles here is kept beside the bundles, and not where the user's is.
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, "XDG_CACHE_HOME": str(report.cache)}
    children: set[subprocess.Popen[str]] = set()
    stopped = threading.Event()

    def one(index: int, job: Cell) -> None:
        left = report.deadline - time.monotonic()
        if kind == "cells" and index + 1 < len(jobs):
            left /= 2
        answered: set[int] = set()
        reason = f"not done: the {report.minutes:g} minutes were up"
        if left > 0 and not stopped.is_set():
            for number, found in _work(script, job, environment, left, children):
                if isinstance(found, str):
                    reason = found
                    continue
                answered.add(number)
                rows = found.pop("rows", [found])
                report.add(kind, *({**job["cells"][number], **row} for row in rows))
        for number, cell in enumerate(job["cells"]):
            if number not in answered:
                report.add(kind, {**cell, "problem": reason})
                reason = f"not done: {reason.removeprefix('not done: ')}"

    try:
        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(one, *each) for each in enumerate(jobs)]:
                done.result()
    except BaseException:
        stopped.set()
        for child in list(children):
            _end(child)
        raise


def _work(
    script: str, job: Cell, environment: dict[str, str], seconds: float, children: set[subprocess.Popen[str]]
) -> Any:
    """Start a worker; yield number and findings of each cell as they come, and last why the rest has none."""
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        child = subprocess.Popen(
            [sys.executable, script, "--job", json.dumps(job)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
        children.add(child)
        expired = threading.Event()
        timer = threading.Timer(seconds, lambda: (expired.set(), _end(child)))
        timer.start()
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith(MARK):
                yield json.loads(line.removeprefix(MARK))
        child.wait()
        timer.cancel()
        children.discard(child)
        errors.seek(0)
        last = errors.read().strip().rpartition("\n")[2][:200]
    if expired.is_set():
        yield -1, f"not done: stopped after {seconds:.0f} s"
    elif child.returncode < 0:
        yield -1, f"ended by {signal.Signals(-child.returncode).name}{f': {last}' if last else ''}"
    elif child.returncode:
        yield -1, f"failed: {last}"


def _end(child: subprocess.Popen[str]) -> None:
    """End a worker and what it started."""
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.killpg(child.pid, signal.SIGKILL)
