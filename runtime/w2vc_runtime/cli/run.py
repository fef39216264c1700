"""``w2vc run``: answers for files."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2vc_runtime.batching.ordered import Outcome
from w2vc_runtime.chunking.plan import ChunkOptions
from w2vc_runtime.chunking.voice import VoiceActivity
from w2vc_runtime.decoding import DECODERS, BeamOptions
from w2vc_runtime.errors import MissingExtraError, OptionError, TooLongError, W2vcError
from w2vc_runtime.model import Model, load
from w2vc_runtime.results import Result
from w2vc_runtime.results.formats import FORMATS, SUBTITLES, SUFFIXES, csv_table
from w2vc_runtime.sessions.select import NAMES
from w2vc_runtime.system.memory import duration_shown

from .program import DONE, JSON, PROGRAM, REFUSED, WRONG_INPUT, ClosedError, bug, complain, reason, say
from .progress import Progress

# What of a folder is taken for a recording.
AUDIO_SUFFIXES = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".ogg", ".opus", ".w64", ".wav")


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
    jobs: int = 1
    recursive: bool = False
    chunk_seconds: float | None = None
    context_seconds: float | None = None
    pooled: bool = False
    vad: Path | None = None
    decoder: str = "greedy"
    lm: Path | None = None
    hotwords: tuple[tuple[str, float], ...] = ()
    nbest: int | None = None
    beam_width: int | None = None

    @property
    def beam(self) -> BeamOptions | None:
        """How to search beams; None where nothing is said of it."""
        given = {"lm": self.lm, "nbest": self.nbest, "beam_width": self.beam_width, "hotwords": dict(self.hotwords)}
        given = {name: value for name, value in given.items() if value}
        return BeamOptions(**given) if given else None  # type: ignore[arg-type]

    @property
    def chunks(self) -> ChunkOptions:
        """How recordings are cut; reads the voice activity model, and raises what `VoiceActivity` raises."""
        vad = None if self.vad is None else VoiceActivity(self.vad)
        return ChunkOptions(self.chunk_seconds, self.context_seconds, self.pooled, vad)


def add_run_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `RunOptions`."""
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    command.add_argument("audio", nargs="+", help="wav, flac, ogg or mp3 files; with -r also folders")
    command.add_argument("-r", "--recursive", action="store_true", help="take every recording in a folder and below")
    command.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    command.add_argument("-o", "--output", type=Path, metavar="DIR", help="write one file for each recording here")
    command.add_argument("--provider", choices=NAMES, default="auto", help="what computes; default: auto")
    command.add_argument("--precision", metavar="P", help="which graph of the bundle; default: its first")
    command.add_argument(
        "--batch-size", type=int, default=1, metavar="N", help="recordings computed together; default: 1"
    )
    command.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="threads that read recordings ahead; default: 1, in between"
    )
    command.add_argument("--decoder", choices=DECODERS, default="greedy", help="of head ctc; default: greedy")
    command.add_argument(
        "--lm",
        type=Path,
        metavar="FILE",
        help="language model of decoder beam: ARPA, or a directory as Hugging Face has it",
    )
    command.add_argument(
        "--hotword", dest="hotwords", type=_hotword, action="append", default=[], metavar="WORD=WEIGHT",
        help="a word that decoder beam prefers, and how much; may be given several times",
    )  # fmt: skip
    command.add_argument("--nbest", type=int, metavar="N", help="texts of decoder beam, in JSON; default: 1")
    command.add_argument("--beam-width", type=int, metavar="N", help="of decoder beam; default: 100")
    command.add_argument(
        "--chunk-seconds",
        type=float,
        metavar="S",
        help="cut recordings that are longer into chunks; default: those that do not fit the memory here",
    )
    command.add_argument(
        "--context-seconds",
        type=float,
        metavar="S",
        help="of a chunk on each side that is heard and not answered for; default: a sixth of it",
    )
    command.add_argument(
        "--pooled",
        action="store_true",
        help="one answer, the mean over its windows, for a recording that is cut; heads base, xvector and "
        "sequence-classification",
    )
    command.add_argument(
        "--vad",
        type=Path,
        metavar="FILE",
        help="silero_vad.onnx of the package silero-vad: cut where it hears no speech; default: where it is quiet",
    )
    command.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    values = {name: value for name, value in vars(arguments).items() if name != "command"}
    return run(RunOptions(**{**values, "audio": tuple(arguments.audio), "hotwords": tuple(arguments.hotwords)}))


def _hotword(text: str) -> tuple[str, float]:
    word, _, weight = text.rpartition("=")
    try:
        if word:
            return word, float(weight)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not WORD=WEIGHT, such as NASA=10")


def run(options: RunOptions) -> int:
    """Answer for files on standard output or into a directory; a bad file fails alone, whatever its error."""
    named = _paths(options)
    targets = _targets(options, named)
    paths = [path for path, _ in named]
    chunks = options.chunks  # what is wrong with them is said before anything that takes time
    model = load(options.bundle, options.provider, options.precision, decoder=options.decoder, beam=options.beam)
    if options.format in SUBTITLES and model.manifest.head != "ctc":
        formats = ", ".join(name for name in FORMATS if name not in SUBTITLES)
        raise OptionError(
            f"--format {options.format} is for transcripts; head {model.manifest.head!r} has formats {formats}"
        )
    if options.output is not None:
        _make(options.output)
    code, first = DONE, True
    missing: set[str] = set()
    for path, outcome in _outcomes(model, paths, options, chunks):
        try:
            if isinstance(outcome, Exception):
                raise outcome
            if options.output is not None:
                _write(targets[path], FORMATS[options.format](outcome))
            else:
                shown = _labelled(options, path, outcome, first, len(paths) == 1)
                say(shown, JSON if options.format == "json" else REFUSED)
                first = False
        except (BrokenPipeError, ClosedError):
            raise
        except Exception as error:
            code = max(code, _failed(path, error, missing))
    return code


def _outcomes(
    model: Model, paths: Sequence[str], options: RunOptions, chunks: ChunkOptions
) -> Iterator[tuple[str, Outcome]]:
    """What each file comes to; warnings are lines of ours, before the answer."""
    longest = None
    if chunks != ChunkOptions():
        plan = model.plan(chunks)  # before anything that takes time, where it cannot be
        longest = None if options.chunk_seconds is None else plan.chunk + plan.reserve
    found = model.map(paths, options.batch_size, options.jobs, _long(model, options, chunks), longest)
    for path in paths:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outcome = next(found)
        for warning in caught:
            complain(PROGRAM, warning.message)
        yield path, outcome


def _long(model: Model, options: RunOptions, chunks: ChunkOptions) -> Callable[[TooLongError], Result]:
    """What answers for recordings that are not read whole."""

    def answer(error: TooLongError) -> Result:
        name = str(error).partition(" is too long:")[0]
        if sys.stderr and sys.stderr.isatty():
            with Progress(1).step(f"hearing {name}") as report:
                result = model.chunked(error.source, chunks, lambda at: report(f"{duration_shown(at)} heard"))
        else:
            result = model.chunked(error.source, chunks)
        if options.chunk_seconds is None:
            plan = model.plan(chunks)
            sizes = plan.chunk / plan.sampling_rate, plan.context / plan.sampling_rate
            complain(
                PROGRAM,
                f"{name} does not fit here as a whole: it was answered in chunks of {sizes[0]:g} s, "
                f"{sizes[1]:g} s of them context on each side",
            )
        return result

    return answer


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


def _paths(options: RunOptions) -> list[tuple[str, Path]]:
    """Recordings, and where in the folder of -o their answers go, but for the suffix; see ``-r``."""
    found: list[tuple[str, Path]] = []
    for each in options.audio:
        if not (options.recursive and os.path.isdir(each)):
            found.append((each, Path(Path(each).stem)))
            continue
        inside = [
            os.path.join(folder, name)
            for folder, folders, names in os.walk(each)
            for name in names
            if name.lower().endswith(AUDIO_SUFFIXES)
        ]
        if not inside:
            raise OptionError(f"{each} holds no recordings; expected files that end in {', '.join(AUDIO_SUFFIXES)}")
        found += [(path, Path(os.path.relpath(path, each)).with_suffix("")) for path in sorted(inside)]
    return found


def _targets(options: RunOptions, paths: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """Where each answer goes; raise `OptionError` where one place would get two."""
    if options.batch_size < 1:
        raise OptionError(f"--batch-size must be at least 1, got {options.batch_size}")
    if options.jobs < 1:
        raise OptionError(f"--jobs must be at least 1, got {options.jobs}")
    if options.output is None:
        if options.format in SUBTITLES and len(paths) > 1:
            raise OptionError(f"--format {options.format} of several recordings needs -o DIR, one file for each")
        return {}
    if options.output.exists() and not options.output.is_dir():
        raise OptionError(f"{options.output} is not a directory; -o needs one")
    owners: dict[Path, str] = {}
    for path, name in paths:
        target = options.output / name.with_name(name.name + SUFFIXES[options.format])
        if owners.setdefault(target, path) != path:
            raise OptionError(f"two recordings would both become {target}; run them apart")
    return {path: target for target, path in owners.items()}


def _labelled(options: RunOptions, path: str, answer: Result, first: bool, alone: bool) -> str:
    """One answer as standard output shows it: several recordings are told apart by their path, as grep does."""
    if options.format == "csv":
        return csv_table(answer, path, header=first)
    if options.format == "json":
        return json.dumps({"file": path, **answer.to_dict()}, ensure_ascii=False) + "\n"
    shown = FORMATS[options.format](answer)
    if alone:
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
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror}") from error
    except UnicodeEncodeError as error:
        raise OptionError(f"cannot write {target}: UTF-8 has no {content[error.start]!a}") from error
    finally:
        partial.unlink(missing_ok=True)
