"""``manifest.json``: read as a whole, or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from w2vc_runtime.documents.reader import DocumentError, read_document
from w2vc_runtime.documents.typed import OMITTED, AtLeast, OneOf, Range, TypeMismatch, build, plain
from w2vc_runtime.errors import BundleError
from w2vc_runtime.features import Recipe

from .checks import contradictions
from .files import locate
from .types import (
    HEADS,
    Certified,
    Ctc,
    Engine,
    FileEntry,
    Frames,
    Graph,
    InnerPath,
    Labels,
    Name,
    Size,
    Source,
    Tensor,
)

SCHEMA = 5
FILE_NAME = "manifest.json"
CONTRACTS = ("padding-invariant", "hf-exact")
# Left out of the manifest's own hash: the time is the only thing in which two exports of the same checkpoint differ.
UNHASHED = ("created", "sha256")


@dataclass(frozen=True)
class Manifest:
    """Everything a runtime has to know about a bundle.

    frames: how many valid frames a clip has on each time axis that the shapes name. shortest: the fewest samples for
    which there is an answer. ctc: for head ``ctc``. labels: for the classification heads. engines: compiled from the
    graphs, maybe later and elsewhere. verification: of each precision.
    """

    name: str
    family: str
    head: Annotated[str, OneOf(tuple(HEADS))]
    position: str
    padding: Annotated[str, OneOf(CONTRACTS)]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: Recipe
    frames: dict[Name, Frames]
    shortest: Size
    graphs: Annotated[tuple[Graph, ...], AtLeast(1)]
    source: Source
    tools: dict[str, str]
    verification: dict[Name, Certified]
    files: dict[InnerPath, FileEntry]
    ctc: Ctc | None = None
    labels: Labels | None = None
    created: str = ""
    engines: tuple[Engine, ...] = dataclasses.field(default=(), metadata=OMITTED)
    schema: Annotated[int, Range(SCHEMA, SCHEMA)] = SCHEMA

    def to_json(self) -> str:
        """The text of ``manifest.json``, its own hash included."""
        return json.dumps({**plain(self), "sha256": self.sha256}, indent=2, ensure_ascii=False) + "\n"

    @property
    def sha256(self) -> str:
        """Hash of all but the time of the export."""
        return digest(plain(self))

    @property
    def certified(self) -> str:
        """Hash of the manifest as the certificate knew it: before engines were compiled."""
        return dataclasses.replace(self, engines=()).sha256

    @classmethod
    def read(cls, bundle: Path) -> Manifest:
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
            manifest = build(cls, values)
        except TypeMismatch as error:
            raise _wrong(path, str(error)) from error
        for problem in contradictions(manifest):
            raise _wrong(path, problem)
        return manifest


def digest(values: dict[str, Any]) -> str:
    """sha256 of plain data, but for what `UNHASHED` names."""
    hashed = {key: value for key, value in values.items() if key not in UNHASHED}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def _wrong(path: Path, problem: str) -> BundleError:
    return BundleError(f"{path} does not follow schema {SCHEMA}: {problem}; export the bundle again, or upgrade w2vc")
