"""Peers as processes that answer one line at a time, within a time limit and the memory that there is."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import environment
from .registry import HERE, PEERS

WORKER = HERE / "worker.py"
# Bytes that stay free for the system and what a run takes.
SPARE = 2 << 30
# Seconds.
WAIT = 1.0

Answer = dict[str, Any]


class Worker:
    """A process of a peer; ``problem`` of an answer says why there is no other."""

    def __init__(self, peer: str, action: str, job: dict[str, Any], limit: float) -> None:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  # as long as the process
        self._job = Path(tempfile.mkstemp(suffix=".json")[1])
        self._job.write_text(json.dumps(job))
        self._limit = limit
        self._rest = b""
        self.cells: set[str] = set()  # that it has run before
        self.process = subprocess.Popen(
            [str(python(peer)), str(WORKER), action, str(self._job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **_environment(len(job["cores"]))},
            start_new_session=True,
        )
        self.first = self.answer()

    def ask(self, order: dict[str, Any]) -> Answer:
        """Have it do something."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return self._ended()
        return self.answer()

    def answer(self) -> Answer:
        """The next thing it says, or why it says nothing any more."""
        assert self.process.stdout is not None
        waited = 0.0  # in short waits, so that hours in which both were suspended are one of them
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                line, found, rest = self._rest.partition(b"\n")
                if found:
                    self._rest = rest
                    return json.loads(line)
                if not selector.select(WAIT):
                    waited += WAIT
                    if waited < self._limit:
                        continue
                    self.close()
                    return {"problem": f"stopped after {self._limit:.0f} s without an answer"}
                read = os.read(self.process.stdout.fileno(), 1 << 16)
                if not read:
                    return self._ended()
                self._rest += read

    def close(self) -> None:
        """End it and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._errors):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._job.unlink(missing_ok=True)

    def _ended(self) -> Answer:
        code = self.process.wait()
        self._errors.seek(0)
        last = self._errors.read().strip().rpartition("\n")[2][:200]
        self.close()
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return {"problem": f"{how}{f': {last}' if last else ''}"}


class Pool:
    """Workers that stay alive from round to round, as far as memory allows; the longest unused goes first."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._alive: dict[str, Worker] = {}

    def worker(self, name: str, peer: str, job: dict[str, Any], needed: int) -> Worker | str:
        """A worker that has loaded its model, or why there is none. needed: bytes that it may take."""
        if name in self._alive and self._alive[name].process.poll() is not None:  # it died of an earlier cell
            self.close(name)
        if name in self._alive:
            self._alive[name] = self._alive.pop(name)
            return self._alive[name]
        while available() < needed + SPARE and self._alive:
            self.close(next(iter(self._alive)))
        if available() < needed + SPARE:
            return f"not run: it may take {needed / 1e9:.1f} GB of memory, and {available() / 1e9:.1f} GB are free"
        worker = Worker(peer, "serve", job, self._limit)
        if "problem" in worker.first:
            worker.close()
            return worker.first["problem"]
        self._alive[name] = worker
        return worker

    def close(self, name: str) -> None:
        """End one."""
        self._alive.pop(name).close()

    def close_all(self) -> None:
        """End all of them."""
        for name in list(self._alive):
            self.close(name)


def python(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made at the first call."""
    name = PEERS[peer].environment
    return Path(sys.executable) if name is None else environment(name) / "python"


def available() -> int:
    """Bytes that the system can still give."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))


def _environment(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}
