"""``w2vc compile``: a graph of a bundle to a TensorRT engine."""

from __future__ import annotations

import argparse
from pathlib import Path

from w2vc_runtime.engines import BACKENDS, EngineOptions, compile_bundle

from .engine_arguments import add_engine_arguments
from .program import DONE, say
from .progress import Progress, name_of


def add_compile_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `compile_engine`, and the command itself."""
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    command.add_argument("--precision", metavar="P", help="which graph of the bundle; default: its first")
    command.add_argument("--backend", choices=BACKENDS, default=EngineOptions.backend, help="default: %(default)s")
    add_engine_arguments(command)
    command.set_defaults(command=_compile)


def _compile(arguments: argparse.Namespace) -> int:
    options = EngineOptions(arguments.targets, tuple(arguments.profiles), arguments.backend, arguments.ep_context)
    return compile_engine(arguments.bundle, options, arguments.precision)


def compile_engine(bundle: Path, options: EngineOptions, precision: str | None) -> int:
    """Compile a graph of a bundle into it, and say what came of it."""
    with Progress(1).step(f"compiling {name_of(bundle)}") as report:
        compiled = compile_bundle(bundle, options, precision, report)
    lines = [f"{bundle / compiled.engine.file}: {compiled.engine.summary}"]
    if compiled.engine.activation_bytes is not None:
        needed = compiled.engine.activation_bytes / 1e6
        lines.append(f"needs {needed:.0f} MB of the GPU beside its weights, by TensorRT's account")
    lines.append(f"{compiled.layers} layers in {compiled.seconds:.1f} s; compiled, and not run")
    say("".join(f"{line}\n" for line in lines))
    return DONE
