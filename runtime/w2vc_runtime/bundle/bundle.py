"""A bundle on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from w2vc_runtime.documents.reader import DocumentError, read_document
from w2vc_runtime.documents.typed import TypeMismatch, build
from w2vc_runtime.errors import BundleError, OptionError

from .checks import contradictions
from .files import check_files, locate
from .interface import Interface
from .manifest import FILE_NAME, SCHEMA, Manifest, digest
from .types import Graph


@dataclass(frozen=True)
class Bundle:
    """A directory that ``w2vc-export`` wrote, and its manifest.

    It may be one that is being written: nothing is read but what is asked for.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def read(cls, path: Path) -> Bundle:
        """The bundle in a directory; raise `BundleError` where its manifest is missing, damaged, wrong or too new."""
        return cls(path, read_manifest(path))

    @property
    def interface(self) -> Interface:
        """How its graphs are fed and read."""
        return self.manifest.interface

    def check(self) -> None:
        """Compare every file with the manifest; see `check_files`."""
        check_files(self.path, self.manifest)

    def graph(self, precision: str | None = None) -> Graph:
        """The graph in a precision, or the first; raise `OptionError` where there is none in that precision."""
        graphs = {graph.precision: graph for graph in self.manifest.graphs}
        graph = self.manifest.graphs[0] if precision is None else graphs.get(precision)
        if graph is None:
            raise OptionError(f"{self.path} has no graph in {precision}; it has: {', '.join(graphs)}")
        return graph

    def file(self, graph: Graph) -> Path:
        """The ONNX file of a graph."""
        return self.path / graph.files[0]


def read_manifest(bundle: Path) -> Manifest:
    """Read ``manifest.json`` of a bundle; raise `BundleError` where it is missing, damaged, wrong or too new."""
    path = locate(bundle, FILE_NAME, "expected a bundle that w2vc-export wrote")
    try:
        values = read_document(path)
    except DocumentError as error:
        raise BundleError(f"{path} is damaged: it is not a manifest, {error}; export the bundle again") from error
    schema = values.get("schema") if isinstance(values, dict) else None
    if type(schema) is not int:
        raise BundleError(f"{path} is damaged: it is not a manifest; export the bundle again")
    if schema != SCHEMA:
        remedy = "upgrade w2vc" if schema > SCHEMA else "export the bundle again"
        raise BundleError(f"{bundle} has manifest schema {schema}, and this w2vc reads schema {SCHEMA}; {remedy}")
    if values.pop("sha256", None) != digest(values):
        raise BundleError(f"{path} is damaged: its content does not match its sha256; export the bundle again")
    try:
        manifest = build(Manifest, values)
    except TypeMismatch as error:
        raise _wrong(path, str(error)) from error
    for problem in contradictions(manifest):
        raise _wrong(path, problem)
    return manifest


def _wrong(path: Path, problem: str) -> BundleError:
    return BundleError(f"{path} does not follow schema {SCHEMA}: {problem}; export the bundle again, or upgrade w2vc")
