"""The command ``w2vc``. Each of its commands has a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from .align import add_align_arguments
from .bench import add_bench_arguments
from .compile import add_compile_arguments
from .info import add_info_arguments
from .program import PROGRAM, Parser, guarded
from .run import add_run_arguments
from .serve import add_serve_arguments
from .verify import add_verify_arguments

# By name: what adds the arguments, and what the command does.
COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "run": (add_run_arguments, "transcribe, classify or embed recordings"),
    "align": (add_align_arguments, "say when the words of a known text are said; needs w2vc-native"),
    "serve": (add_serve_arguments, "answer over HTTP: OpenAI's clients, live audio, a page"),
    "info": (add_info_arguments, "say what is in a bundle"),
    "verify": (add_verify_arguments, "prove again, here, that a bundle computes what PyTorch computed"),
    "bench": (add_bench_arguments, "say how fast a bundle is here, how much memory it takes, and what to take"),
    "compile": (add_compile_arguments, "compile a graph of a bundle to a TensorRT engine; needs no GPU"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""

    def command() -> int:
        arguments = _parser().parse_args(argv)
        return arguments.command(arguments)

    return guarded(PROGRAM, command)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROGRAM, description="Run speech bundles that w2vc-export wrote.")
    parser.add_version()
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (add_arguments, does) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=does))
    return parser


if __name__ == "__main__":
    sys.exit(main())
