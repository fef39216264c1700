"""Bundles, edited."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from w2vc_runtime.bundle import Bundle, digest, file_entry


def sign(bundle: Path, files: bool = True) -> None:
    """Make the hashes fit again, as one would who wanted a bundle to look intact."""
    manifest = Bundle.read(bundle).manifest
    if files:
        manifest = dataclasses.replace(manifest, files={name: file_entry(bundle / name) for name in manifest.files})
    (bundle / "manifest.json").write_text(manifest.to_json())
    report = json.loads((bundle / "report.json").read_text())
    report["manifest"] = manifest.sha256
    report["sha256"] = digest(report)
    (bundle / "report.json").write_text(json.dumps(report))
