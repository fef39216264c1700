"""Where ONNX Runtime's providers keep what they compile: the user's cache directory."""

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


def cache_root() -> Path:
    """``$XDG_CACHE_HOME/w2vc``, or ``~/.cache/w2vc``."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "w2vc"


@contextlib.contextmanager
def compiled(provider: str, key: Any) -> Iterator[Path]:
    """The folder of what a provider compiles from ``key``, held against other processes until the block is left.

    key: plain data, all that the content depends on; the folder is of its hash. What a process that failed or was
    killed left in it is removed. Raises `OptionError` where the cache cannot be written.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = cache_root() / provider / digest[:32]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OptionError(
            f"provider {provider!r} keeps what it compiles in {folder}, which cannot be written "
            f"({error.strerror}); set XDG_CACHE_HOME to a directory that can"
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
