"""``w2vc verify``: a bundle proves itself again, here."""

from __future__ import annotations

import argparse
from pathlib import Path

from w2vc_runtime.sessions.select import NAMES
from w2vc_runtime.verify.again import table, verify_bundle

from .program import DONE, PROGRAM, REJECTED, complain, say
from .progress import Progress, name_of


def add_verify_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `verify`, and the command itself."""
    command.add_argument("bundle", type=Path, help="directory that w2vc-export wrote")
    command.add_argument("--provider", choices=NAMES, default="auto", help="what computes; default: auto")
    command.add_argument("--precision", metavar="P", help="which graph of the bundle; default: all")
    command.set_defaults(command=lambda arguments: verify(arguments.bundle, arguments.provider, arguments.precision))


def verify(bundle: Path, provider: str, precision: str | None) -> int:
    """Compare a bundle with what PyTorch computed, and print the outcome beside its certificate."""
    with Progress(1).step(f"verifying {name_of(bundle)}"):
        outcomes = verify_bundle(bundle, provider, precision)
    say(f"{table(outcomes)}\n")
    failed = False
    for outcome in outcomes:
        for problem in outcome.problems:
            complain(PROGRAM, f"{bundle} failed: {outcome.precision}, {problem}")
            failed = True
    return REJECTED if failed else DONE
