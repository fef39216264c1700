"""Running the programs that the tests build."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(command: Sequence[str | os.PathLike[str]], **options) -> str:
    """Standard output of a command that succeeds; what it printed is in the failure of one that does not."""
    done = subprocess.run(list(map(os.fspath, command)), capture_output=True, text=True, **options)
    if done.returncode:
        shown = " ".join(map(str, command))
        pytest.fail(f"{shown} ended with {done.returncode}:\n{done.stdout[-5000:]}{done.stderr[-5000:]}")
    return done.stdout
