"""What ``import w2vc_runtime`` costs over bare numpy: medians of fresh interpreters, taken in turn."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time

ROUNDS = 15
STATEMENTS = ("import numpy", "import numpy, w2vc_runtime")


def main() -> None:
    seconds: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(ROUNDS):
        for statement in STATEMENTS:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            seconds[statement].append(time.perf_counter() - start)
    bare, ours = (statistics.median(seconds[statement]) for statement in STATEMENTS)
    print(f"Python {platform.python_version()}, {platform.processor() or platform.machine()}, {ROUNDS} rounds, medians")
    print(f"numpy {bare:.3f} s, numpy and w2vc_runtime {ours:.3f} s: {ours - bare:.3f} s more")


if __name__ == "__main__":
    main()
