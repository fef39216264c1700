"""Our feature recipes against Hugging Face's feature extractors: clips of 1 s, 10 s and 10 minutes, one at a time.

Timed in turn; the ratio is of the medians. Both are numpy alone.

    python benchmarks/features.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor

from w2vc_runtime.features import LogMel, Waveform

RATE = 16000
SECONDS = (1, 10, 600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="a tenth of them for the longest clip; default: 15")
    options = parser.parse_args()
    wave = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    mel = SeamlessM4TFeatureExtractor()
    waveform, log_mel = Waveform(RATE, True, True), LogMel()
    ours: dict[str, Callable] = {
        "waveform": lambda clips: waveform(clips, "padding-invariant"),
        "log-mel": lambda clips: log_mel(clips, "padding-invariant"),
    }
    theirs: dict[str, Callable] = {
        "waveform": lambda clips: wave(clips, sampling_rate=RATE, padding=True, return_tensors="np"),
        "log-mel": lambda clips: mel(clips, sampling_rate=RATE, padding=True, return_tensors="np"),
    }
    print(f"numpy {np.__version__}, {os.cpu_count()} cores, medians of {options.rounds} rounds")
    for recipe in ours:
        for seconds in SECONDS:
            clip = (0.1 * np.random.default_rng(0).standard_normal(RATE * seconds)).astype(np.float32)
            times: dict[str, list[float]] = {"ours": [], "theirs": []}
            for _ in range(options.rounds if seconds < SECONDS[-1] else max(3, options.rounds // 10)):
                for name, extract in (("ours", ours[recipe]), ("theirs", theirs[recipe])):
                    start = time.perf_counter()
                    output = extract([clip])
                    times[name].append(time.perf_counter() - start)
                    del output
            median = {name: statistics.median(values) for name, values in times.items()}
            print(
                f"{recipe:<9} {seconds:>4} s of audio: Hugging Face {1000 * median['theirs']:.2f} ms, "
                f"ours {1000 * median['ours']:.2f} ms, ratio {median['ours'] / median['theirs']:.2f}"
            )


if __name__ == "__main__":
    main()
