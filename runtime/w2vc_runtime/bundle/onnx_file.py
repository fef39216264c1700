"""What files an ONNX file names, found without the package onnx, which devices do not have.

An ONNX file is a message of protocol buffers: fields, each a number, a sort, and a value. Those that hold other
messages are followed to every tensor, whose ``external_data`` may name a file, and to every node ``EPContext``, which
may name a plan. Source of the numbers: onnx.proto. What real files have no use for, and readers may take in different
ways, is refused.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from w2vc_runtime.errors import W2vcError

# Of each message, the fields that hold messages which can lead to a name.
MESSAGES: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}
IR_VERSION, GRAPH = 1, 7
KEY, VALUE = 1, 2
OPERATOR, ATTRIBUTE = 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_TEXT = 1, 4
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10

# Number, sort, and where the value is.
Field = tuple[int, int, int, int]


class OnnxFileError(W2vcError, ValueError):
    """A file is no ONNX file, or no plain one. The message leaves its name to the caller."""


def references(path: Path) -> tuple[set[str], set[str]]:
    """The files that an ONNX file has weights in, and the plans that it wraps, as it names them.

    Raises `OnnxFileError`.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _references(content)
    except (OSError, ValueError) as error:  # mmap has a ValueError for an empty file
        raise error if isinstance(error, OnnxFileError) else OnnxFileError(f"it cannot be read ({error})") from error


def _references(content: mmap.mmap) -> tuple[set[str], set[str]]:
    sorts = {number: sort for number, sort, _, _ in _fields(content, 0, len(content))}
    if sorts.get(IR_VERSION) != VARINT or sorts.get(GRAPH) != BYTES:
        raise OnnxFileError("it has no version and no graph")
    data: set[str] = set()
    plans: set[str] = set()
    waiting = [("Model", 0, len(content))]
    while waiting:
        message, start, end = waiting.pop()
        inner = MESSAGES.get(message, {})
        texts: dict[int, set[bytes]] = {}
        for number, sort, first, last in _fields(content, start, end):
            if sort != BYTES:
                continue
            if number in inner:
                waiting.append((inner[number], first, last))
            if (message, number) in (("Entry", KEY), ("Entry", VALUE), ("Node", OPERATOR)):
                texts.setdefault(number, set()).add(content[first:last])
        if message == "Entry" and b"location" in texts.get(KEY, ()):
            data |= {text.decode("utf-8", "replace") for text in texts.get(VALUE, {b""})}
        if message == "Node" and b"EPContext" in texts.get(OPERATOR, ()):
            plans |= set(_plans(content, start, end))
    return data, plans


def _plans(content: mmap.mmap, start: int, end: int) -> Iterator[str]:
    """What a node ``EPContext`` wraps; an empty name where it does not say."""
    found = False
    for number, sort, first, last in _fields(content, start, end):
        if (number, sort) == (ATTRIBUTE, BYTES):
            texts = [(n, content[a:b]) for n, kind, a, b in _fields(content, first, last) if kind == BYTES]
            if (ATTRIBUTE_NAME, b"ep_cache_context") in texts:
                named = [text.decode("utf-8", "replace") for n, text in texts if n == ATTRIBUTE_TEXT]
                found = found or bool(named)
                yield from named
    if not found:
        yield ""


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that is at ``start`` to ``end``."""
    while start < end:
        key, start = _varint(content, start, end)
        number, sort = key >> 3, key & 7
        first = start
        if sort == VARINT:
            _, start = _varint(content, start, end)
        elif sort == BYTES:
            size, first = _varint(content, start, end)
            start = first + size
        elif sort in (FIXED64, FIXED32):
            start += 8 if sort == FIXED64 else 4
        else:
            raise OnnxFileError(f"byte {first:,} is of no field")
        if start > end or not number:
            raise OnnxFileError(f"the field at byte {first:,} is longer than what it is in")
        yield number, sort, first, start


def _varint(content: mmap.mmap, start: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    for place in range(start, min(end, start + LONGEST_VARINT)):
        byte = content[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise OnnxFileError(f"the number at byte {start:,} does not end")
