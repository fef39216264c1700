"""Runs a command of ours on an input that was made to break it, and says what is wrong with what came of it.

What must hold: an exit code that the documents name, no traceback, on standard error no line but ours, nothing that a
native library wrote past Python, and no file opened that is not the input's. Scripts beside this one make inputs of one
kind each, the same ones every time; run as programs they try all, and print how many came to what.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import hashlib
import importlib
import io
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.paths import DEMO_AUDIO, ROOT

AUDIO = DEMO_AUDIO / "seven-two-nine.flac"
LINE = re.compile(r"w2vc(-export)?( \w+)?: .")
PROGRESS = re.compile(r"\[\d+/\d+\] ")
# What Python opens when it imports a module, and to know the machine.
OWN = tuple(
    os.path.realpath(path)
    for path in {
        *sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, *sys.path[1:], "/proc", "/sys", "/dev/null",
        "/etc/os-release", ROOT / "model", ROOT / "runtime", ROOT / "exporter",
    }
    if path and not os.path.realpath(tempfile.gettempdir()).startswith(os.path.realpath(path))
)  # fmt: skip
EVENTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")
IN_OPEN, IN_NONBLOCK = 0x20, 0x800


@dataclass(frozen=True)
class Attempt:
    """What a command did.

    code: with which it ended. output, errors: what it printed. native: what was written to the file descriptors of the
    process beside that. opened: files that it opened, or wanted to, and are not the input's; and programs that it ran.
    """

    code: int
    output: str
    errors: str
    native: str
    opened: tuple[str, ...]

    @property
    def fault(self) -> str | None:
        """What must not be, or None."""
        lines = [line for line in self.errors.splitlines() if not PROGRESS.match(line)]
        if "Traceback" in self.errors or self.code not in (0, 1, 2):
            return f"ended with {self.code}: {lines[-2:]}"
        if self.opened:
            return f"opened {', '.join(self.opened)}"
        if self.native:
            return f"native libraries wrote {self.native[:300]!r}"
        if strange := [line for line in lines if not LINE.match(line)]:
            return f"wrote {strange[0]!r}"
        if self.code and not lines:
            return f"ended with {self.code} without a word"
        return None


def attempt(
    main: Callable[[list[str]], int], arguments: Sequence[object], inside: Iterable[Path], outside: Path | None = None
) -> Attempt:
    """Run a command line. inside: files and directories that it may open. outside: a directory that is watched.

    Python says what it opens itself. What native libraries open is seen in ``outside`` alone, by the kernel.
    """
    allowed = (*OWN, *map(os.path.realpath, inside))
    with _written() as native, _printed() as (output, errors), _opened() as opened, _watched(outside) as entered:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    foreign = [path for path in dict.fromkeys(opened) if path.startswith(EVENTS) or not _within(path, allowed)]
    return Attempt(code, output(), errors(), native(), (*foreign, *entered))


@contextlib.contextmanager
def _written() -> Iterator[Callable[[], str]]:
    """What arrives at the file descriptors of standard output and error."""
    sys.stdout.flush()
    sys.stderr.flush()
    content = b""
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as file:
        try:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
            yield lambda: content.decode(errors="replace")
        finally:
            ctypes.CDLL(None).fflush(None)
            for descriptor, old in zip((1, 2), kept):
                os.dup2(old, descriptor)
                os.close(old)
            file.seek(0)
            content = file.read()


@contextlib.contextmanager
def _printed() -> Iterator[tuple[Callable[[], str], Callable[[], str]]]:
    """What Python prints: to streams in UTF-8, as a terminal has them, that are nobody's file descriptor."""
    streams = [
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)
        for errors in ("strict", "backslashreplace")
    ]
    contents = [lambda stream=stream: stream.buffer.getvalue().decode() for stream in streams]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        yield contents[0], contents[1]


_listener: list[str] | None = None
_listening = False


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _listener is None:
        return
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        _listener.append(os.fsdecode(arguments[0]))
    elif event in EVENTS:
        _listener.append(f"{event} {arguments[0]!r}")


@contextlib.contextmanager
def _opened() -> Iterator[list[str]]:
    """Every file that Python opens, or is asked to, and every program that it runs."""
    global _listener, _listening
    if not _listening:
        sys.addaudithook(_hear)  # for good: there is no way to take it back
        _listening = True
    _listener = heard = []
    try:
        yield heard
    finally:
        _listener = None


def _within(path: str, places: Iterable[str]) -> bool:
    real = os.path.realpath(path)
    return any(real == place or real.startswith(place + os.sep) for place in places)


@contextlib.contextmanager
def _watched(folder: Path | None) -> Iterator[list[str]]:
    """Files of a directory that anybody opens, native libraries included."""
    names: list[str] = []
    if folder is None:
        yield names
        return
    libc = ctypes.CDLL(None)
    descriptor = libc.inotify_init1(IN_NONBLOCK)
    try:
        if libc.inotify_add_watch(descriptor, os.fsencode(folder), IN_OPEN) < 0:
            raise OSError(f"cannot watch {folder}")
        yield names
        with contextlib.suppress(BlockingIOError):
            while events := os.read(descriptor, 1 << 16):
                while events:
                    length = int.from_bytes(events[12:16], sys.byteorder)
                    name = events[16 : 16 + length].rstrip(b"\0").decode(errors="replace")
                    if name:  # otherwise somebody looked at the directory itself
                        names.append(f"{folder}/{name} (by whomever)")
                    events = events[16 + length :]
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Bundle:
    """A good bundle to make bad ones of. outside: a directory beside it, with files that it has no right to.

    audio: a recording. said: what is answered for it.
    """

    path: Path
    outside: Path
    audio: Path
    said: str

    @classmethod
    def of(cls, path: Path, folder: Path) -> Bundle:
        """A copy of a bundle, in a new directory."""
        outside, audio = folder / "outside", folder / AUDIO.name
        shutil.copytree(path, folder / path.name)
        outside.mkdir()
        for name in ("model.onnx", "verification.npz", "report.json", "report.html", "manifest.json"):
            shutil.copyfile(path / name, outside / name)
        shutil.copyfile(AUDIO, audio)
        made = cls(folder / path.name, outside, audio, "")
        info, run, verify = made.attempts()
        if faults := [each for each in (info, run, verify) if each.fault or each.code]:
            raise AssertionError(f"{path} is no good bundle: {faults}")
        return dataclasses.replace(made, said=run.output)

    def copy(self, folder: Path) -> Bundle:
        """Another one, with the same files."""
        folder.mkdir()
        shutil.copytree(self.path, folder / self.path.name)
        shutil.copytree(self.outside, folder / "outside")
        return dataclasses.replace(self, path=folder / self.path.name, outside=folder / "outside")

    def attempts(self, path: Path | None = None) -> tuple[Attempt, Attempt, Attempt]:
        """What ``w2vc info``, ``run`` and ``verify`` make of it. path: of the bundle, where it is another."""
        path = path or self.path
        main, inside, cpu = command("w2vc"), (path, self.audio), ("--provider", "cpu")
        commands = (("info", path), ("run", path, self.audio, *cpu), ("verify", path, *cpu))
        info, run, verify = (attempt(main, arguments, inside, self.outside) for arguments in commands)
        return info, run, verify


@contextlib.contextmanager
def exported(arguments: Sequence[str]) -> Iterator[tuple[list[Bundle], Path]]:
    """Good bundles to start from, and an empty directory. arguments: bundles; none: of the carried checkpoints."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "made").mkdir()
        paths = [Path(argument) for argument in arguments]
        if not paths:
            from w2vc_exporter import ExportOptions, export

            options = (("digits", "ctc"), ("digits-bert", "ctc"), ("keywords", "sequence-classification"))
            paths = [
                export(ExportOptions(checkpoint, head=head, output=folder / "made" / checkpoint)).bundle
                for checkpoint, head in options
            ]
        bundles = []
        for path in paths:
            (folder / f"good-{path.name}").mkdir()
            bundles.append(Bundle.of(path, folder / f"good-{path.name}"))
        (folder / "work").mkdir()
        yield bundles, folder / "work"


def entry(path: Path) -> dict[str, Any]:
    """Hash and size of a file, as a manifest has them."""
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def hashed(document: dict[str, Any]) -> str:
    """A document's own hash, as docs/bundle.md says: by a second implementation."""
    kept = {key: value for key, value in document.items() if key not in ("sha256", "created")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def sign(bundle: Path) -> None:
    """Make all hashes of a bundle fit its files again."""
    document = json.loads((bundle / "manifest.json").read_text())
    for name in document["files"]:
        if (bundle / name).is_file():
            document["files"][name] = entry(bundle / name)
    document["sha256"] = hashed(document)
    (bundle / "manifest.json").write_text(json.dumps(document))
    sign_report(bundle)


def sign_report(bundle: Path) -> None:
    """Make the report that of the bundle's manifest, where that can be read, and of its page."""
    with contextlib.suppress(ValueError, RecursionError):
        manifest = json.loads((bundle / "manifest.json").read_text())
        report = json.loads((bundle / "report.json").read_text())
        report["manifest"] = hashed({key: value for key, value in manifest.items() if key != "engines"})
        report["page"] = entry(bundle / "report.html")
        report["sha256"] = hashed(report)
        (bundle / "report.json").write_text(json.dumps(report))


def tally(kind: str, results: Iterable[tuple[str, Sequence[Attempt], str | None]]) -> int:
    """Print what inputs came to; return an exit code.

    results: of each input its name, the attempts, and what is wrong beside what `Attempt.fault` says, or None.
    """
    counts: Counter[str] = Counter()
    faults = []
    for name, attempts, wrong in results:
        counts["inputs"] += 1
        for each in attempts:
            counts["attempts"] += 1
            counts[f"ended with {each.code}"] += 1
            if each.fault is not None:
                faults.append(f"{name}: {each.fault}")
        if wrong is not None:
            faults.append(f"{name}: {wrong}")
    for fault in faults:
        print(fault)
    print(f"{kind}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}, {len(faults)} faults")
    return 1 if faults else 0


def command(name: str) -> Callable[[list[str]], int]:
    """The entry point of ``w2vc`` or ``w2vc-export``."""
    modules = {"w2vc": "w2vc_runtime.cli.main", "w2vc-export": "w2vc_exporter.cli"}
    return importlib.import_module(modules[name]).main
