"""Decode a job with pyctcdecode, in its own environment: ``python run_pyctcdecode.py JOB.json``.

A job names the arrays, the labels, the model and the options; the result has the n-best of each utterance, the seconds
of the processor that each took, and the peak memory in MB.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from pathlib import Path

import numpy as np


def peak_memory() -> float:
    """The most memory of this process so far, in MB."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


def main() -> None:
    logging.disable(logging.CRITICAL)
    from pyctcdecode import build_ctcdecoder

    job = json.loads(Path(sys.argv[1]).read_text())
    arrays = np.load(job["arrays"])
    start = time.perf_counter()
    decoder = build_ctcdecoder(job["labels"], job["arpa"], **job.get("build", {}))
    loading = time.perf_counter() - start
    before = peak_memory()
    outputs, seconds = [], []
    for name in arrays.files:
        start = time.process_time()
        beams = decoder.decode_beams(arrays[name], **job.get("decode", {}))
        seconds.append(time.process_time() - start)
        found = [(text, frames, float(acoustic), float(score)) for text, _, frames, acoustic, score in beams]
        outputs.append(found[: job.get("nbest", 1)])
    peak = peak_memory()
    result = {"outputs": outputs, "seconds": seconds, "loading": loading, "before": before, "peak": peak}
    Path(job["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
