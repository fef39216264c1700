"""This machine, the memory of this process, and figures as they are shown."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, and system."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"processor": model, "cores": len(cores()), "system": f"{platform.system()} {platform.machine()}"}


def cores() -> list[int]:
    """What this process may run on; of a system that does not tell, their number counts."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def digits(value: float) -> float:
    """A figure to three digits."""
    return float(f"{value:.3g}")


def baseline() -> int | None:
    """Bytes of the process after it gave back what it no longer uses (glibc), so that the graph cannot hide in it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
    return memory("VmRSS")


def reset_peak() -> bool:
    """Forget the most memory that this process had (Linux); False where that cannot be."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def memory(field: str) -> int | None:
    """Bytes, by a field of ``/proc/self/status``."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    values = [line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:")]
    return 1024 * int(values[0]) if values else None
