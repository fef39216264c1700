"""What the system does to a command: no room, no permission, odd names, other encodings, signals. One line each."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from support.commands import complaints, content
from support.oracle import tiny
from support.paths import DEMO_AUDIO, TRANSCRIPTS
from w2vc_runtime import MissingExtraError, Transcript
from w2vc_runtime.cli import main as cli
from w2vc_runtime.cli import program as command
from w2vc_runtime.cli import progress as progress_module
from w2vc_runtime.cli import run
from w2vc_runtime.cli.progress import CLEAR, Progress

RUN = [sys.executable, "-m", "w2vc_runtime.cli.main"]
EXPORT = [sys.executable, "-m", "w2vc_exporter.cli"]
RECORDING, SPOKEN = next(iter(TRANSCRIPTS.items()))
RECORDING = str(DEMO_AUDIO / RECORDING)
ASCII = {"PYTHONIOENCODING": "ascii"}


def ended(*arguments, code: int = 2, env: dict[str, str] | None = None, **options) -> tuple[str, list[str]]:
    """What ``w2vc`` printed, and what it complained of."""
    result = subprocess.run(
        [*RUN, *(each if isinstance(each, bytes) else str(each) for each in arguments)],
        env={**os.environ, **(env or {})},
        stderr=subprocess.PIPE,
        **{"stdout": subprocess.PIPE, **options},
    )
    assert result.returncode == code, result.stderr
    return (result.stdout or b"").decode(errors="surrogateescape"), complaints(result.stderr.decode())


@pytest.fixture
def named(tmp_path):
    """A copy of a recording under a name."""

    def copy(name: str | bytes) -> str:
        path = os.fsencode(tmp_path) + b"/" + os.fsencode(name)
        Path(os.fsdecode(path)).write_bytes(Path(RECORDING).read_bytes())
        return os.fsdecode(path)

    return copy


@pytest.mark.parametrize("arguments", [["run", "BUNDLE", RECORDING], ["info", "BUNDLE"], ["--help"], ["--version"]])
def test_a_full_disk_behind_standard_output(arguments, digits):
    arguments = [str(digits["fp16"]) if each == "BUNDLE" else each for each in arguments]
    with open("/dev/full", "w") as full:
        _, lines = ended(*arguments, stdout=full)
    assert lines == ["w2vc: cannot write to standard output: No space left on device"]


def test_standard_output_that_is_closed(digits):
    script = f'exec {sys.executable} -m w2vc_runtime.cli.main info "{digits["fp16"]}" >&-'
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "w2vc: standard output is closed; expected a terminal, a pipe or a file\n"


def test_standard_error_that_takes_nothing_loses_no_exit_code(digits, tmp_path):
    with open("/dev/full", "w") as full:
        result = subprocess.run([*RUN, "info", str(tmp_path / "nowhere")], stderr=full)
    assert result.returncode == 2


def test_an_output_directory_that_cannot_be_made(digits):
    _, lines = ended("run", digits["fp16"], RECORDING, "-o", "/proc/w2vc")
    assert lines == ["w2vc: cannot write in /proc/w2vc: No such file or directory"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_directory_that_must_not_be_written(digits, tmp_path):
    tmp_path.chmod(0o500)
    _, lines = ended("run", digits["fp16"], RECORDING, "-o", tmp_path)
    assert lines == [f"w2vc: cannot write in {tmp_path}: Permission denied"]


def test_one_answer_that_cannot_be_written_fails_alone(digits, tone, tmp_path):
    folder = tmp_path / "out"
    (folder / "tone.txt").mkdir(parents=True)
    _, lines = ended("run", digits["fp16"], tone, RECORDING, "-o", folder)
    assert lines[-1] == f"w2vc: {tone}: cannot write {folder / 'tone.txt'}: Is a directory"
    assert sorted(path.name for path in folder.iterdir()) == [f"{Path(RECORDING).stem}.txt", "tone.txt"]


def test_a_path_that_is_too_long_fails_alone(digits):
    shown, lines = ended("run", digits["fp16"], "a" * 5000 + ".wav", RECORDING)
    assert shown == f"{RECORDING}: {SPOKEN}\n"
    assert len(lines) == 1
    assert "a" * 100 in lines[0]
    _, lines = ended("run", digits["fp16"], RECORDING, "-o", "a" * 300)
    assert lines == [f"w2vc: {'a' * 300}: File name too long"]
    _, (line,) = ended("info", "a" * 300)
    assert "a" * 300 in line


def test_an_export_to_a_path_that_is_too_long(tmp_path):
    result = subprocess.run([*EXPORT, "-o", str(tmp_path / ("a" * 300))], capture_output=True, text=True)
    assert result.returncode == 2
    assert complaints(result.stderr) == [f"w2vc-export: cannot write in {tmp_path}: File name too long"]


@pytest.fixture
def echo(monkeypatch):
    """Every recording is said to hold its own name."""

    def answer(self, sources, *options):
        return (Transcript(Path(source).name, (), 1.0) for source in sources)

    monkeypatch.setattr(run.Model, "map", answer)


@pytest.mark.usefixtures("echo")
def test_names_that_are_no_text_are_written_as_they_are(digits, capsysbinary):
    name = os.fsdecode(b"caf\xe9.flac")
    assert cli.main(["run", str(digits["fp16"]), name, name]) == 0
    assert capsysbinary.readouterr().out == b"caf\xe9.flac: caf\xe9.flac\n" * 2
    assert cli.main(["run", str(digits["fp16"]), name, "--format", "json"]) == 0
    shown = capsysbinary.readouterr().out
    assert shown.isascii()
    assert json.loads(shown)["file"] == name


def test_complaints_about_names_that_are_no_text(digits):
    _, lines = ended("run", digits["fp16"], b"/nowhere/caf\xe9.flac")
    assert lines == [r"w2vc: /nowhere/caf\udce9.flac does not exist"]


def test_standard_output_in_ascii(digits, named):
    path = named("café.flac")
    shown, lines = ended("run", digits["fp16"], path, RECORDING, env=ASCII)
    assert shown == f"{RECORDING}: {SPOKEN}\n"  # whose path has no such letter
    assert lines == [
        rf"w2vc: {path}: standard output is in ascii, which has no '\xe9'; ".replace("é", r"\xe9")
        + "set PYTHONIOENCODING=utf-8, or take --format json"
    ]
    shown, _ = ended("run", digits["fp16"], path, "--format", "json", code=0, env=ASCII)
    assert shown.isascii()
    assert json.loads(shown)["file"] == path


def test_what_a_name_holds_is_shown_and_not_obeyed(digits, tmp_path):
    name = "a\nb\x1b[31m\u202e\x9b.wav"
    _, lines = ended("run", digits["fp16"], tmp_path / name)
    assert lines == [rf"w2vc: {tmp_path}/a\nb\x1b[31m\u202e\x9b.wav does not exist"]
    _, lines = ended("info", digits["fp16"], "--no\nsuch\x1b[31m")
    assert len(lines) == 1
    assert r"--no\nsuch\x1b[31m" in lines[0]


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (MemoryError(), "two: it takes more memory than there is", 2),
        (OSError(5, "Input/output error", "two"), "two: Input/output error", 2),
        (OSError(5, "Input/output error"), "two: Input/output error", 2),
        (ZeroDivisionError(), "this is a bug in w2vc; please report the lines above", 3),
    ],
)
@pytest.mark.parametrize("batch_size", ["1", "3"])
def test_a_file_fails_alone_whatever_its_error(error, line, code, batch_size, digits, monkeypatch, capsys):
    def infer(self, clips):
        if any(clip.min() < 0 for clip in clips):
            raise error
        return [Transcript(("one", "three")[int(clip.max()) - 1], (), 1.0) for clip in clips]

    def read(self, source, longest=None):
        return np.full(16000, {"one": 1, "two": -1, "three": 2}[source], np.float32)

    monkeypatch.setattr(run.Model, "read", read)
    monkeypatch.setattr(run.Model, "infer", infer)
    files = ["one", "two", "three"]
    assert cli.main(["run", str(digits["fp16"]), *files, "--batch-size", batch_size]) == code
    captured = capsys.readouterr()
    assert captured.out == "one: one\nthree: three\n"
    assert captured.err.splitlines()[-1] == f"w2vc: {line}"
    assert ("Traceback" in captured.err) == (code == 3)


def test_an_extra_that_is_missing_is_said_once(digits, monkeypatch, capsys):
    def read(self, source, longest=None):
        raise MissingExtraError("resampling from 8000 Hz", "soxr", "cpu")

    monkeypatch.setattr(run.Model, "read", read)
    assert cli.main(["run", str(digits["fp16"]), "one", "two"]) == 2
    assert capsys.readouterr().err == (
        "w2vc: resampling from 8000 Hz needs soxr, which is not installed; pip install 'w2vc[cpu]'\n"
    )


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate 1 TiB"), OSError(28, "No space left", "/x")])
def test_what_the_system_refuses_is_no_bug(error, capsys):
    def refuse() -> int:
        raise error

    assert command.guarded("w2vc", refuse) == 2
    assert capsys.readouterr().err in (
        "w2vc: memory ran out: Unable to allocate 1 TiB\n",
        "w2vc: /x: No space left\n",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_an_export_which_leaves_nothing(number, tmp_path):
    target = tmp_path / "bundle"
    arguments = [*EXPORT, str(tiny("bert-none", "log-mel", brief=True)[1]), "-o", str(target)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not list(tmp_path.glob(".bundle.w2vc-*/scratch")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(number)
        process.send_signal(number)  # as `timeout` does
        shown, said = process.communicate()
    assert process.returncode == 128 + number, said
    assert shown == b""
    assert complaints(said.decode()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_signal_counts_where_a_library_makes_another_error_of_it():
    def call() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException as error:
            raise ValueError("cannot read a tensor") from error
        return 0

    assert command.guarded("w2vc", call) == 128 + signal.SIGTERM


def test_signals_that_are_ignored_stay_so():
    """As under nohup; and what handles them is as it was afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert command.guarded("w2vc", lambda: os.kill(os.getpid(), signal.SIGHUP) or 7) == 7
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert signal.getsignal(signal.SIGTERM) == before
    with contextlib.suppress(ValueError):  # in another thread there is nothing to handle
        thread = threading.Thread(target=command.guarded, args=("w2vc", lambda: 0))
        thread.start()
        thread.join()


class Screen(io.StringIO):
    """A stream that says when something was written. live: whether it is a terminal."""

    def __init__(self, live: bool, until: str) -> None:
        super().__init__()
        self.live, self.until, self.seen = live, until, threading.Event()

    def isatty(self) -> bool:
        return self.live

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.until in self.getvalue():
            self.seen.set()
        return written


@pytest.fixture
def hours(monkeypatch):
    """An hour goes by at every look at the clock, and signs of life come at once."""
    clock = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(progress_module.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(progress_module, "TICK", 0.01)
    monkeypatch.setattr(progress_module, "BEAT", 0.01)


@pytest.mark.parametrize("live", [True, False])
def test_a_long_step_shows_that_it_runs(live, hours):
    screen = Screen(live, "[1/2] walking: 3 of 4 miles ...")
    with Progress(2, screen).step("walking") as report:
        report("3 of 4 miles")
        assert screen.seen.wait(20)
    lines = screen.getvalue().replace(CLEAR, "\n" if live else "").splitlines()
    clocks = [line for line in lines if line.startswith("[1/2] walking: 3 of 4 miles ... ") and line.endswith("00 s")]
    assert clocks or live
    assert lines[-1].startswith("[1/2] walking: ")
    assert lines[-1].endswith("00.0 s")
    assert (CLEAR in screen.getvalue()) == live


def test_a_terminal_has_a_clock_that_ticks(hours):
    screen = Screen(True, "")
    ticks: set[str] = set()
    with Progress(1, screen).step("walking"):
        while len(ticks) < 3:
            ticks = {line for line in screen.getvalue().split(CLEAR) if line.endswith("00 s")}
            time.sleep(0.01)
    assert all(tick.startswith("[1/1] walking ... ") for tick in ticks)


def test_lines_of_a_log_add_up():
    """Each step's time, and that since the start; a step that fails leaves the last word to its error."""
    log = Screen(False, "")
    progress = Progress(3, log)
    for title in ("one", "t\x1b[31mwo"):
        with progress.step(title):
            pass
    with pytest.raises(ZeroDivisionError), progress.step("three"):
        raise ZeroDivisionError
    first, second = log.getvalue().splitlines()
    assert first == "[1/3] one: 0.0 s"
    assert second == r"[2/3] t\x1b[31mwo: 0.0 s, 0.0 s in all"


def test_an_interrupted_answer_leaves_no_part_of_it(tmp_path, monkeypatch):
    def interrupt(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run._write(tmp_path / "a.txt", "text")
    assert content(tmp_path) == {}
