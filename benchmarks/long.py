"""Hours of speech in chunks: memory, word errors and times, beside the same clips alone.

    python benchmarks/long.py BUNDLE [--hours 1 --hours 6] [--whole 4] [--chunk-seconds S] [--provider cpu]

Clips are recordings of $W2VC_DATA (default: ../shared/data): spoken digits of fsdd, put together, with a pause of a
second between them. The first row is one chunk, in a process of its own as the others: its peak of memory is what they
are compared with. Word errors are counted against what was said, clip by clip, for the clips alone and for the same
stretch of the long recording; times of the words that are the same in both are compared.

``--whole`` recordings of a minute and a half, which fit the memory, are answered as a whole too: what the joins do to
times is what chunks and the whole do not share; what neighbours in the model's context do, the whole has as well. The
truth is where each digit was put. It fails where a word's times in chunks are not within 40 ms of those in the whole.
"""

from __future__ import annotations

import argparse
import difflib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from w2vc_runtime import Model, load
from w2vc_runtime.audio.reader import read_audio
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.results import Word
from w2vc_runtime.verify.error_rate import edits

RATE = 16000
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# Different clips, which are then said again: their answers alone are computed once.
CLIPS = 150
PAUSE = RATE
BESIDE = 1.0
# Clips of a recording that is answered as a whole too, and how far a word's times may be from those in it.
TOGETHER = 20
TOLERANCE = 0.04 + 1e-9


@dataclass(frozen=True)
class Clip:
    """Digits that one speaker says in a row. spans: of each, in seconds."""

    samples: np.ndarray
    words: list[str]
    spans: list[tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--hours", action="append", type=float)
    parser.add_argument("--chunk-seconds", type=float)
    parser.add_argument("--context-seconds", type=float)
    parser.add_argument("--whole", type=int, default=4, metavar="N")
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--part", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        measure(options, options.part)
        return
    print(f"{options.bundle}, provider {options.provider}, {os.cpu_count()} cores", flush=True)
    for hours in [0.0, *(options.hours or [1.0])]:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", str(hours)], check=True)
    if options.whole:
        compare(options)


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
            clip = clips[len(said) % len(clips)].samples
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
    alone = [model((clip.samples, RATE)) for clip in clips]
    starts = np.array([word.start for word in transcript.words])
    errors = own = total = same = 0
    apart: list[float] = []
    near: list[float] = []  # those of words beside a join
    for clip, at in said:
        samples, words = clips[clip].samples, clips[clip].words
        end = at + (len(samples) + PAUSE) / RATE
        heard = transcript.words[np.searchsorted(starts, at - 0.5 * PAUSE / RATE) : np.searchsorted(
            starts, end - 0.5 * PAUSE / RATE)]  # fmt: skip
        errors += edits(words, [word.text for word in heard])
        own += edits(words, [word.text for word in alone[clip].words])
        total += len(words)
        for each, other in pairs(heard, moved(alone[clip].words, at)):
            both = [abs(each.start - other.start), abs(each.end - other.end)]
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
        f"{100 * (times <= TOLERANCE).mean():.2f} % within 40 ms, worst {1000 * times.max():.0f} ms\n"
        f"  of {len(near) // 2} words within {BESIDE:g} s of a join: "
        f"{100 * (np.array(near) <= TOLERANCE).mean():.2f} % within 40 ms",
        flush=True,
    )


def compare(options: argparse.Namespace) -> None:
    """Print the times of words in chunks beside those in the whole, in the clips alone, and the truth."""
    model, clips = load(options.bundle, options.provider), spoken_clips()
    chosen = ChunkOptions(options.chunk_seconds, options.context_seconds)
    found: dict[str, list[Word]] = {"chunks": [], "the whole": [], "the clips alone": [], "the truth": []}
    seconds, joins = 0.0, 0
    for number in range(options.whole):
        chunked, whole, alone, truth, cuts = answers(model, chosen, clips[number * TOGETHER :][:TOGETHER])
        for words, new in zip(found.values(), (chunked, whole, alone, truth)):
            words += moved(new, seconds)
        seconds += cuts[-1]
        joins += len(cuts) - 1
    print(
        f"{options.whole} recordings of {seconds / options.whole:.0f} s, {joins} joins; times of words, start and end:"
    )
    for one, other in (
        ("chunks", "the whole"), ("chunks", "the clips alone"), ("the whole", "the clips alone"),
        ("chunks", "the truth"), ("the whole", "the truth"), ("the clips alone", "the truth"),
    ):  # fmt: skip
        both = pairs(found[one], found[other])
        apart = np.abs([[each.start - mate.start, each.end - mate.end] for each, mate in both])
        share = 100 * (apart <= TOLERANCE).mean(axis=0)
        print(
            f"  {one} beside {other}: {len(both)} words, mean {1000 * apart.mean():.1f} ms, "
            f"{share[0]:.2f} % of starts and {share[1]:.2f} % of ends within 40 ms, worst {1000 * apart.max():.0f} ms",
            flush=True,
        )
        assert (one, other) != ("chunks", "the whole") or (apart <= TOLERANCE).all(), "times differ at joins"


def answers(model: Model, options: ChunkOptions, clips: Sequence[Clip]) -> tuple[list[Word], ...]:
    """The words of clips in one recording: in chunks, as a whole, of each clip alone, in truth; then its cuts."""
    parts, alone, truth, count = [], [], [], 0
    for clip in clips:
        alone += moved(model((clip.samples, RATE)).words, count / RATE)
        truth += moved([Word(word, *span, 1.0) for word, span in zip(clip.words, clip.spans)], count / RATE)
        parts += [clip.samples, np.zeros(PAUSE, np.float32)]
        count += len(clip.samples) + PAUSE
    recording, cuts = (np.concatenate(parts), RATE), []
    chunked = model.chunked(recording, options, cuts.append)
    return list(chunked.words), list(model(recording).words), alone, truth, cuts


def moved(words: Sequence[Word], seconds: float) -> list[Word]:
    return [replace(word, start=word.start + seconds, end=word.end + seconds) for word in words]


def pairs(words: Sequence[Word], others: Sequence[Word]) -> list[tuple[Word, Word]]:
    """The words that are the same in both."""
    match = difflib.SequenceMatcher(None, [w.text for w in words], [w.text for w in others], autojunk=False)
    blocks = match.get_matching_blocks()
    return [both for a, b, size in blocks for both in zip(words[a : a + size], others[b : b + size])]


def spoken_clips() -> list[Clip]:
    """Digits in a row, 3 to 8 of one speaker with a breath between them."""
    folder = Path(os.environ.get("W2VC_DATA", Path(__file__).parents[2] / "shared" / "data")) / "fsdd"
    random = np.random.default_rng(0)
    speakers = sorted({path.name.split("_")[1] for path in folder.glob("*.wav")})
    clips = []
    for number in range(CLIPS):
        digits = random.integers(0, 10, random.integers(3, 9))
        speaker = speakers[number % len(speakers)]
        parts, spans, at = [], [], 0
        for digit in digits:
            parts.append(read_audio(folder / f"{digit}_{speaker}_{random.integers(0, 5)}.wav", RATE))
            spans.append((at / RATE, (at + len(parts[-1])) / RATE))
            parts.append(np.zeros(int(random.uniform(0.05, 0.25) * RATE), np.float32))
            at += len(parts[-2]) + len(parts[-1])
        clips.append(Clip(np.concatenate(parts), [WORDS[digit] for digit in digits], spans))
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
