"""The command ``w2vc``: run a bundle, look into one."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2vc_runtime.bundle import Bundle, Frames, Graph, Tensor
from w2vc_runtime.engines import BACKENDS, EngineOptions, compile_bundle
from w2vc_runtime.errors import MissingExtraError, OptionError, W2vcError
from w2vc_runtime.model import Model, load
from w2vc_runtime.results import Result
from w2vc_runtime.results.formats import FORMATS, SUBTITLES, SUFFIXES, csv_table
from w2vc_runtime.sessions.select import NAMES, survey
from w2vc_runtime.verify.again import table, verify_bundle

from .engine_arguments import add_engine_arguments
from .program import (
    DONE,
    JSON,
    REFUSED,
    REJECTED,
    WRONG_INPUT,
    ClosedError,
    Parser,
    bug,
    complain,
    escaped,
    guarded,
    reason,
    say,
)
from .progress import Progress

PROGRAM = "w2vc"
LABELS_SHOWN = 12


@dataclass(frozen=True)
class RunOptions:
    """Arguments of ``w2vc run``."""

    bundle: Path
    audio: tuple[str, ...]
    format: str = "text"
    output: Path | None = None
    provider: str = "auto"
    batch_size: int = 1
    precision: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""

    def command() -> int:
        arguments = _parser().parse_args(argv)
        return arguments.command(arguments)

    return guarded(PROGRAM, command)


def run(options: RunOptions) -> int:
    """Answer for files on standard output or into a directory; a bad file fails alone, whatever its error."""
    targets = _targets(options)
    model = load(options.bundle, options.provider, options.precision)
    if options.format in SUBTITLES and model.manifest.head != "ctc":
        formats = ", ".join(name for name in FORMATS if name not in SUBTITLES)
        raise OptionError(
            f"--format {options.format} is for transcripts; head {model.manifest.head!r} has formats {formats}"
        )
    if options.output is not None:
        _make(options.output)
    code, first = DONE, True
    missing: set[str] = set()
    for group in _groups(options.audio, options.batch_size):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answers = _answers(model, group, options.batch_size)
        for warning in caught:
            complain(PROGRAM, warning.message)
        for path, answer in zip(group, answers):
            try:
                if isinstance(answer, Exception):
                    raise answer
                if options.output is not None:
                    _write(targets[path], FORMATS[options.format](answer))
                else:
                    say(_labelled(options, path, answer, first), JSON if options.format == "json" else REFUSED)
                    first = False
            except (BrokenPipeError, ClosedError):
                raise
            except Exception as error:
                code = max(code, _failed(path, error, missing))
    return code


def _answers(model: Model, group: Sequence[str], batch_size: int) -> list[Result | Exception]:
    """What each file of a group comes to; what ends the group as a whole is laid to the file that it belongs to."""
    try:
        return list(model.try_batch(group, batch_size))
    except Exception as error:
        if len(group) == 1:
            return [error]
        return [answer for path in group for answer in _answers(model, [path], 1)]


def _failed(path: str, error: Exception, missing: set[str]) -> int:
    """Say why a file has no answer; return the exit code. missing: what was said of extras, which is said once."""
    if not isinstance(error, (W2vcError, OSError, MemoryError)):
        complain(PROGRAM, f"{path} has no answer")
        return bug(PROGRAM, error)
    line = str(error) if isinstance(error, W2vcError) else reason(error)
    if not isinstance(error, MissingExtraError):
        named = line.startswith((f"{path} ", f"{path}:"))
        complain(PROGRAM, line if named else f"{path}: {line}")
    elif line not in missing:
        missing.add(line)
        complain(PROGRAM, line)
    return WRONG_INPUT


def info(bundle: Path, as_json: bool) -> int:
    """Print what is in a bundle."""
    read = Bundle.read(bundle)
    manifest = read.manifest
    if as_json:
        say(manifest.to_json(), JSON)
        return DONE
    files = [manifest.files, *(engine.files for engine in manifest.engines)]
    sizes = [entry.size for each in files for entry in each.values()]
    rate = manifest.features.sampling_rate
    rows = {
        "name": manifest.name,
        "model": f"{manifest.family}, {manifest.position} positions, head {manifest.head}",
        "graphs": ", ".join(map(_graph, manifest.graphs)),
        "size": f"{sum(sizes) / 1e6:.1f} MB in {len(sizes)} files",
        "input": f"{rate} Hz mono, at least {1000 * manifest.shortest / rate:g} ms",
        "features": f"{manifest.features.kind} ({manifest.features.extractor})",
        "outputs": ", ".join(_shape(tensor) for tensor in manifest.outputs),
        "frames": ", ".join(_pace(name, frames, rate) for name, frames in manifest.frames.items()),
        "padding": manifest.padding,
        "source": f"{manifest.source.name} ({manifest.source.sha256[:12]})",
        "created": manifest.created,
    }
    for precision, verdict in manifest.verification.items():
        rows[f"{precision} verified"] = verdict.summary
    if manifest.engines:
        rows["engines"] = "; ".join(f"{engine.file} ({engine.summary})" for engine in manifest.engines)
    if manifest.ctc is not None:
        rows["vocabulary"] = f"{len(manifest.ctc.vocabulary)} tokens"
    if manifest.labels is not None:
        names = manifest.labels.names
        shown = ", ".join(names[:LABELS_SHOWN]) + (" ..." if len(names) > LABELS_SHOWN else "")
        rows["labels"] = f"{len(names)} ({shown}), {manifest.labels.problem_type.replace('_', ' ')}"
    rows |= _providers(read)
    width = max(map(len, rows)) + 2
    say("".join(f"{name:<{width}}{escaped(value)}\n" for name, value in rows.items()))
    return DONE


def verify(bundle: Path, provider: str, precision: str | None) -> int:
    """Compare a bundle with what PyTorch computed, and print the outcome beside its certificate."""
    with Progress(1).step(f"verifying {_name(bundle)}"):
        outcomes = verify_bundle(bundle, provider, precision)
    say(f"{table(outcomes)}\n")
    failed = False
    for outcome in outcomes:
        for problem in outcome.problems:
            complain(PROGRAM, f"{bundle} failed: {outcome.precision}, {problem}")
            failed = True
    return REJECTED if failed else DONE


def _graph(graph: Graph) -> str:
    written_for = f", for {graph.provider}" if graph.provider else ""
    return f"{graph.precision} ({graph.files[0]}, opset {graph.opset}{written_for})"


def compile_engine(bundle: Path, options: EngineOptions, precision: str | None) -> int:
    """Compile a graph of a bundle into it, and say what came of it."""
    with Progress(1).step(f"compiling {_name(bundle)}") as report:
        compiled = compile_bundle(bundle, options, precision, report)
    lines = [f"{bundle / compiled.engine.file}: {compiled.engine.summary}"]
    if compiled.engine.activation_bytes is not None:
        needed = compiled.engine.activation_bytes / 1e6
        lines.append(f"needs {needed:.0f} MB of the GPU beside its weights, by TensorRT's account")
    lines.append(f"{compiled.layers} layers in {compiled.seconds:.1f} s; compiled, and not run")
    say("".join(f"{line}\n" for line in lines))
    return DONE


def _name(bundle: Path) -> str:
    """Of a directory, that of the working directory too; links are not followed, since they may lead round."""
    return os.path.basename(os.path.abspath(bundle))


def _providers(bundle: Bundle) -> dict[str, str]:
    """What ``auto`` would take for the first graph here, and why not the others."""
    found = survey(bundle, bundle.graph())
    usable = [name for name, problem in found.items() if problem is None]
    rows = {"auto provider": usable[0] if usable else "none works here"}
    for name, problem in found.items():
        if name not in usable[:1]:
            rows[f"not {name}"] = str(problem or f"it would work; {usable[0]} comes first")
    return rows


def _shape(tensor: Tensor) -> str:
    return f"{tensor.name} [{', '.join(map(str, tensor.shape))}]"


def _pace(axis: str, frames: Frames, rate: int) -> str:
    return f"{axis.replace('_', ' ')} every {1000 * frames.step / rate:g} ms"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROGRAM, description="Run speech bundles that w2vc-export wrote.")
    parser.add_version()
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="transcribe, classify or embed recordings")
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    command.add_argument("audio", nargs="+", help="wav, flac, ogg or mp3 files")
    command.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    command.add_argument("-o", "--output", type=Path, metavar="DIR", help="write one file for each recording here")
    command.add_argument("--provider", choices=NAMES, default="auto", help="what computes; default: auto")
    command.add_argument("--precision", metavar="P", help="which graph of the bundle; default: its first")
    command.add_argument(
        "--batch-size", type=int, default=1, metavar="N", help="recordings computed together; default: 1"
    )
    command.set_defaults(command=_run_command)

    command = commands.add_parser("info", help="say what is in a bundle")
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    command.add_argument("--json", action="store_true", help="print the manifest")
    command.set_defaults(command=lambda arguments: info(arguments.bundle, arguments.json))

    command = commands.add_parser("verify", help="prove again, here, that a bundle computes what PyTorch computed")
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    command.add_argument("--provider", choices=NAMES, default="auto", help="what computes; default: auto")
    command.add_argument("--precision", metavar="P", help="which graph of the bundle; default: all")
    command.set_defaults(command=lambda arguments: verify(arguments.bundle, arguments.provider, arguments.precision))

    command = commands.add_parser("compile", help="compile a graph of a bundle to a TensorRT engine; needs no GPU")
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    command.add_argument("--precision", metavar="P", help="which graph of the bundle; default: its first")
    command.add_argument("--backend", choices=BACKENDS, default=EngineOptions.backend, help="default: %(default)s")
    add_engine_arguments(command)
    command.set_defaults(command=_compile_command)
    return parser


def _compile_command(arguments: argparse.Namespace) -> int:
    options = EngineOptions(arguments.targets, tuple(arguments.profiles), arguments.backend, arguments.ep_context)
    return compile_engine(arguments.bundle, options, arguments.precision)


def _run_command(arguments: argparse.Namespace) -> int:
    values = {name: value for name, value in vars(arguments).items() if name != "command"}
    return run(RunOptions(**{**values, "audio": tuple(arguments.audio)}))


def _targets(options: RunOptions) -> dict[str, Path]:
    """Where each answer goes; raise `OptionError` where one place would get two."""
    if options.batch_size < 1:
        raise OptionError(f"--batch-size must be at least 1, got {options.batch_size}")
    if options.output is None:
        if options.format in SUBTITLES and len(options.audio) > 1:
            raise OptionError(f"--format {options.format} of several recordings needs -o DIR, one file for each")
        return {}
    if options.output.exists() and not options.output.is_dir():
        raise OptionError(f"{options.output} is not a directory; -o needs one")
    targets: dict[str, Path] = {}
    for path in options.audio:
        target = options.output / (Path(path).stem + SUFFIXES[options.format])
        if target in targets.values() and path not in targets:
            raise OptionError(f"two recordings would both become {target}; run them apart")
        targets[path] = target
    return targets


def _groups(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]


def _labelled(options: RunOptions, path: str, answer: Result, first: bool) -> str:
    """One answer as standard output shows it: several recordings are told apart by their path, as grep does."""
    if options.format == "csv":
        return csv_table(answer, path, header=first)
    if options.format == "json":
        return json.dumps({"file": path, **answer.to_dict()}, ensure_ascii=False) + "\n"
    shown = FORMATS[options.format](answer)
    if len(options.audio) == 1:
        return shown
    return "".join(f"{path}: {line}\n" for line in shown.removesuffix("\n").split("\n"))


def _make(folder: Path) -> None:
    """Make the directory of -o, before anything that takes time; raise `OptionError` where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise OptionError(f"cannot write in {folder}: {error.strerror}") from error
    if not writable:
        raise OptionError(f"cannot write in {folder}: Permission denied")


def _write(target: Path, content: str) -> None:
    partial = target.with_name(f".{os.getpid()}.w2vc")
    try:
        partial.write_text(content, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror}") from error
    except UnicodeEncodeError as error:
        raise OptionError(f"cannot write {target}: UTF-8 has no {content[error.start]!a}") from error
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
