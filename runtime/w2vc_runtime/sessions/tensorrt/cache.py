"""What is kept between runs, where a user's caches are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """A folder of w2vc's own under ``$XDG_CACHE_HOME``, by default ``~/.cache``. It may not exist."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "w2vc" / name


def read_cached(path: Path) -> bytes | None:
    """What was kept, or None."""
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None


def keep(path: Path, content: bytes) -> None:
    """Keep something; a disk that is full or not writable costs no more than the time that the cache would save."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
