"""Progress of long work, on standard error: on a terminal a line with a clock, elsewhere lines with the time."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .program import escaped, tell

# What is told of work in its course, in a few words.
Notify = Callable[[str], None]
CLEAR = "\r\033[K"
# Seconds from one sign of life to the next: on a terminal, where it replaces the last, and elsewhere.
TICK, BEAT = 1.0, 30.0


class Progress:
    """Names the step at work, and says how long each took.

    On a terminal the step is one line that is drawn anew, with what it is at and a clock. Elsewhere, as in a pipe or a
    log, each step is a line when it ends, and one more for every half a minute that it runs.
    """

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self.steps = steps
        self.stream = sys.stderr if stream is None else stream
        self.number = 0
        self.begin = time.perf_counter()

    @contextmanager
    def step(self, title: str) -> Iterator[Notify]:
        """Show a step while its block runs; the block may report what it is at, such as its share done."""
        self.number += 1
        step = _Step(f"[{self.number}/{self.steps}] {title}", self.stream)
        with step.shown():
            try:
                yield step.report
            except BaseException:
                step.end("failed" if step.live else None)
                raise
            whole = f", {time.perf_counter() - self.begin:.1f} s in all" if self.number > 1 and not step.live else ""
            step.end(f"{step.seconds:.1f} s{whole}")


class _Step:
    """A step at work, and the thread that shows that it is."""

    def __init__(self, title: str, stream: TextIO | None) -> None:
        self.title, self.stream = title, stream
        self.live = stream is not None and stream.isatty()
        self.doing = ""
        self.begin = time.perf_counter()
        self._over = threading.Event()
        self._drawing = threading.Lock()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self.begin

    def report(self, doing: str) -> None:
        """Take note of what it is at."""
        self.doing = f": {doing}"
        if self.live:
            self._draw()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it, again and again, until it is over."""
        clock = threading.Thread(target=self._tick, daemon=True)
        if self.live:
            self._draw()
        clock.start()
        try:
            yield
        finally:
            self._over.set()
            clock.join()

    def end(self, outcome: str | None) -> None:
        """Say the last of it."""
        with self._drawing:
            self._over.set()
            if outcome is not None:
                tell(f"{CLEAR if self.live else ''}{escaped(self.title)}: {outcome}\n", self.stream)

    def _tick(self) -> None:
        while not self._over.wait(TICK if self.live else BEAT):
            self._draw()

    def _draw(self) -> None:
        with self._drawing:
            if self._over.is_set():
                return
            text = escaped(self.title + self.doing)
            clock = f" ... {self.seconds:.0f} s" if self.seconds >= 1 else " ..."
            if self.live:
                tell(f"{CLEAR}{text[: self._width() - len(clock)]}{clock}", self.stream)
            else:
                tell(f"{text}{clock}\n", self.stream)

    def _width(self) -> int:
        """Columns for a line that can be drawn anew: one that wraps cannot."""
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns if self.stream else 0
        except (OSError, ValueError):
            columns = 0
        return columns - 1 if columns > len(CLEAR) + 10 else sys.maxsize


def name_of(bundle: Path) -> str:
    """Of a directory, that of the working directory too; links are not followed, since they may lead round."""
    return os.path.basename(os.path.abspath(bundle))
