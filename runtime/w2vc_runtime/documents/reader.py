"""JSON from outside, within limits: it may have been made to break whoever reads it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from w2vc_runtime.errors import W2vcError

MOST_BYTES = 64 << 20
MOST_VALUES = 1_000_000
MOST_DEPTH = 32
MOST_DIGITS = 18  # fits 64 bits
MOST_CHARACTERS = 10_000


class DocumentError(W2vcError, ValueError):
    """A file cannot be read, or is no document. The message says why, and leaves the file's name to the caller."""


def read_document(path: Path) -> Any:
    """The plain data in a JSON file; raise `DocumentError`."""
    return parse(read_bytes(path))


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of no more than ``most`` bytes; raise `DocumentError` on another."""
    try:
        if not path.is_file():
            raise DocumentError("it is not a file" if path.exists() else "it does not exist")
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise DocumentError(f"it cannot be read ({error.strerror})") from error
    if len(content) > most:
        raise DocumentError(f"it has more than {most:,} bytes")
    return content


def parse(content: bytes) -> Any:
    """The plain data of a JSON text; raise `DocumentError` on what is none, or past the limits of this module.

    Numbers are finite, keys of an object are told apart, and texts can be written as UTF-8.
    """
    if len(content) > MOST_BYTES:
        raise DocumentError(f"it has more than {MOST_BYTES:,} bytes")
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise DocumentError(f"it has more than {MOST_VALUES:,} values")
    try:
        value = json.loads(
            content.decode("utf-8"),
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_number,
            object_pairs_hook=_object,
        )
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentError(_TOO_DEEP) from error
    except ValueError as error:  # of the encoding, or the syntax
        raise DocumentError("it is not JSON") from error
    _check(value, MOST_DEPTH)
    return value


_TOO_DEEP = f"it is nested more than {MOST_DEPTH} deep"


def _check(value: Any, depth: int) -> None:
    """Raise `DocumentError` on a text or a nesting past the limits."""
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise DocumentError(f"it has a text of {len(value):,} characters; {MOST_CHARACTERS:,} are the most")
        if not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError as error:
                raise DocumentError("it has a text with half of a surrogate pair") from error
    elif isinstance(value, (list, dict)):
        if not depth:
            raise DocumentError(_TOO_DEEP)
        for each in value:
            _check(each, depth - 1)
        for each in value.values() if isinstance(value, dict) else ():
            _check(each, depth - 1)


def _integer(text: str) -> int:
    if len(text.removeprefix("-")) > MOST_DIGITS:
        raise DocumentError(f"it has a whole number of {len(text):,} digits; {MOST_DIGITS} are the most")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DocumentError(f"it has the number {text[:20]}, which is not finite")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise DocumentError("it has an object in which a key comes twice")
    return values
