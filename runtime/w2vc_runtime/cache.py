"""What is kept between runs, where a user's caches are."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import OptionError

COMPLETE = "complete"


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


@contextlib.contextmanager
def shared_folder(name: str, key: Any) -> Iterator[Path]:
    """A folder where others keep what they make from ``key``, held against other processes until the block is left.

    key: plain data, all that the content depends on. What a process that failed or was killed left in it is removed.
    Raises `OptionError` where the cache cannot be written.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = cache_folder(name) / digest[:32]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OptionError(
            f"what is compiled is kept in {folder}, which cannot be written ({error.strerror}); "
            "set XDG_CACHE_HOME to a directory that can"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        complete = folder / COMPLETE
        if not complete.exists():
            for path in folder.iterdir():
                path.unlink()
        yield folder
        complete.touch()
    finally:
        os.close(descriptor)
