"""Progress of long work: live on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

# What is told of work in its course, in a few words.
Report = Callable[[str], None]
CLEAR = "\r\033[K"


class Progress:
    """Names the step at work on one line of a terminal, with the seconds each took."""

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self.steps = steps
        self.stream = sys.stderr if stream is None else stream
        self.number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[Report]:
        """Show a step while its block runs; the block may report what it is at."""
        self.number += 1
        line = f"[{self.number}/{self.steps}] {title}"
        live = self.stream.isatty()

        def report(doing: str) -> None:
            if live:
                print(f"{CLEAR}{line}: {doing} ...", end="", file=self.stream, flush=True)

        if live:
            print(f"{line} ...", end="", file=self.stream, flush=True)
        start = time.perf_counter()
        try:
            yield report
        except BaseException:
            if live:
                print(f"{CLEAR}{line}: failed", file=self.stream)
            raise
        if live:
            print(f"{CLEAR}{line}: {time.perf_counter() - start:.1f} s", file=self.stream)
