"""What is kept between runs, where a user's caches are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# Most of one file, and of all in a folder: the oldest go first.
MOST_BYTES, MOST_FOLDER_BYTES = 64 << 20, 512 << 20


def cache_folder(name: str) -> Path:
    """A folder of w2vc's own under ``$XDG_CACHE_HOME``, by default ``~/.cache``. It may not exist."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "w2vc" / name


def read_cached(path: Path) -> bytes | None:
    """What was kept, or None."""
    with contextlib.suppress(OSError):
        if path.stat().st_size <= MOST_BYTES:
            content = path.read_bytes()
            path.touch()  # it is of use
            return content
    return None


def keep(path: Path, content: bytes) -> None:
    """Keep something, unless it is larger than `MOST_BYTES`; what was of no use for longest makes room.

    A disk that is full or not writable costs no more than the time that the cache would save.
    """
    if len(content) > MOST_BYTES:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
        _trim(path.parent, path)


def _trim(folder: Path, latest: Path) -> None:
    used = {each: each.stat() for each in folder.iterdir() if each.is_file()}
    total = sum(status.st_size for status in used.values())
    for each in sorted(used, key=lambda each: used[each].st_mtime):
        if total <= MOST_FOLDER_BYTES or each == latest:
            return
        each.unlink(missing_ok=True)
        total -= used[each].st_size
