"""What tests look at when a command turns its input down."""

from __future__ import annotations

import re
from pathlib import Path


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys, main, *arguments) -> str:
    """The one line with which a command turns its input down, after what it says of the steps that it had done."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as exit:
        code = exit.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    (line,) = complaints(captured.err)
    return line


def complaints(shown: str) -> list[str]:
    """The lines of standard error that are no progress."""
    return [line for line in shown.splitlines() if not re.match(r"\[\d+/\d+\] ", line)]
