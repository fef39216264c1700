"""Audio that a hostile or unlucky user hands to ``w2vc run``, made here, the same each time.

    python -m support.hostile.audio BUNDLE

Each file goes through the real command, in this process, with standard output and error caught as file descriptors, so
that lines of native libraries count. A right outcome is exit code 0 with the words that are said, where they are known;
or exit code 2 with one line of ours. There is no traceback, and no other line.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from support.paths import DEMO_AUDIO
from w2vc_runtime.cli import main as cli

SPEECH = DEMO_AUDIO / "seven-two-nine.flac"
TEXT = "seven two nine"
RATE = 16000
FORMATS = (
    ("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
    ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAVEX", "PCM_16"),
    ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"), ("W64", "PCM_16"), ("RF64", "PCM_16"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"),
    ("NIST", "PCM_16"),
)  # fmt: skip
REFUSED = "refused"


@dataclass(frozen=True)
class Case:
    """One input: what to hand to the command.

    make: writes it in a folder, and gives the argument. wanted: the text that must come of it, `REFUSED`, or None for
    either an answer or a refusal.
    """

    name: str
    make: Callable[[Path], str]
    wanted: str | None = None
    standard_input: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a case. problem: None for a right outcome."""

    case: Case
    code: int
    out: str
    err: str

    @property
    def problem(self) -> str | None:
        lines = self.err.splitlines()
        if self.code not in (0, 2):
            return f"exit code {self.code}"
        if any(not line.startswith("w2vc: ") for line in lines) or len(lines) > 1:
            return "a line that is not ours, or more than one"
        if self.code == 2 and (len(lines) != 1 or self.out):
            return "a refusal is one line, and no answer"
        if self.case.wanted == REFUSED and self.code == 0:
            return "answered"
        if self.case.wanted not in (None, REFUSED) and self.out.strip() != self.case.wanted:
            return f"answered {self.out.strip()!r}"
        return None


def speech() -> np.ndarray:
    """The words of `TEXT`, float32 [time] at 16 kHz."""
    return soundfile.read(SPEECH, dtype="float32")[0]


def encoded(samples: np.ndarray, rate: int = RATE, form: str = "WAV", subtype: str | None = None) -> bytes:
    """A whole file."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=form, subtype=subtype)
    return stream.getvalue()


def wav(
    *, form: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16, claimed: int | None = None, data: bytes = b""
) -> bytes:
    """A wav file by hand, right or wrong. claimed: bytes of samples by its header."""
    size = len(data) if claimed is None else claimed
    block = channels * bits // 8
    fields = struct.pack("<HHIIHH", form, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    head = struct.pack("<4sI4s4sI", b"RIFF", min(size + 36, 0xFFFFFFFF), b"WAVE", b"fmt ", 16)
    return head + fields + struct.pack("<4sI", b"data", size) + data


def cases() -> list[Case]:
    """All of them."""
    return [*_damaged(), *_contents(), *_names(), *_pipes()]


def _file(name: str, content: bytes, wanted: str | None = None) -> Case:
    def make(folder: Path) -> str:
        path = folder / "audio"
        path.write_bytes(content)
        return str(path)

    return Case(name, make, wanted)


def _damaged() -> Iterator[Case]:
    generator = np.random.default_rng(0)
    for form, subtype in FORMATS:
        whole = encoded(speech(), RATE, form, subtype)
        name = f"{form} {subtype}"
        yield _file(f"{name}, whole", whole, TEXT)
        yield _file(f"{name}, first half", whole[: len(whole) // 2])
        yield _file(f"{name}, first 20 bytes", whole[:20], REFUSED)
        noisy = bytearray(whole)
        for index in generator.integers(len(whole) // 10, len(whole), 300):
            noisy[index] = generator.integers(256)
        yield _file(f"{name}, 300 wrong bytes", bytes(noisy))


def _contents() -> Iterator[Case]:
    samples = speech()
    flac = encoded(samples, form="FLAC")
    claim = bytearray(flac)
    claim[21] |= 0x0F
    claim[22:26] = b"\xff" * 4
    yield _file("FLAC that claims 2^36 samples", bytes(claim), REFUSED)
    claim[21] &= 0xF0
    claim[22:26] = bytes(4)
    yield _file("FLAC that does not say its length", bytes(claim))
    for rate in (0, 1, 999, 2**31 - 1, 2**32 - 1):
        yield _file(f"rate of {rate} Hz", wav(rate=rate, data=bytes(40000)), REFUSED)
    for rate in (8000, 48000):
        yield _file(f"rate of {rate} Hz", encoded(np.interp(np.arange(0, len(samples), RATE / rate),
                    np.arange(len(samples)), samples).astype(np.float32), rate), TEXT)  # fmt: skip
    for channels, wanted in ((2, TEXT), (8, TEXT), (65, REFUSED), (1024, REFUSED)):
        yield _file(f"{channels} channels", encoded(np.repeat(samples[:, None], channels, axis=1)), wanted)
    yield _file("header of no channels", wav(channels=0, data=bytes(4000)), REFUSED)
    yield _file("header of 65535 channels", wav(channels=65535, bits=8, data=bytes(400000)), REFUSED)
    yield _file("header of 0 bits", wav(bits=0, data=bytes(4000)), REFUSED)
    yield _file("header of an unknown codec", wav(form=0x7777, data=bytes(4000)), REFUSED)
    for value in (np.nan, np.inf, -np.inf, 1e20, 1e30, 3e38):
        broken = samples.copy()
        broken[1000] = value
        yield _file(f"one sample of {value:g}", encoded(broken, subtype="FLOAT"), REFUSED)
    yield _file("speech times 1e38", encoded(samples * np.float32(1e38), subtype="FLOAT"), REFUSED)
    yield _file("double times 1e300", encoded(samples.astype(np.float64) * 1e300, subtype="DOUBLE"), REFUSED)
    yield _file("speech times 32768", encoded(samples * 32768, subtype="FLOAT"), TEXT)
    yield _file("speech times 1e-30", encoded(samples * np.float32(1e-30), subtype="FLOAT"))
    yield _file("silence", encoded(np.zeros(RATE)), "")
    for count in (0, 1, 399):
        yield _file(f"{count} samples", encoded(np.zeros(count)), REFUSED)
    yield _file("no bytes", b"", REFUSED)
    yield _file("text", b"seven two nine\n", REFUSED)
    yield _file("mp3 behind a tag of 200 MB", b"ID3\x04\x00\x00\x5f\x7f\x7f\x7f" + bytes(1000), REFUSED)


def _names() -> Iterator[Case]:
    def named(name: bytes) -> Callable[[Path], str]:
        def make(folder: Path) -> str:
            path = os.fsencode(folder) + b"/" + name
            with open(path, "wb") as stream:
                stream.write(SPEECH.read_bytes())
            return os.fsdecode(path)

        return make

    def loop(folder: Path) -> str:
        (folder / "loop").symlink_to(folder / "loop")
        return str(folder / "loop")

    yield Case("a name that is not UTF-8", named(b"\xff\xfe.flac"), TEXT)
    yield Case("a name with a line's end", named(b"two\nlines.flac"), TEXT)
    yield Case("a missing name that is not UTF-8", lambda folder: os.fsdecode(b"\xff\xfe.flac"), REFUSED)
    yield Case("a missing name with a line's end", lambda folder: "two\nlines.flac", REFUSED)
    yield Case("a name of 5000 letters", lambda folder: "x" * 5000, REFUSED)
    yield Case("a name with a NUL", lambda folder: "a\0b", REFUSED)
    yield Case("a directory", str, REFUSED)
    yield Case("links in a ring", loop, REFUSED)


def _pipes() -> Iterator[Case]:
    def fifo(content: bytes) -> Callable[[Path], str]:
        def make(folder: Path) -> str:
            path = folder / "fifo"
            os.mkfifo(path)
            threading.Thread(target=path.write_bytes, args=(content,)).start()
            return str(path)

        return make

    yield Case("a fifo", fifo(SPEECH.read_bytes()), TEXT)
    yield Case("a fifo with nothing in it", fifo(b""), REFUSED)
    yield Case("-", lambda folder: "-", TEXT, SPEECH.read_bytes())
    yield Case("/dev/stdin", lambda folder: "/dev/stdin", TEXT, SPEECH.read_bytes())
    yield Case("- with nothing in it", lambda folder: "-", REFUSED, b"")
    yield Case("/dev/null", lambda folder: "/dev/null", REFUSED)


def run(case: Case, bundle: Path, provider: str = "cpu") -> Outcome:
    """Hand a case to the command."""
    with tempfile.TemporaryDirectory() as folder:
        argument = case.make(Path(folder))
        with _caught(case.standard_input) as streams:
            code = cli.main(["run", str(bundle), argument, "--provider", provider])
        return Outcome(case, code, *(stream.decode(errors="replace") for stream in streams))


@contextlib.contextmanager
def _caught(given: bytes | None) -> Iterator[list[bytes]]:
    """Standard output and error as bytes, of Python and of native libraries; standard input given."""
    content: list[bytes] = []
    streams = sys.stdin, sys.stdout, sys.stderr
    for stream in streams[1:]:
        stream.flush()
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in streams]
        files[0].write(given or b"")
        files[0].seek(0)
        kept = [os.dup(descriptor) for descriptor in range(3)]
        for descriptor, file in enumerate(files):
            os.dup2(file.fileno(), descriptor)
        sys.stdin, sys.stdout, sys.stderr = (
            stack.enter_context(open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False))
            for descriptor, mode in enumerate("rww")
        )
        try:
            yield content
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdin, sys.stdout, sys.stderr = streams
            for descriptor, own in enumerate(kept):
                os.dup2(own, descriptor)
                os.close(own)
            for file in files[1:]:
                file.seek(0)
                content.append(file.read())


def main() -> int:
    bundle = Path(sys.argv[1])
    outcomes = [run(case, bundle) for case in cases()]
    for outcome in outcomes:
        if outcome.problem:
            print(f"{outcome.case.name}: {outcome.problem}\n{outcome.err}")
    counts = Counter("wrong" if each.problem else "answered" if each.code == 0 else "refused" for each in outcomes)
    print(f"{len(outcomes)} inputs: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
