"""Hours of speech in chunks: memory, word errors and times, beside the same clips alone.

    python benchmarks/long.py BUNDLE [--hours 1 --hours 6] [--chunk-seconds S] [--provider cpu]

Clips are recordings of $W2VC_DATA (default: ../shared/data): spoken digits of fsdd, put together, with a pause of a
second between them. The first row is one chunk, in a process of its own as the others: its peak of memory is what they
are compared with. Word errors are counted against what was said, clip by clip, for the clips alone and for the same
stretch of the long recording; times of the words that are the same in both are compared.
"""

from __future__ import annotations

import argparse
import difflib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from w2vc_runtime import load
from w2vc_runtime.audio.reader import read_audio
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.verify.error_rate import edits

RATE = 16000
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# Different clips, which are then said again: their answers alone are computed once.
CLIPS = 150
PAUSE = RATE
BESIDE = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--hours", action="append", type=float)
    parser.add_argument("--chunk-seconds", type=float)
    parser.add_argument("--context-seconds", type=float)
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--part", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        measure(options, options.part)
        return
    print(f"{options.bundle}, provider {options.provider}, {os.cpu_count()} cores", flush=True)
    for hours in [0.0, *(options.hours or [1.0])]:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", str(hours)], check=True)


def measure(options: argparse.Namespace, hours: float) -> None:
    model = load(options.bundle, options.provider)
    chosen = ChunkOptions(options.chunk_seconds, options.context_seconds)
    plan = model.plan(chosen)
    clips = spoken_clips()
    count = 0
    said: list[tuple[int, float]] = []  # which clip, and where it begins, in seconds

    def blocks(samples: float) -> Iterator[np.ndarray]:
        nonlocal count
        while count < samples:
            clip, _ = clips[len(said) % len(clips)]
            said.append((len(said) % len(clips), count / RATE))
            count += len(clip) + PAUSE
            yield np.concatenate([clip, np.zeros(PAUSE, np.float32)])

    begin = time.perf_counter()
    if not hours:
        long = np.concatenate(list(blocks(plan.chunk)))[: plan.chunk]
        model.chunked((long, RATE), chosen)
        print(f"one chunk of {plan.chunk / RATE:g} s: peak {peak():.0f} MB, {resident():.0f} MB with the model loaded")
        return
    joins: list[float] = []
    transcript = model.chunked((blocks(hours * 3600 * RATE), RATE), chosen, joins.append)
    highest, taken = peak(), time.perf_counter() - begin
    alone = [model((clip, RATE)) for clip, _ in clips]
    starts = np.array([word.start for word in transcript.words])
    errors = own = total = same = 0
    apart: list[float] = []
    near: list[float] = []  # those of words beside a join
    for clip, at in said:
        samples, words = clips[clip]
        end = at + (len(samples) + PAUSE) / RATE
        heard = transcript.words[np.searchsorted(starts, at - 0.5 * PAUSE / RATE) : np.searchsorted(
            starts, end - 0.5 * PAUSE / RATE)]  # fmt: skip
        errors += edits(words, [word.text for word in heard])
        own += edits(words, [word.text for word in alone[clip].words])
        total += len(words)
        pairs = difflib.SequenceMatcher(
            None, [w.text for w in heard], [w.text for w in alone[clip].words], autojunk=False
        )
        for first, second, size in pairs.get_matching_blocks():
            for each, truth in zip(heard[first : first + size], alone[clip].words[second : second + size]):
                both = [abs(each.start - at - truth.start), abs(each.end - at - truth.end)]
                apart += both
                after = np.searchsorted(joins, each.start)
                if min(abs(join - each.start) for join in joins[max(0, after - 1) : after + 1]) < BESIDE:
                    near += both
                same += 1
    times = np.array(apart)
    print(
        f"{count / RATE / 3600:.2f} hours, chunks of {plan.chunk / RATE:g} s, {plan.context / RATE:g} s of context: "
        f"peak {highest:.0f} MB, {count / RATE / taken:.0f} times as fast as it is spoken\n"
        f"  word errors {100 * errors / total:.2f} % of {total}, of the clips alone {100 * own / total:.2f} %\n"
        f"  times of {same} words beside the clips alone: mean {1000 * times.mean():.1f} ms, "
        f"{100 * (times <= 0.04 + 1e-9).mean():.2f} % within 40 ms, worst {1000 * times.max():.0f} ms\n"
        f"  of {len(near) // 2} words within {BESIDE:g} s of a join: "
        f"{100 * (np.array(near) <= 0.04 + 1e-9).mean():.2f} % within 40 ms",
        flush=True,
    )


def spoken_clips() -> list[tuple[np.ndarray, list[str]]]:
    """Digits in a row, 3 to 8 of one speaker with a breath between them, and what is said."""
    folder = Path(os.environ.get("W2VC_DATA", Path(__file__).parents[2] / "shared" / "data")) / "fsdd"
    random = np.random.default_rng(0)
    speakers = sorted({path.name.split("_")[1] for path in folder.glob("*.wav")})
    clips = []
    for number in range(CLIPS):
        digits = random.integers(0, 10, random.integers(3, 9))
        speaker = speakers[number % len(speakers)]
        parts = []
        for digit in digits:
            parts.append(read_audio(folder / f"{digit}_{speaker}_{random.integers(0, 5)}.wav", RATE))
            parts.append(np.zeros(int(random.uniform(0.05, 0.25) * RATE), np.float32))
        clips.append((np.concatenate(parts), [WORDS[digit] for digit in digits]))
    return clips


def peak() -> float:
    """MB, of this process."""
    return status("VmHWM")


def resident() -> float:
    """MB, of this process."""
    return status("VmRSS")


def status(field: str) -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
