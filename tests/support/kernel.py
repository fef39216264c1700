"""What the kernel, or the container, lets a process do."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = "import ctypes, sys; sys.exit(ctypes.CDLL(None).personality(0x0040000) == -1)"
fixed_addresses = pytest.mark.skipif(
    sys.platform != "linux" or subprocess.run([sys.executable, "-c", ASK]).returncode != 0,
    reason="addresses cannot be fixed here: personality(2) is forbidden",
)
