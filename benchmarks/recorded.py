"""Results that are kept: one JSON file a benchmark, one entry for each of its parts."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def record(benchmark: str, part: str, result: Any, load: float) -> None:
    """Put a result in the place of the last one of its part. load: average of the machine before it was measured."""
    path = RESULTS / f"{benchmark}.json"
    parts = json.loads(path.read_text()) if path.is_file() else {}
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    parts[part] = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor.group(1) if processor else "",
        "cores": os.cpu_count(),
        "load": round(load, 1),
        "result": result,
    }
    path.write_text(json.dumps(parts, indent=1) + "\n")
