"""``w2vc bench``: how fast a bundle is on this machine, and how much memory it takes, by length, batch, threads,
provider and precision.

Each combination of provider, precision and threads is a process of its own (`worker.py`), so that neither its memory
nor its threads are those of another. All of them are measured, and then all once more: what another program does to the
machine meanwhile shows in the spread, and not in one of them alone.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from w2vc_runtime.bundle import Bundle, Graph
from w2vc_runtime.errors import OptionError, W2vcError
from w2vc_runtime.sessions.footprint import Footprint
from w2vc_runtime.sessions.select import PROVIDERS, survey
from w2vc_runtime.system.memory import shortage
from w2vc_runtime.system.version import own_version

from .process import cores, digits, machine
from .recommend import recommended, untrusted

WORKER = Path(__file__).with_name("worker.py")
PASSES = 2
LONGEST_SECONDS, MOST_CLIPS = 3600.0, 1024
# Bytes that a loaded graph takes, of its files': a backend may hold the weights in two forms while it loads.
LOADED = 2.5

Notify = Callable[[str], None]


@dataclass(frozen=True)
class SweepOptions:
    """What is measured.

    seconds: of each clip. batches: clips of that length computed together. threads: None for one, and all there are.
    providers, precisions: None for all that run here, and all that the bundle has.
    """

    seconds: tuple[float, ...] = (1.0, 5.0, 15.0)
    batches: tuple[int, ...] = (1, 4)
    threads: tuple[int, ...] | None = None
    providers: tuple[str, ...] | None = None
    precisions: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Setting:
    """What one process measures."""

    provider: str
    precision: str
    threads: int

    def __str__(self) -> str:
        return f"{self.provider}, {self.precision}, {self.threads} thread{'' if self.threads == 1 else 's'}"


class Sweep:
    """The measurements of a bundle, checked before the first starts.

    Raises `OptionError` for what cannot be measured here: an unknown provider or precision, more threads than there are
    cores, and what there is no memory for.
    """

    def __init__(self, bundle: Bundle, options: SweepOptions) -> None:
        bundle.check()
        self._bundle, self._options = bundle, options
        self._check_values()
        self.settings = tuple(self._settings())
        self._check_memory()

    @property
    def steps(self) -> int:
        """How often a process measures."""
        return PASSES * len(self.settings)

    def run(self, step: Callable[[str], Any]) -> dict[str, Any]:
        """Measure; plain data for the page and for ``--json``.

        step: a context for each step, by its title; what it gives is told what the step is at. Of each row,
        ``milliseconds`` is the median of all runs, features included and texts not, ``least`` the shortest,
        ``times_real_time`` the seconds of audio a second, ``spread`` what lies between the quarters of the runs, of
        their median, and ``peak_megabytes`` the most memory of the process while it ran, beyond what Python takes; None
        where the system does not tell. ``note`` says why there are no figures.
        """
        rows: dict[tuple[Setting, float, int], dict[str, Any]] = {}
        for number in range(PASSES):
            for setting in self.settings[:: -1 if number % 2 else 1]:
                with step(f"{setting}, pass {number + 1} of {PASSES}") as tell:
                    for (seconds, batch), found in self._measured(setting, tell):
                        row = rows.setdefault((setting, seconds, batch), {"runs": [], "peak": None, "note": None})
                        row["runs"] += found.get("runs", [])
                        row["peak"] = max(filter(None, (row["peak"], found.get("peak"))), default=None)
                        row["note"] = row["note"] or found.get("problem")
        finished = [_row(*key, found) for key, found in rows.items()]
        return {
            "name": self._bundle.manifest.name,
            "w2vc": own_version(),
            "machine": machine(),
            "passes": PASSES,
            "rows": finished,
            "warning": untrusted(finished),
            "recommended": recommended(finished),
        }

    def _check_values(self) -> None:
        options = self._options
        for name, values, least, most in (
            ("--seconds", options.seconds, 0.1, LONGEST_SECONDS),
            ("--batch", options.batches, 1, MOST_CLIPS),
            ("--threads", options.threads or (), 1, len(cores())),
        ):
            for value in values:
                if not least <= value <= most:
                    raise OptionError(f"{name} must be {least:g} to {most:g} here, got {value:g}")
        for name in options.providers or ():
            if name not in PROVIDERS:
                raise OptionError(f"unknown provider {name!r}; known: {', '.join(PROVIDERS)}")

    def _settings(self) -> Iterator[Setting]:
        threads = self._options.threads or tuple(dict.fromkeys((1, len(cores()))))
        passed: list[W2vcError] = []
        found = False
        for graph in self._graphs():
            for provider, problem in survey(self._bundle, graph).items():
                if self._options.providers is not None and provider not in self._options.providers:
                    continue
                if problem is not None:
                    passed.append(problem)
                    continue
                found = True
                yield from (Setting(provider, graph.precision, count) for count in threads)
        if not found:
            raise OptionError(f"nothing can be measured here: {passed[-1]}")

    def _graphs(self) -> Sequence[Graph]:
        names = self._options.precisions
        graphs = self._bundle.manifest.graphs
        return graphs if names is None else [self._bundle.graph(name) for name in names]

    def _check_memory(self) -> None:
        rate, files = self._bundle.manifest.features.sampling_rate, self._bundle.manifest.files
        for setting in self.settings:
            graph = self._bundle.graph(setting.precision)
            weights = LOADED * sum(files[name].size for name in graph.files)
            if problem := shortage(f"the weights in {setting.precision}", weights):
                raise OptionError(f"not started: {problem}; take another precision")
            footprint = Footprint.of(self._bundle, setting.provider)
            if footprint is None:
                continue
            seconds, batch = max(self._options.seconds), max(self._options.batches)
            needed = weights + footprint.needed(batch, round(seconds * rate))
            if problem := shortage(f"{batch} clips of {seconds:g} s on provider {setting.provider}", needed):
                raise OptionError(f"not started: {problem}; take fewer --seconds or a smaller --batch")

    def _measured(self, setting: Setting, tell: Notify) -> Iterator[tuple[tuple[float, int], dict[str, Any]]]:
        """What a process finds for each length and batch, or why it does not."""
        cells = [(seconds, batch) for seconds in self._options.seconds for batch in self._options.batches]
        job = {
            **asdict(setting),
            "path": sys.path,
            "bundle": str(self._bundle.path),
            "cores": cores()[: setting.threads],
            "cells": cells,
        }
        answered = 0
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            with subprocess.Popen(
                [sys.executable, str(WORKER), json.dumps(job)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(setting.threads)},
            ) as worker:
                assert worker.stdout is not None
                try:
                    for line in worker.stdout:
                        if not line.endswith("\n"):  # it was killed while it wrote
                            break
                        answer = json.loads(line)
                        if "doing" in answer:
                            tell(answer["doing"])
                            continue
                        yield cells[answered], answer
                        answered += 1
                except BaseException:  # such as Ctrl-C
                    worker.kill()
                    raise
            said.seek(0)
            last = said.read().strip().rpartition("\n")[2]
        problem = _ended(worker.returncode, last)
        for cell in cells[answered:]:
            yield cell, {"problem": problem}


def _ended(code: int, last: str) -> str:
    if code >= 0:
        return f"not measured: {last or f'its process ended with code {code}'}"
    name = signal.Signals(-code).name
    return f"not measured: ended by {name}{', as where memory runs out' if name == 'SIGKILL' else ''}"


def _row(setting: Setting, seconds: float, batch: int, found: dict[str, Any]) -> dict[str, Any]:
    runs = sorted(found["runs"])
    row: dict[str, Any] = {**asdict(setting), "seconds": seconds, "batch": batch, "runs": len(runs), "note": None}
    if found["note"] or not runs:
        return {**row, "note": found["note"] or "not measured"}
    median = statistics.median(runs)
    return {
        **row,
        "milliseconds": digits(1000 * median),
        "least": digits(1000 * runs[0]),
        "times_real_time": digits(batch * seconds / median),
        "spread": round(_spread(runs) / median, 3),
        "peak_megabytes": None if found["peak"] is None else round(found["peak"] / 1e6),
    }


def _spread(runs: Sequence[float]) -> float:
    """Seconds between the quarters."""
    if len(runs) < 2:
        return 0.0
    low, _, high = statistics.quantiles(runs, n=4, method="inclusive")
    return high - low
