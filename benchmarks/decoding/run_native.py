"""Decode a job with w2vc-native, as run_pyctcdecode.py does with its own: ``python run_native.py JOB.json``."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import w2vc_native

# Batches of all utterances, so many times over, on one thread and on all in turn.
BATCH_ROUNDS, BATCH_TIMES = 7, 10


def peak_memory() -> float:
    """The most memory of this process so far, in MB."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    arrays = np.load(job["arrays"])
    start = time.perf_counter()
    model = w2vc_native.LanguageModel(job["arpa"]) if job["arpa"] else None
    options = {**job.get("build", {}), **job.get("decode", {})}
    if hotwords := options.pop("hotwords", None):
        options["hotwords"] = dict.fromkeys(hotwords, 10.0)
    labels = job["labels"]
    decoder = w2vc_native.Decoder(
        labels, blank=labels.index(""), delimiter=" ", language_model=model, nbest=job.get("nbest", 1), **options
    )
    loading = time.perf_counter() - start
    before = peak_memory()
    outputs, seconds = [], []
    clips = [arrays[name] for name in arrays.files]
    for clip in clips:
        start = time.process_time()
        readings = decoder.decode(clip)
        seconds.append(time.process_time() - start)
        outputs.append(
            [
                (
                    reading.text,
                    [(word.text, (word.start_frame, word.end_frame)) for word in reading.words],
                    reading.acoustic_score,
                    reading.score,
                )
                for reading in readings
            ]
        )
    result = {"outputs": outputs, "seconds": seconds, "loading": loading, "before": before}
    if job.get("threads"):
        rounds: dict[int, list[tuple[float, float]]] = {1: [], job["threads"]: []}
        for _ in range(BATCH_ROUNDS):
            for threads, each in rounds.items():
                start, spent = time.perf_counter(), time.process_time()
                decoder.decode_batch(clips * BATCH_TIMES, threads)
                each.append((time.perf_counter() - start, time.process_time() - spent))
        result["batch"] = rounds
    result["peak"] = peak_memory()
    Path(job["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
