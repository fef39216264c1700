"""Recordings on disk, and what an export says of bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from w2vc_exporter import cli

RATE = 16000


def record(path: Path, seconds: float = 0.5, rate: int = RATE, **how) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(seconds * rate)) / 20), rate, **how)
    return path


def refused(capsys, *arguments) -> str:
    """The one line with which the command turns its input down."""
    assert cli.main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err
