"""Does what engines need of CUDA do on this driver what it is written for, and how fast are copies?

    python benchmarks/gpu/driver.py

The driver alone, through ``w2vc_runtime/sessions/tensorrt/cuda.py`` and cuda-bindings: no TensorRT, no model.

memory       page-locked and device memory of growing size: what is sent comes back, and all is given back
copies       seconds of a copy to the device and of one from it, and GB/s
capture      a CUDA graph of a copy from the device is replayed on other contents
threads      streams of four threads at once: each gets back its own
context      the CUDA context that the calling thread had is there again afterwards
"""

from __future__ import annotations

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from harness import Cell, Measure, Report, parser, run, serve

from w2vc_runtime.sessions.tensorrt.cuda import Buffer, Device, Stream, call, driver_version, free_graph

SIZES = (1, 1 << 12, 1 << 20, 1 << 26)
RUNS = 10
THREADS, TURNS = 4, 50
CHECKS = ("memory", "copies", "capture", "threads", "context")
COLUMNS = {
    "check": lambda cell: cell["check"],
    "holds": lambda cell: "yes" if cell["holds"] else "NO",
    "figures": lambda cell: ", ".join(f"{name} {value:.3g}" for name, value in cell.get("figures", {}).items()),
}


def contents(size: int, seed: int = 0) -> np.ndarray:
    """Random bytes."""
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def there_and_back(stream: Stream, buffer: Buffer, sent: np.ndarray) -> bool:
    """Whether bytes come back from the device as they were."""
    buffer.reserve(sent.nbytes)
    buffer.view(sent.shape, np.uint8)[...] = sent
    stream.upload(buffer, sent.nbytes)
    stream.wait()
    buffer.view(sent.shape, np.uint8)[...] = 0
    stream.download(buffer, sent.nbytes)
    stream.wait()
    return bool((buffer.view(sent.shape, np.uint8) == sent).all())


def memory(stream: Stream, buffer: Buffer) -> Cell:
    holds = all(there_and_back(stream, buffer, contents(size, size)) for size in SIZES)
    return {"holds": holds, "figures": {"bytes": buffer.capacity}}


def copies(stream: Stream, buffer: Buffer) -> Cell:
    size = SIZES[-1]
    buffer.reserve(size)
    figures = {}
    for name, copy in (("to", stream.upload), ("from", stream.download)):
        taken = []
        for _ in range(RUNS):
            start = time.perf_counter()
            copy(buffer, size)
            stream.wait()
            taken.append(time.perf_counter() - start)
        figures |= {f"{name} s": statistics.median(taken), f"{name} GB/s": size / statistics.median(taken) / 1e9}
    return {"holds": True, "figures": figures}


def capture(stream: Stream, buffer: Buffer) -> Cell:
    size = SIZES[2]
    buffer.reserve(size)
    stream.wait()
    stream.begin_capture()
    stream.download(buffer, size)
    graph = stream.end_capture()
    if graph is None:
        return {"holds": False}
    holds = True
    for seed in range(3):
        sent = contents(size, seed)
        buffer.view(sent.shape, np.uint8)[...] = sent
        stream.upload(buffer, size)
        stream.wait()
        buffer.view(sent.shape, np.uint8)[...] = 0
        stream.launch(graph)
        stream.wait()
        holds &= bool((buffer.view(sent.shape, np.uint8) == sent).all())
    free_graph(graph)
    return {"holds": holds}


def threads(device: Device) -> Cell:
    def one(seed: int) -> bool:
        with device.current():
            stream, buffer = Stream(), Buffer()
            try:
                return all(there_and_back(stream, buffer, contents(SIZES[2], seed + turn)) for turn in range(TURNS))
            finally:
                buffer.free()
                stream.free()

    with ThreadPoolExecutor(THREADS) as pool:
        return {"holds": all(pool.map(one, range(0, THREADS * TURNS, TURNS)))}


def context(device: Device) -> Cell:
    before = int(call("cuCtxGetCurrent"))
    with device.current():
        inside = int(call("cuCtxGetCurrent"))
    return {"holds": int(call("cuCtxGetCurrent")) == before != inside}


def measuring(job: Cell) -> Measure:
    """Task of a worker: one check after another."""
    device = Device.open()

    def measure(cell: Cell) -> Cell:
        found = {"gpu": device.gpu.model, "capability": device.gpu.capability, "driver_version": driver_version()}
        check = cell["check"]
        if check in ("threads", "context"):
            return found | {"threads": threads, "context": context}[check](device)
        with device.current():
            stream, buffer = Stream(), Buffer()
            try:
                return found | {"memory": memory, "copies": copies, "capture": capture}[check](stream, buffer)
            finally:
                buffer.free()
                stream.free()

    return measure


def main() -> int:
    options = parser(__doc__, "driver", 3, ("driver",)).parse_args()
    if options.job:
        return serve(options.job, {"measure": measuring})
    report = Report(options, __doc__)
    cells = [{"check": check} for check in CHECKS]
    run(report, "cells", __file__, [{"task": "measure", "cells": [cell]} for cell in cells])
    report.show(COLUMNS)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
