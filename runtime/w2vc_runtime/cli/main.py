"""The command ``w2vc``: run a bundle, look into one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from w2vc_runtime.bundle import Bundle, Frames, Graph, Tensor
from w2vc_runtime.engines import BACKENDS, EngineOptions, compile_bundle
from w2vc_runtime.sessions.select import NAMES, survey
from w2vc_runtime.verify.again import table, verify_bundle

from .align import add_align_arguments
from .engine_arguments import add_engine_arguments
from .program import (
    DONE,
    JSON,
    REJECTED,
    Parser,
    complain,
    escaped,
    guarded,
    say,
)
from .progress import Progress
from .run import RunOptions, add_run_arguments, run
from .serve import add_serve_arguments

PROGRAM = "w2vc"
LABELS_SHOWN = 12


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""

    def command() -> int:
        arguments = _parser().parse_args(argv)
        return arguments.command(arguments)

    return guarded(PROGRAM, command)


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
    add_run_arguments(command)
    command.set_defaults(command=_run_command)

    command = commands.add_parser("align", help="say when the words of a known text are said; needs w2vc-native")
    add_align_arguments(command)

    command = commands.add_parser("serve", help="answer over HTTP: OpenAI's clients, live audio, a page")
    add_serve_arguments(command)

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
    return run(RunOptions(**{**values, "audio": tuple(arguments.audio), "hotwords": tuple(arguments.hotwords)}))


if __name__ == "__main__":
    sys.exit(main())
