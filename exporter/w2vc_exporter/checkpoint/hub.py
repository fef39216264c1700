"""Checkpoints by the name they have on the Hugging Face hub."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from w2vc_exporter.errors import ExportError
from w2vc_model.errors import name_of

from .recipes import COPIED

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model.bin.index.json")


def find_checkpoint(source: Path, target_lang: str | None = None) -> Path:
    """What is there as it is; for ``owner/name``, the hub's files, fetched or from the local cache.

    Raises `ExportError` where the hub cannot give them. What is neither is returned for the reader to refuse.
    """
    try:
        there = source.exists()
    except OSError as error:
        raise ExportError(f"{name_of(str(source))} is not a directory: {error.strerror}") from error
    if there or not HUB_ID.fullmatch(str(source)):
        return source
    if find_spec("huggingface_hub") is None:
        raise ExportError(f"{source} is not a directory; to read it as a hub id, pip install huggingface_hub")
    from huggingface_hub import snapshot_download

    adapters = [f"adapter.{target_lang}.*"] if target_lang else []
    try:
        return Path(snapshot_download(str(source), allow_patterns=[*COPIED, *WEIGHTS, *adapters]))
    except Exception as error:  # no common root: network, authentication and missing repositories each have their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{source} is not a directory, and the hub did not give it: {reason}") from error
