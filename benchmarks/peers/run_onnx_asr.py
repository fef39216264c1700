"""onnx-asr: what ``onnx-asr.txt`` pins knows none of these models, and says so."""

from __future__ import annotations

from pathlib import Path

import onnx_asr


def make(checkpoint: Path, target: Path, name: str, shapes: list[tuple[int, ...]]) -> None:
    onnx_asr.load_model("wav2vec2", target)
