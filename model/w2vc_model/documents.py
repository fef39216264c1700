"""JSON documents of a checkpoint, which anyone may have written: read within limits, and as a whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import CheckpointError, shown

LARGEST = 16 << 20  # bytes; the vocabularies of a thousand languages (MMS) take one megabyte
DEEPEST = 32
# Hugging Face writes 10^30 for "no limit".
LONGEST_NUMBER = 100
LONGEST_NAME = 255


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file, with its members as Python's json gives them.

    Raises `CheckpointError` where the file cannot be read, is larger than 16 MiB, is no JSON object, has objects and
    lists more than 32 deep or an integer of more than 100 digits, or text that UTF-8 cannot hold.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > LARGEST:
        raise CheckpointError(f"{path} is larger than {LARGEST >> 20} MiB; that is no configuration of a checkpoint")
    try:
        values = json.loads(data.decode("utf-8"), parse_int=_integer)
        _check_text_and_depth(values)
    except RecursionError as error:
        raise CheckpointError(f"{path} is not valid JSON: {_TOO_DEEP}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} must hold a JSON object")
    return values


def inside(directory: Path, name: object, document: Path) -> Path:
    """The file of a checkpoint that one of its documents names; raise `CheckpointError` on a name that leads out.

    A link may lead out: the hub's cache is made of them, and whoever made the directory placed them.
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    plain = parts and not PurePosixPath(*parts).is_absolute() and not {"..", "."} & set(parts)
    if not plain or "\0" in "".join(parts) or any(len(part.encode()) > LONGEST_NAME for part in parts):
        raise CheckpointError(f"{document} names {shown(name)}, which is not a file in its directory")
    return directory.joinpath(*parts)


_TOO_DEEP = f"more than {DEEPEST} objects and lists are in one another"


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"an integer has {len(digits)} digits, more than {LONGEST_NUMBER}")
    return int(digits)


def _check_text_and_depth(values: Any) -> None:
    """Raise `ValueError` on text with half a character, and on depth that whoever shows the values cannot follow."""
    level, depth = [values], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(_TOO_DEEP)
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                value.encode("utf-8")
            elif isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
        level, depth = below, depth + 1
