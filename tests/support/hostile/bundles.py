"""Damaged bundles: files that are cut, swapped, missing, links, directories or pipes; some under new hashes."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from support.hostile import harness
from support.hostile.harness import Attempt, Bundle

COUNT = 215
PLACES = 12
Change = Callable[[Bundle, Path], None]


def cut(bundle: Bundle, path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def shorten(bundle: Bundle, path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(bundle: Bundle, path: Path) -> None:
    os.truncate(path, 0)


def lengthen(bundle: Bundle, path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"\n")


def flip(bundle: Bundle, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def zeros(bundle: Bundle, path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def remove(bundle: Bundle, path: Path) -> None:
    path.unlink()


def directory(bundle: Bundle, path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(bundle: Bundle, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_outside(bundle: Bundle, path: Path) -> None:
    """What it leads to is what was there."""
    path.replace(bundle.outside / "moved")
    path.symlink_to(bundle.outside / "moved")


def link_up(bundle: Bundle, path: Path) -> None:
    path.replace(bundle.outside / "moved")
    path.symlink_to(Path("..") / "outside" / "moved")


def link_nowhere(bundle: Bundle, path: Path) -> None:
    path.unlink()
    path.symlink_to(bundle.outside / "nothing")


def link_itself(bundle: Bundle, path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def link_device(bundle: Bundle, path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def link_within(bundle: Bundle, path: Path) -> None:
    """Allowed: nothing leaves the bundle."""
    path.replace(path.with_name("moved"))
    path.symlink_to("moved")


def swap(bundle: Bundle, path: Path) -> None:
    """With the file that comes next by name."""
    names = sorted(each for each in path.parent.iterdir() if each.is_file())
    other = names[(names.index(path) + 1) % len(names)]
    path.replace(path.with_name("moved"))
    other.replace(path)
    path.with_name("moved").replace(other)


DAMAGE: tuple[Change, ...] = (
    cut, shorten, empty, lengthen, flip, zeros, remove, directory, pipe, link_outside, link_up, link_nowhere,
    link_itself, link_device, link_within, swap,
)  # fmt: skip
# Of no effect: JSON may end in white space.
HARMLESS = (
    link_within,
    *(f"{change} {name}.json" for change in ("lengthen", "shorten") for name in ("manifest", "report")),
)
SIGNED: tuple[Change, ...] = (cut, empty, lengthen, flip, zeros)


def signed(change: Change) -> Change:
    """The same, and then all hashes are made anew."""

    def changed(bundle: Bundle, path: Path) -> None:
        change(bundle, path)
        if path.name != "manifest.json":
            harness.sign(bundle.path)

    changed.__name__ = f"{change.__name__} and sign"
    return changed


def places(bundle: Bundle) -> Iterator[tuple[str, Path]]:
    """What is given as a bundle, and is not one."""
    folder = bundle.path.parent
    (folder / "link").symlink_to(bundle.path)
    (folder / "empty").mkdir()
    (folder / "file").write_text("a")
    os.mkfifo(folder / "pipe")
    (folder / "itself").symlink_to("itself")
    shutil.copytree(bundle.path, folder / os.fsdecode(b"\xff\xfe"))
    names = ("link", "empty", "file", "pipe", "itself", os.fsdecode(b"\xff\xfe"), "nothing", "a" * 5_000, "\n")
    yield from ((f"bundle {ascii(name)[:20]}", folder / name) for name in names)
    yield "bundle that is a file of one", bundle.path / "manifest.json"
    yield "bundle in a file", bundle.path / "manifest.json" / "a"
    yield "bundle /dev/null", Path("/dev/null")


def inputs(bundle: Bundle) -> list[tuple[str, str, Change]]:
    """Name of each input, the file, and what is done to it."""
    files = sorted(path.name for path in bundle.path.iterdir())
    every = [
        (f"{change.__name__} {name}", name, change)
        for name, change in itertools.product(files, (*DAMAGE, *map(signed, SIGNED)))
    ]
    return every[: COUNT - PLACES]


def attempts(
    bundles: Sequence[Bundle], folder: Path, step: int = 1
) -> Iterator[tuple[str, Sequence[Attempt], str | None]]:
    """What comes of damaged bundles; of one in ``step``."""
    bundle = bundles[0]
    for title, path in places(bundle.copy(folder / "places")):
        right = path.name == "link"
        done = bundle.attempts(path)
        yield title, done, None if all(each.code == 0 for each in done) == right else "is taken for what it is not"
    for title, name, change in inputs(bundle)[::step]:
        made = bundle.copy(folder / "damaged")
        change(made, made.path / name)
        info, run, verify = made.attempts()
        wrong = None
        if run.code == 0 and run.output != bundle.said:
            wrong = f"says {run.output!r}"
        if verify.code == 0 and change not in HARMLESS and "sign" not in title and title not in HARMLESS:
            wrong = "is verified"
        yield title, (info, run, verify), wrong
        shutil.rmtree(folder / "damaged")


def main(arguments: Sequence[str]) -> int:
    with harness.exported(arguments) as (bundles, folder):
        return harness.tally("damaged bundles", attempts(bundles, folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
