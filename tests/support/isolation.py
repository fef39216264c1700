"""Python with some packages out of reach."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FORBID = "import sys; sys.modules.update(dict.fromkeys({names!r}, None)); "


def python(code: str, executable: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run([executable, "-c", code], capture_output=True, text=True)
