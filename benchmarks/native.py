"""The native runtime beside Python's: features, samples to text, and the first text of a cold process.

``python benchmarks/native.py`` builds ``runtime/cpp`` where needed, and prints a table. Both sides take turns in one
run, on the same ONNX Runtime, and the figure is the median of their ratios: Python's time divided by the native one's.
Rows go into ``benchmarks/results/native.json``.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from recorded import record

from w2vc_exporter import ExportOptions, export
from w2vc_runtime import load
from w2vc_runtime.verify.cases import noise

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "native" / "release"
SECONDS = (1, 5, 20)
# Seconds in which features are computed again and again, for one figure.
WINDOW = 0.1


@dataclass(frozen=True)
class Row:
    """Medians of what took turns. ratio: Python's time divided by the native one's."""

    what: str
    python_ms: float
    native_ms: float
    ratio: float


class Native:
    """The C interface, of a program's own."""

    def __init__(self, library: Path, bundle: Path) -> None:
        self.functions = ctypes.CDLL(os.fspath(library))
        self.functions.w2vc_result_text.restype = ctypes.c_char_p
        self.functions.w2vc_result_text.argtypes = [ctypes.c_void_p]
        self.functions.w2vc_result_free.argtypes = [ctypes.c_void_p]
        self.model = ctypes.c_void_p()
        message = ctypes.create_string_buffer(512)
        if self.functions.w2vc_model_load(os.fsencode(bundle), None, ctypes.byref(self.model), message):
            raise SystemExit(message.raw[4:].split(b"\0")[0].decode())

    def text(self, samples: np.ndarray) -> str:
        """What is said in samples."""
        result = ctypes.c_void_p()
        pointer = samples.ctypes.data_as(ctypes.c_void_p)
        count = ctypes.c_size_t(len(samples))
        if self.functions.w2vc_run(self.model, None, pointer, count, ctypes.byref(result), None):
            raise SystemExit("w2vc_run failed")
        text = self.functions.w2vc_result_text(result).decode()
        self.functions.w2vc_result_free(result)
        return text


def turns(pairs: Sequence[Callable[[], object]], count: int) -> tuple[list[float], list[float]]:
    """Times in milliseconds of two functions that take turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(count):
        for each in (0, 1) if turn % 2 else (1, 0):
            start = time.perf_counter()
            pairs[each]()
            times[each].append(1000 * (time.perf_counter() - start))
    return times


def row(name: str, python: Sequence[float], native: Sequence[float]) -> Row:
    """A line of the table, printed."""
    ratio = statistics.median(a / b for a, b in zip(python, native))
    found = Row(name, statistics.median(python), statistics.median(native), ratio)
    print(f"| {name} | {found.python_ms:.2f} | {found.native_ms:.2f} | {ratio:.2f} |", flush=True)
    return found


def feature_rows(bundles: dict[str, Path], count: int) -> list[Row]:
    """Features alone, timed inside each program: what the call costs is in neither."""
    rows = []
    for name, bundle in bundles.items():
        with load(bundle, "cpu") as model:
            for seconds in SECONDS:
                clip = noise(16000 * seconds, 16000, np.random.default_rng(0))
                recipe = model.manifest.features
                python, native = [], []
                with tempfile.NamedTemporaryFile() as samples:
                    clip.tofile(samples.name)
                    start = time.perf_counter()
                    recipe([clip], model.manifest.padding)
                    times = 1 + int(WINDOW / (time.perf_counter() - start))
                    for _ in range(count):
                        start = time.perf_counter()
                        for _ in range(times):
                            recipe([clip], model.manifest.padding)
                        python.append(1000 * (time.perf_counter() - start) / times)
                        command = [BUILD / "tests" / "w2vc_time_features", bundle, samples.name, str(times)]
                        native.append(float(subprocess.run(command, capture_output=True, check=True).stdout))
                rows.append(row(f"features, {name}, {seconds} s", python, native))
    return rows


def text_rows(bundles: dict[str, Path], library: Path, count: int) -> list[Row]:
    """Samples to text."""
    rows = []
    for name, bundle in bundles.items():
        native = Native(library, bundle)
        with load(bundle, "cpu") as model:
            for seconds in SECONDS:
                clip = noise(16000 * seconds, 16000, np.random.default_rng(0))
                # Each bound to what it is called with in this turn.
                pair = (lambda c=clip, m=model: m((c, 16000)).text, lambda c=clip, n=native: n.text(c))
                assert pair[0]() == pair[1]()
                rows.append(row(f"samples to text, {name}, {seconds} s", *turns(pair, count)))
    return rows


def cold_row(bundle: Path, program: Path, count: int) -> Row:
    """From the start of a process to the first text of the demo's recording."""
    import soundfile

    recording = ROOT / "examples" / "digits" / "audio" / "seven-two-nine.flac"
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "recording.wav"
        samples, rate = soundfile.read(recording, dtype="int16")
        soundfile.write(wav, samples, rate, subtype="PCM_16")
        python = [
            sys.executable,
            "-c",
            f"from w2vc_runtime import load; print(load({str(bundle)!r}, 'cpu')({str(wav)!r}).text)",
        ]
        pair = [
            lambda: subprocess.run(python, check=True, capture_output=True).stdout,
            lambda: subprocess.run([program, bundle, wav], check=True, capture_output=True).stdout.splitlines()[0],
        ]
        assert pair[0]().strip() == pair[1]().strip()
        return row("first text of a cold process", *turns(pair, count))


def build(folder: Path) -> tuple[Path, Path]:
    """The shared library, and the example of C."""
    commands: list[list[str | Path]] = [
        ["cmake", "-S", ROOT / "runtime" / "cpp", "-B", BUILD, "-DCMAKE_BUILD_TYPE=Release", "-DW2VC_TESTS=ON"],
        ["cmake", "--build", BUILD, "--parallel", "2"],
        ["cmake", "--install", BUILD, "--prefix", folder / "prefix"],
        ["cmake", "-S", ROOT / "examples" / "c", "-B", folder / "c", f"-DCMAKE_PREFIX_PATH={folder / 'prefix'}"],
        ["cmake", "--build", folder / "c"],
    ]
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return BUILD / "libw2vc.so", folder / "c" / "transcribe"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=41)
    count = parser.parse_args().turns
    capi = Path(onnxruntime.__file__).parent / "capi"
    os.environ["W2VC_ONNXRUNTIME"] = os.fspath(next(iter(capi.glob("libonnxruntime.so.*"))))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, program = build(folder)
        bundles = {
            each: export(ExportOptions(each, head="ctc", output=folder / each)).bundle
            for each in ("digits", "digits-bert")
        }
        load_before = os.getloadavg()[0]
        print("| what | Python, ms | native, ms | ratio |")
        print("|---|---|---|---|")
        rows = [
            *feature_rows(bundles, count),
            *text_rows(bundles, library, count),
            cold_row(bundles["digits"], program, count),
        ]
    record("native", "beside Python", [dataclasses.asdict(each) for each in rows], load_before)


if __name__ == "__main__":
    main()
