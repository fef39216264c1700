"""The export as a function, importable where PyTorch is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from w2vc_runtime.errors import MissingExtraError

from .options import ExportOptions

if TYPE_CHECKING:
    from .pipeline import ExportResult

NEEDED = {"torch": "export", "onnx": "export", "onnxscript": "export", "safetensors": "export", "onnxruntime": "cpu"}


def export(options: ExportOptions) -> ExportResult:
    """Export one head of a checkpoint to a verified bundle.

    Raises `MissingExtraError` without the packages of the extra ``export``, `ExportError` on input that is wrong, and
    `RejectedError` where the graph fails its verification: then nothing is published.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError("exporting", " and ".join(missing), "export,cpu")
    from .pipeline import run

    return run(options)
