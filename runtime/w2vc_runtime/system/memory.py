"""What this process can still take of memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

# What is so little that it is not worth asking the system, which may take it milliseconds.
LITTLE_BYTES = 128 << 20


def shortage(what: str, needed: float) -> str | None:
    """That something takes more bytes than there are, for people; None where it does not, or where nobody knows.

    what: its subject, such as ``20 clips``.
    """
    if needed <= LITTLE_BYTES:
        return None
    available = available_bytes()
    if available is None or needed <= available:
        return None
    return f"{what} take about {bytes_shown(needed)} of memory, and {bytes_shown(available)} are free here"


def duration_shown(seconds: float) -> str:
    """Seconds for people, or hours."""
    if seconds < 7200:
        return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"
    return f"{seconds / 3600:.0f} hours"


def bytes_shown(count: float) -> str:
    """A number of bytes for people."""
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e6:.0f} MB"


def available_bytes() -> int | None:
    """What this process can still take: of the machine, of its control groups, of its own limits (Linux).

    None where the system does not say.
    """
    return min(_rooms(), default=None)


def _rooms() -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) << 10
    for folder, limit, usage in _groups():
        with contextlib.suppress(OSError, ValueError):
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            yield max(0, most - used + _reclaimable(folder / "memory.stat"))
    with contextlib.suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        pages = [int(value) * resource.getpagesize() for value in Path("/proc/self/statm").read_text().split()]
        for limit_of, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            soft = resource.getrlimit(limit_of)[0]
            if soft != resource.RLIM_INFINITY:
                yield max(0, soft - used)


def _groups() -> Iterator[tuple[Path, str, str]]:
    """Control groups of this process and those around them: folder, file of the limit, file of what is used."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                root, limit, usage = Path("/sys/fs/cgroup"), "memory.max", "memory.current"
            elif "memory" in controllers.split(","):
                root, limit, usage = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"
            else:
                continue
            own = root / path.strip("/")
            # In a container the path is that of the host, and the group itself is at the root.
            for folder in (own, *(parent for parent in own.parents if parent.is_relative_to(root))):
                yield folder, limit, usage


def _reclaimable(stat: Path) -> int:
    """Bytes of files that are kept until their memory is wanted."""
    counts: dict[str, int] = {}
    for line in stat.read_text().splitlines():
        name, _, value = line.partition(" ")
        counts[name] = int(value)
    return sum(counts.get(f"total_{kind}", counts.get(kind, 0)) for kind in ("inactive_file", "active_file"))
