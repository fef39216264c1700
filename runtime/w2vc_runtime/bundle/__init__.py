"""The manifest: the one contract between the exporter and every runtime.

``manifest.json`` says what a bundle computes and how to feed it, so that a runtime needs no other file of the
checkpoint. docs/bundle.md describes every field.
"""

from __future__ import annotations

from .bundle import Bundle
from .files import check_file, check_files, file_entry, locate
from .interface import Interface
from .manifest import FILE_NAME, SCHEMA, Manifest, digest
from .types import (
    HEADS,
    LEAST_CAPABILITY,
    Budget,
    Certified,
    CertifiedAudio,
    Ctc,
    Engine,
    EngineProfile,
    FileEntry,
    Frames,
    Graph,
    Kept,
    Labels,
    Source,
    Tensor,
    wrapping,
)

__all__ = [
    "FILE_NAME",
    "HEADS",
    "LEAST_CAPABILITY",
    "SCHEMA",
    "Budget",
    "Bundle",
    "Certified",
    "CertifiedAudio",
    "Ctc",
    "Engine",
    "EngineProfile",
    "FileEntry",
    "Frames",
    "Graph",
    "Interface",
    "Kept",
    "Labels",
    "Manifest",
    "Source",
    "Tensor",
    "check_file",
    "check_files",
    "digest",
    "file_entry",
    "locate",
    "wrapping",
]  # fmt: skip
