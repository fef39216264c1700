"""What a model answers for a long recording, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .base import Result, Table


@dataclass(frozen=True)
class Window:
    """An answer for a part of a recording. start, end: seconds; times within the answer count from ``start``."""

    start: float
    end: float
    result: Result

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        inner = {name: value for name, value in self.result.to_dict().items() if name != "duration"}
        return {"start": round(self.start, 3), "end": round(self.end, 3), **inner}


@dataclass(frozen=True)
class Windows:
    """Answers for the parts of a long recording, in their order. duration: seconds of audio."""

    windows: tuple[Window, ...]
    duration: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times to a millisecond."""
        return {"windows": [window.to_dict() for window in self.windows], "duration": round(self.duration, 3)}

    def to_text(self) -> str:
        """One line for each window."""
        return "\n".join(f"{each.start:.2f}-{each.end:.2f} {each.result.to_text()}" for each in self.windows)

    def table(self) -> Table:
        """The rows of each window, after its times."""
        tables = [(window, *window.result.table()) for window in self.windows]
        header = tables[0][1] if tables else ()
        rows = [(round(window.start, 3), round(window.end, 3), *row) for window, _, rows in tables for row in rows]
        return ("start", "end", *header), rows
