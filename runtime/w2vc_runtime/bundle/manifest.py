"""``manifest.json``: what it holds, and its hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

from w2vc_runtime.documents.typed import OMITTED, AtLeast, OneOf, Range, plain
from w2vc_runtime.features import Recipe

from .interface import Interface
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

    @property
    def interface(self) -> Interface:
        """How the graphs are fed and read."""
        return Interface(self.features, self.padding, self.inputs, self.outputs, self.frames, self.shortest)


def digest(values: dict[str, Any]) -> str:
    """sha256 of plain data, but for what `UNHASHED` names."""
    hashed = {key: value for key, value in values.items() if key not in UNHASHED}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()
