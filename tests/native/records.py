"""The file format of golden vectors: records, each a name and bytes. runtime/cpp/tests/goldens.hpp reads it."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Content = str | bytes | NDArray


def write(path: Path, records: Iterable[tuple[str, Content]]) -> None:
    """Each record: the length of its name (u32, little-endian), the name, the length of its content (u64), that."""
    with path.open("wb") as file:
        for name, content in records:
            for length, data in (("<I", name.encode()), ("<Q", _bytes(content))):
                file.write(struct.pack(length, len(data)) + data)


def _bytes(content: Content) -> bytes:
    if isinstance(content, np.ndarray):
        return np.ascontiguousarray(content).tobytes()
    return content if isinstance(content, bytes) else content.encode()
