"""A thousand clips of mixed length in batches: text, padding, memory, and the time beside one at a time.

    python benchmarks/batching.py BUNDLE [--clips 1000] [--batch-size 8] [--jobs 1] [--provider cpu]

Clips are recordings of $W2VC_DATA/fsdd (default: ../shared/data/fsdd) put together to 0.4 to 6 seconds. Both ways take
turns in parts of a tenth, so that other work on the machine is in both. It fails where a text differs, or padding is a
tenth or more.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from w2vc_runtime import Model, load
from w2vc_runtime.audio.reader import read_audio

RATE = 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--provider", default="cpu")
    options = parser.parse_args()
    model = load(options.bundle, options.provider)
    counted = Counted(model)
    spoken = recordings()
    together = alone = 0.0
    resident = []
    part = max(options.batch_size, options.clips // 10)
    for number, start in enumerate(range(0, options.clips, part)):
        clips = [(clip, RATE) for clip in mixed(spoken, min(part, options.clips - start), seed=number)]
        begin = time.perf_counter()
        texts = [each.to_text() for each in model.map(clips, options.batch_size, options.jobs)]
        middle = time.perf_counter()
        expected = [model(clip).to_text() for clip in counted.aside(clips)]
        end = time.perf_counter()
        together, alone = together + middle - begin, alone + end - middle
        assert texts == expected, "a text in a batch differs from the text of the clip alone"
        resident.append(round(status("VmRSS")))
    waste = counted.padded / counted.samples - 1
    print(f"{options.bundle}, provider {options.provider}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{options.clips} clips, {counted.samples / RATE / 60:.0f} minutes: every text as alone")
    print(f"padding {100 * waste:.1f} % in {counted.batches} batches of {options.batch_size} at most")
    print(f"one at a time takes {alone / together:.2f} times as long as batches")
    print(f"resident {resident} MB after each part, peak {status('VmHWM'):.0f} MB")
    assert waste < 0.1, "padding is a tenth or more"


class Counted:
    """Counts what a model computes."""

    def __init__(self, model: Model) -> None:
        self.batches = self.samples = self.padded = 0
        self.counting = True
        feed = model.feed

        def counted(clips: Sequence[np.ndarray], *rest: object) -> dict[str, np.ndarray]:
            if self.counting:
                lengths = [len(clip) for clip in clips]
                self.batches += 1
                self.samples += sum(lengths)
                self.padded += max(lengths) * len(lengths)
            return feed(clips, *rest)

        model.feed = counted  # type: ignore[method-assign]

    def aside(self, clips: Sequence[tuple[np.ndarray, int]]) -> Iterator[tuple[np.ndarray, int]]:
        """The clips, uncounted."""
        self.counting = False
        yield from clips
        self.counting = True


def recordings() -> list[np.ndarray]:
    """Spoken digits [samples] at 16 kHz."""
    folder = Path(os.environ.get("W2VC_DATA", Path(__file__).parents[2] / "shared" / "data")) / "fsdd"
    return [read_audio(path, RATE) for path in sorted(folder.glob("*_[0-4].wav"))]


def mixed(spoken: Sequence[np.ndarray], count: int, seed: int) -> list[np.ndarray]:
    """Digits in a row, 1 to 10 of them."""
    random = np.random.default_rng(seed)
    return [
        np.concatenate([spoken[index] for index in random.integers(0, len(spoken), random.integers(1, 11))])
        for _ in range(count)
    ]


def status(field: str) -> float:
    """MB, of this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
