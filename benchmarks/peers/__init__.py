"""Other tools that do part of what w2vc does, each in an environment of its own: their pins contradict ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / "build" / "peers"


def environment(name: str) -> Path:
    """The ``bin`` of a peer's virtual environment, made from ``NAME.txt`` at the first call."""
    pins = HERE / f"{name}.txt"
    folder = ENVIRONMENTS / name
    installed = folder / "installed.txt"
    if not installed.is_file() or installed.read_text() != pins.read_text():
        print(f"installing {name} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(pins)], check=True)
        installed.write_text(pins.read_text())
    return folder / "bin"
