"""Which w2vc this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Of w2vc; ``0+unknown`` where it is not installed, but a checkout is on Python's path."""
    try:
        return version("w2vc")
    except PackageNotFoundError:
        return "0+unknown"
