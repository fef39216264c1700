"""What the command lines share: errors as one line, exit codes, and how the system and its signals end a command.

0 done; 1 the artifact failed verification; 2 the user's input is wrong, or the system refuses, as where a disk is full;
3 a bug; 128 + N ended by signal N.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO

from w2vc_runtime.errors import OptionError, W2vcError
from w2vc_runtime.system.version import own_version

PROGRAM = "w2vc"
DONE, REJECTED, WRONG_INPUT, BUG, SIGNALLED = 0, 1, 2, 3, 128
ENDING = (signal.SIGTERM, signal.SIGHUP)
# What `say` makes of a character that standard output's encoding lacks: handlers of Python's codecs.
ESCAPED, REFUSED, JSON = "backslashreplace", "surrogateescape", "w2vc-json"


class ClosedError(OptionError):
    """Standard output takes nothing any more."""


class Ended(BaseException):
    """SIGTERM or SIGHUP came: as with Ctrl-C, who is at work cleans up."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def add_version(self) -> None:
        """Add ``--version``."""
        self.add_argument("--version", action="version", version=f"%(prog)s {own_version()}")

    def error(self, message: str) -> NoReturn:
        complain(self.prog, f"{message} (see {self.prog} --help)")
        self.exit(WRONG_INPUT)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Where argparse prints help and version, and overlooks that it cannot."""
        if message and file is sys.stdout:
            say(message)
        elif message:
            tell(message, file)


def escaped(text: object) -> str:
    """A text on one line of a terminal: newlines, control characters and what is no text are shown, and not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def complain(program: str, problem: object) -> None:
    """Print one line to standard error."""
    tell(f"{program}: {escaped(problem)}\n", sys.stderr)


def tell(text: str, stream: TextIO | None) -> None:
    """Write what the work does not depend on; where the stream takes nothing, it is lost."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        _discard(stream)


def say(text: str, lacking: str = ESCAPED) -> None:
    """Write to standard output; raise `ClosedError` where that takes nothing.

    lacking: what becomes of a character that its encoding lacks. ``ESCAPED`` shows it as an escape, ``JSON`` as one of
    JSON, and ``REFUSED`` raises `OptionError`, but writes the bytes of a file name that is no text as they are.
    """
    output = sys.stdout
    if output is None:
        raise ClosedError("standard output is closed; expected a terminal, a pipe or a file")
    encoding = getattr(output, "encoding", None) or "utf-8"
    try:
        content = text.encode(encoding, lacking)
    except UnicodeEncodeError as error:
        raise OptionError(
            f"standard output is in {encoding}, which has no {text[error.start]!a}; "
            "set PYTHONIOENCODING=utf-8, or take --format json"
        ) from error
    with _written():
        if hasattr(output, "buffer"):
            output.flush()
            output.buffer.write(content)
        else:
            output.write(content.decode(encoding, "surrogateescape"))
        output.flush()


def _as_json(error: UnicodeError) -> tuple[str, int]:
    """A handler of encoding errors: characters as JSON writes them in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(JSON, _as_json)


def reason(error: OSError | MemoryError) -> str:
    """What the system refuses, in one line."""
    if isinstance(error, MemoryError):
        return f"memory ran out: {error}" if str(error) else "memory ran out"
    what = error.strerror or str(error) or type(error).__name__
    return what if error.filename is None else f"{os.fsdecode(error.filename)}: {what}"


def guarded(program: str, command: Callable[[], int]) -> int:
    """Run a command and turn what it raises into a line and an exit code."""
    try:
        with _ended_by_signals():
            return command()
    except W2vcError as error:
        complain(program, error)
        return WRONG_INPUT
    except BrokenPipeError:
        # The reader went away (`w2vc run ... | head`); nothing is left to say, not even at exit.
        return DONE
    except KeyboardInterrupt:
        return SIGNALLED + signal.SIGINT
    except Ended as ended:
        return SIGNALLED + ended.number
    except (OSError, MemoryError) as error:
        complain(program, reason(error))
        return WRONG_INPUT
    except Exception as error:
        return bug(program, error)


def bug(program: str, error: Exception) -> int:
    """Print an exception that nothing of ours raised on purpose; return the exit code."""
    tell("".join(traceback.format_exception(error)), sys.stderr)
    complain(program, "this is a bug in w2vc; please report the lines above")
    return BUG


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise `Ended` where they would end the process, which under nohup the latter does not."""
    main = threading.current_thread() is threading.main_thread()
    taken = [each for each in ENDING if main and signal.getsignal(each) == signal.SIG_DFL]

    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        for each in taken:
            signal.signal(each, signal.SIG_IGN)  # shells and `timeout` send it twice, and the first is cleaning up
        raise Ended(number)

    for each in taken:
        signal.signal(each, end)
    try:
        yield
    except Exception as error:
        if received:  # a native library, in whose call the signal came, may put an error of its own in its place
            raise Ended(received[0]) from error
        raise
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """What standard output does not take is a `ClosedError`, and is not tried again at exit."""
    try:
        yield
    except BrokenPipeError:
        _discard(sys.stdout)
        raise
    except OSError as error:
        _discard(sys.stdout)
        raise ClosedError(f"cannot write to standard output: {error.strerror}") from error


def _discard(stream: TextIO) -> None:
    """Let a stream that failed lead nowhere: what it still holds would fail once more at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
