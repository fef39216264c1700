"""Memory over a thousand clips of different lengths, what bounding it costs, and the estimate beside the truth.

    python benchmarks/lengths.py BUNDLE [--provider cpu --provider openvino] [--clips 1000]

For each provider, in a process of its own: resident memory as clips of ever new lengths, from 0.5 s to 4 s and in no
order, are answered. For OpenVINO the same without the bound on its cache, and the time of the two, in turn in one
process.
Then the most memory that one clip of 60 s takes, and what the runtime expects of it before it runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from w2vc_runtime import Model, load
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.sessions import openvino
from w2vc_runtime.sessions.footprint import Footprint

RATE = 16000
SECONDS = 60
NOISE = (0.1 * np.random.default_rng(0).standard_normal(RATE * SECONDS)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--provider", action="append", help="default: cpu and openvino")
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    providers = options.provider or ["cpu", "openvino"]
    if options.part:
        PARTS[options.part](options.bundle, providers[0], options.clips)
        return
    print(f"{options.bundle}, {os.cpu_count()} cores")
    for provider in providers:
        for part in PARTS if provider == "openvino" else ("bounded", "long"):
            command = [sys.executable, __file__, str(options.bundle), "--provider", provider, "--part", part]
            subprocess.run([*command, "--clips", str(options.clips)], check=True)


def bounded(bundle: Path, provider: str, clips: int) -> None:
    print(f"{provider}: resident {_resident_over(load(bundle, provider), clips)} MB")


def unbounded(bundle: Path, provider: str, clips: int) -> None:
    print(f"{provider}, unbounded: resident {_resident_over(_unbounded(bundle, provider), clips)} MB")


def price(bundle: Path, provider: str, clips: int) -> None:
    models = {"bounded": load(bundle, provider), "unbounded": _unbounded(bundle, provider)}
    times: dict[str, list[float]] = {name: [] for name in models}
    for length in _lengths(clips // 4):
        for name, model in models.items():
            start = time.perf_counter()
            model.infer([NOISE[:length]])
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{provider}: bounded takes {medians['bounded'] / medians['unbounded']:.2f} of the time of unbounded")


def long_clip(bundle: Path, provider: str, clips: int) -> None:
    model = load(bundle, provider)
    model.infer([NOISE[:RATE]])
    before = _status("VmHWM")
    model.infer([NOISE])
    footprint = Footprint.of(Bundle.read(bundle), provider)
    expected = 0.0 if footprint is None else footprint.needed(1, len(NOISE)) / 1e6
    taken = _status("VmHWM") - before
    print(f"{provider}: {SECONDS} s take {taken:.0f} MB, {expected:.0f} expected, {expected / taken:.2f} of it")


PARTS = {"bounded": bounded, "unbounded": unbounded, "price": price, "long": long_clip}


def _lengths(count: int) -> list[int]:
    step = max(1, int(3.5 * RATE) // count)
    return [RATE // 2 + step * index for index in np.random.default_rng(1).permutation(count)]


def _resident_over(model: Model, clips: int) -> list[int]:
    """MB after each tenth of the clips."""
    resident = []
    for index, length in enumerate(_lengths(clips), start=1):
        model.infer([NOISE[:length]])
        if index % (clips // 10) == 0:
            resident.append(round(_status("VmRSS")))
    return resident


def _unbounded(bundle: Path, provider: str) -> Model:
    """With OpenVINO's own cache of 5000 shapes. What bounds ONNX Runtime's memory works on longer clips alone."""
    kept, openvino.CACHED_SHAPES = openvino.CACHED_SHAPES, "5000"
    model = load(bundle, provider)
    openvino.CACHED_SHAPES = kept
    return model


def _status(field: str) -> float:
    """MB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
