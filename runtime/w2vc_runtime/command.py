"""What the command lines share: errors as one line, and the exit codes.

0 done; 1 the artifact failed verification; 2 the user's input is wrong; 3 a bug.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from .errors import W2vcError

DONE, REJECTED, WRONG_INPUT, BUG = 0, 1, 2, 3


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def add_version(self) -> None:
        """Add ``--version``."""
        self.add_argument("--version", action="version", version=f"%(prog)s {own_version()}")

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def own_version() -> str:
    """Of w2vc; ``0+unknown`` where it is not installed, but a checkout is on Python's path."""
    try:
        return version("w2vc")
    except PackageNotFoundError:
        return "0+unknown"


def complain(program: str, problem: object) -> None:
    """Print one line to standard error."""
    print(f"{program}: {str(problem).replace(chr(10), ' ')}", file=sys.stderr)


def guarded(program: str, command: Callable[[], int]) -> int:
    """Run a command and turn what it raises into a line and an exit code."""
    try:
        return command()
    except W2vcError as error:
        complain(program, error)
        return WRONG_INPUT
    except BrokenPipeError:
        # The reader went away (`w2vc run ... | head`); nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return 130
    except Exception:
        traceback.print_exc()
        complain(program, "this is a bug in w2vc; please report the lines above")
        return BUG
