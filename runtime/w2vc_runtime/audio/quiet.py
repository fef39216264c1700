"""Keeping native libraries off the user's terminal."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from threading import Lock

_lock = Lock()
_inside = 0
_own: int | None = None
_nowhere: int | None = None


@contextlib.contextmanager
def silent_c_library() -> Iterator[None]:
    """Let what C libraries print to ``stderr`` go nowhere, as long as any thread is in the block.

    For libraries without a switch of their own. It is the variable ``stderr`` of glibc that is turned aside, and not
    file descriptor 2: Python's own standard error, logging in other threads, is as it was. Elsewhere than in glibc,
    where the variable may be constant, nothing is done.
    """
    global _inside
    stderr = _stderr()
    if stderr is None:
        yield
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _turn(stderr)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                stderr.value = _own


def _turn(stderr: ctypes.c_void_p) -> None:
    global _own, _nowhere
    _own = stderr.value
    if _nowhere is None:
        library = ctypes.CDLL(None)
        library.fopen.restype = ctypes.c_void_p
        _nowhere = library.fopen(b"/dev/null", b"we")
    if _nowhere is not None:
        stderr.value = _nowhere


def _stderr() -> ctypes.c_void_p | None:
    with contextlib.suppress(ValueError, OSError):
        if not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return None
        return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    return None
