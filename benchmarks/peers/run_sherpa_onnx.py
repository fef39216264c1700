"""sherpa-onnx, which runs waveform models with CTC as its "omnilingual" kind: from samples to text.

It exports nothing, and is given the plain export. It does not take spectrograms of 160 features, as Wav2Vec2-BERT has.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import sherpa_onnx

RATE = 16000


def make(checkpoint: Path, target: Path, name: str, shapes: list[tuple[int, ...]]) -> None:
    if len(shapes[0]) != 1:
        raise ValueError("sherpa-onnx has no kind of model that takes spectrograms as Wav2Vec2-BERT does")
    for file in checkpoint.glob("fp32.onnx*"):
        shutil.copy(file, target / file.name)
    vocabulary = json.loads((checkpoint.parent / "checkpoint" / "vocab.json").read_text())
    # Its blank is token 0, as here.
    lines = [f"{token} {index}\n" for token, index in sorted(vocabulary.items(), key=lambda each: each[1])]
    (target / "tokens.txt").write_text("".join(lines))


class Engine:
    def __init__(self, checkpoint: Path, target: Path, settings: dict[str, Any]) -> None:
        self.model = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
            model=str(target / "fp32.onnx"), tokens=str(target / "tokens.txt"), num_threads=settings["threads"]
        )

    def prepare(self, clips: list[Any]) -> list[Any]:
        return [clip.samples for clip in clips]

    def run(self, prepared: list[Any]) -> list[str]:
        texts = []
        for samples in prepared:
            stream = self.model.create_stream()
            stream.accept_waveform(RATE, samples)
            self.model.decode_stream(stream)
            texts.append(stream.result.text)
        return texts
