"""The files of a bundle: where they are, and whether they are the ones that its manifest names."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath

from w2vc_runtime.errors import BundleError

from .manifest import Manifest
from .onnx_file import OnnxFileError, references
from .types import FileEntry, wrapping


def locate(bundle: Path, name: str, remedy: str = "export the bundle again") -> Path:
    """The path of a file of a bundle; raise `BundleError` where it is missing, or not a file of this directory.

    name: a plain path inside the bundle. remedy: what would be right.
    """
    path = bundle / name
    try:
        str(path.absolute()).encode("utf-8")
    except UnicodeEncodeError as error:  # what runs a graph could not open it
        raise BundleError(f"{bundle} has a name that is not UTF-8; give it another") from error
    try:
        if not bundle.is_dir():
            raise BundleError(f"{bundle} is not a directory; expected a bundle that w2vc-export wrote")
        within = os.path.realpath(path).startswith(os.path.join(os.path.realpath(bundle), ""))
        if not within:
            raise BundleError(f"{path} is a link that leaves the bundle; copy the file that it leads to in its place")
        if path.is_file():
            return path
        present = path.exists()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    if present:
        raise BundleError(f"{path} is not a file; {remedy}")
    raise BundleError(f"{bundle} has no {name}; {remedy}")


def file_entry(path: Path) -> FileEntry:
    """Hash and measure a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return FileEntry(digest.hexdigest(), path.stat().st_size)


def check_files(bundle: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest; raise `BundleError` on the first that is missing, altered, or unfit.

    Unfit is a graph that names files beside those that the manifest names for it: whatever runs the graph would open
    them.
    """
    compiled = {name: entry for engine in manifest.engines for name, entry in engine.files.items()}
    for name, entry in (manifest.files | compiled).items():
        check_file(bundle, name, entry)
    for graph in manifest.graphs:
        named, contexts = _references(bundle / graph.files[0])
        beside = PurePosixPath(graph.files[0]).parent
        for data in named:
            if str(beside / data) not in graph.files[1:]:
                raise _unfit(bundle / graph.files[0], data)
        for context in contexts:
            raise _unfit(bundle / graph.files[0], context)
    for engine in manifest.engines:
        if engine.ep_context is not None:
            wrap = bundle / wrapping(engine.file)
            named, contexts = _references(wrap)
            for other in (named | contexts) - {PurePosixPath(engine.file).name}:
                raise _unfit(wrap, other)
        for name, digest in engine.graph.items():
            if name not in manifest.files or manifest.files[name].sha256 != digest:
                raise BundleError(f"{bundle / engine.file} was compiled from another {name}; compile the bundle again")


def check_file(bundle: Path, name: str, entry: FileEntry, lister: str = "the manifest") -> None:
    """Raise `BundleError` where a file of a bundle is missing, or not the one that an entry is of.

    lister: what has the entry.
    """
    path = locate(bundle, name)
    try:
        same = path.stat().st_size == entry.size and file_entry(path) == entry
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); export the bundle again") from error
    if not same:
        raise BundleError(f"{path} is damaged: it does not match {lister}'s sha256; export the bundle again")


def _references(path: Path) -> tuple[set[str], set[str]]:
    try:
        return references(path)
    except OnnxFileError as error:
        raise BundleError(f"{path} is not an ONNX graph: {error}; export the bundle again") from error


def _unfit(path: Path, name: str) -> BundleError:
    return BundleError(f"{path} would open {name[:60]!a}, which its manifest does not name; export the bundle again")
