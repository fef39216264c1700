"""CTranslate2, which has layers of its own for Wav2Vec2 and Wav2Vec2-BERT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

CLASSES = {"wav2vec2": ctranslate2.models.Wav2Vec2, "wav2vec2-bert": ctranslate2.models.Wav2Vec2Bert}


def make(checkpoint: Path, target: Path, name: str, shapes: list[tuple[int, ...]]) -> None:
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(checkpoint)).convert(str(target), force=True)


class Engine:
    def __init__(self, checkpoint: Path, target: Path, settings: dict[str, Any]) -> None:
        kind = json.loads((checkpoint / "config.json").read_text())["model_type"]
        self.waveform = kind == "wav2vec2"
        self.model = CLASSES[kind](
            str(target), "cpu", compute_type=settings["type"], intra_threads=settings["threads"], inter_threads=1
        )

    def prepare(self, clips: list[Any]) -> list[Any]:
        # Waveforms are [batch, 1, samples], spectrograms [batch, frames, features].
        rows = [clip.values[None, None] if self.waveform else clip.values[None] for clip in clips]
        self.kept = [np.ascontiguousarray(each) for each in rows]
        return [ctranslate2.StorageView.from_array(each) for each in self.kept]

    def run(self, prepared: list[Any]) -> list[np.ndarray]:
        return [np.array(self.model.encode(view, to_cpu=False))[0] for view in prepared]
