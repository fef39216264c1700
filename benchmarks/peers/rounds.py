"""Time engines beside each other: in rounds, in an order that changes, with a rest before each run."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from .models import Cell, Subject
from .processes import Pool
from .registry import LIMITS, PEERS

# Of the bytes of the weights, what an engine may take: a compiler holds them twice, and a half more for what it makes.
RESIDENT = 2.5
# Share of the letters of a text.
ALIKE = 0.95


class Rounds:
    """The cells of one model and one number of threads.

    jobs: of each engine, by peer and variant, what its process is told; only of those that have a model.
    """

    def __init__(
        self, subject: Subject, weights: int, jobs: dict[tuple[str, str], dict[str, Any]], limit: float, rest: float
    ) -> None:
        self._subject, self._needed, self._jobs, self._rest = subject, int(RESIDENT * weights), jobs, rest
        self._pool = Pool(limit)

    def run(self, cell: Cell, reference: list[np.ndarray], rounds: int, say: Callable[[str], None]) -> list[Any]:
        """One row for each engine: every sample in seconds, or the ``problem``."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        with tempfile.TemporaryDirectory() as folder:
            for engine in self._jobs:
                if PEERS[engine[0]].variants[engine[1]].only == "several" and cell.batch == 1:
                    continue
                say(f"{cell.name}, {'/'.join(engine)}")
                rows[engine] = self._first(engine, cell, reference, Path(folder) / "output.npz")
        running = [engine for engine, row in rows.items() if "problem" not in row]
        for number in range(rounds):
            say(f"{cell.name}, round {number + 1} of {rounds}")
            random.Random(number).shuffle(running)
            for engine in list(running):
                found = self._ask(engine, cell, None)
                if "problem" in found:
                    rows[engine]["problem"] = found["problem"]
                    running.remove(engine)
                    continue
                rows[engine]["samples"].append(found["seconds"])
                rows[engine]["processor"].append(found["processor"])
                rows[engine].update(resident=found["resident"], peak=found["peak"])
        return list(rows.values())

    def close(self) -> None:
        self._pool.close_all()

    def _first(self, engine: tuple[str, str], cell: Cell, reference: list[np.ndarray], output: Path) -> dict[str, Any]:
        """Start an engine, if need be, and compare its answer: it counts only where it is right."""
        peer, name = engine
        variant = PEERS[peer].variants[name]
        row: dict[str, Any] = {"peer": peer, "variant": name, "precision": variant.precision}
        if variant.only == "one" and cell.batch > 1:
            return {**row, "problem": "not run: made for one length, or compiled anew for each"}
        start = time.perf_counter()
        found = self._ask(engine, cell, output)
        cold = time.perf_counter() - start
        if "problem" in found:
            return {**row, "problem": found["problem"]}
        row |= {key: found[key] for key in ("installed", "versions", "import", "load") if key in found}
        row |= {"cold": cold, "samples": [], "processor": [], **judged(output, reference, variant.precision)}
        return row

    def _ask(self, engine: tuple[str, str], cell: Cell, output: Path | None) -> dict[str, Any]:
        order = {"cell": cell.name, "clips": str(self._subject.clips(cell))}
        worker = self._pool.worker("/".join(engine), engine[0], self._jobs[engine], self._needed)
        if isinstance(worker, str):
            return {"problem": worker}
        if output is None and cell.name not in worker.cells:  # it was ended and started again
            warmed = worker.ask(order)
            if "problem" in warmed:
                return warmed
        if output is None:
            time.sleep(self._rest)
        found = worker.ask({**order, "output": None if output is None else str(output)})
        worker.cells.add(cell.name)
        return found if output is None else {**worker.first, **found}


def judged(output: Path, reference: list[np.ndarray], precision: str) -> dict[str, Any]:
    """Largest difference from PyTorch's logits, and the share of equal best tokens; ``problem`` where it is wrong.

    A text has no difference: it is right where its letters are those of PyTorch's best tokens, but for a few that
    another normalisation of the samples tips over.
    """
    text = output.with_suffix(".json")
    if text.is_file():
        found = json.loads(text.read_text())
        text.unlink()
        wanted = [greedy(each) for each in reference]
        letters = ["".join(each.split()).lower() for each in found]
        alike = min(SequenceMatcher(None, *each).ratio() for each in zip(letters, wanted))
        problem = {} if alike >= ALIKE else {"problem": f"wrong: {letters[0][:30]!r} is not {wanted[0][:30]!r}"}
        return {"agreement": alike, **problem}
    with np.load(output) as arrays:
        rows = [arrays[str(index)] for index in range(len(arrays.files))]
    if [row.shape for row in rows] != [each.shape for each in reference]:
        return {"problem": f"wrong: its logits are {rows[0].shape}, PyTorch's {reference[0].shape}"}
    difference = max(float(np.abs(row - each).max() / np.abs(each).max()) for row, each in zip(rows, reference))
    same = np.concatenate([row.argmax(-1) == each.argmax(-1) for row, each in zip(rows, reference)]).mean()
    result: dict[str, Any] = {"difference": difference, "agreement": float(same)}
    if not difference <= LIMITS[precision]:  # NaN is wrong too
        result["problem"] = f"wrong: {difference:.1e} from PyTorch, more than {LIMITS[precision]:g}"
    return result


def greedy(logits: np.ndarray) -> str:
    """The text of the best tokens, without spaces: repeated ones once, and no blanks."""
    from support.oracle import LETTERS

    best = logits.argmax(-1)
    kept = [token for index, token in enumerate(best) if token and (index == 0 or token != best[index - 1])]
    return "".join(LETTERS[token] for token in kept if len(LETTERS[token]) == 1 and LETTERS[token] != "|")
