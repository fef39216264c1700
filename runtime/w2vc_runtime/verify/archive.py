"""An ``.npz`` file, within limits: numpy's own reader believes what is claimed in it."""

from __future__ import annotations

import io
import math
import re
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.documents.reader import DocumentError, read_bytes

MOST_BYTES = 64 << 20
SUFFIX = ".npy"
MAGIC = b"\x93NUMPY\x01\x00"
# What numpy writes before an array of numbers or text: its type, order and shape.
HEADER = re.compile(
    rb"\{'descr': '([<|](?:f4|f8|i4|i8|u1|U\d{1,4}))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12},?(?: \d{1,12},?)*)?)\), \} *\n"
)
# What zipfile raises on files that were made to be none.
BROKEN = (
    zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError, struct.error, OverflowError,
    IndexError,
)  # fmt: skip


def read_arrays(path: Path) -> dict[str, NDArray]:
    """The arrays of a file that `numpy.savez` wrote, by name; raise `DocumentError` on another.

    Members are stored as they are: what a file unpacks to is no larger than itself.
    """
    content = read_bytes(path, MOST_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = file.infolist()
            names = [member.filename for member in members]
            if len(set(names)) < len(names) or not all(name.endswith(SUFFIX) for name in names):
                raise DocumentError("it holds more than arrays, or two of one name")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise DocumentError("it is compressed")
            if sum(member.file_size for member in members) > len(content):
                raise DocumentError("its parts are larger than the whole")
            return {member.filename.removesuffix(SUFFIX): _array(file.read(member)) for member in members}
    except DocumentError:
        raise
    except BROKEN as error:
        raise DocumentError("it is no archive of arrays") from error


def _array(content: bytes) -> NDArray:
    start = len(MAGIC) + 2
    end = start + int.from_bytes(content[len(MAGIC) : start], "little")
    header = HEADER.fullmatch(content[start:end])
    if not content.startswith(MAGIC) or header is None:
        raise DocumentError("it holds what is no array of numbers")
    dtype = np.dtype(header[1].decode())
    shape = tuple(map(int, re.findall(rb"\d+", header[3])))
    if math.prod(shape) * dtype.itemsize != len(content) - end or not dtype.itemsize:
        raise DocumentError(f"an array of shape {list(shape)} is not as large as it says")
    if dtype.kind == "U" and np.frombuffer(content, "<u4", offset=end).max(initial=0) > sys.maxunicode:
        raise DocumentError("it holds a text that is none")
    return np.frombuffer(content, dtype, offset=end).reshape(shape, order="F" if header[2] == b"True" else "C")
