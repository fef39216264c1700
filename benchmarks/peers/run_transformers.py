"""Hugging Face's own model in PyTorch: eager, compiled, and in bfloat16; also what the others are judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers


def load(checkpoint: Path, **settings: Any) -> Any:
    """The model, as its configuration names it."""
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    return getattr(transformers, config.architectures[0]).from_pretrained(checkpoint, **settings).eval()


class Engine:
    def __init__(self, checkpoint: Path, target: Path, settings: dict[str, Any]) -> None:
        torch.set_num_threads(settings["threads"])
        self.type = getattr(torch, settings.get("type", "float32"))
        self.padded = settings.get("padded", False)
        model = load(checkpoint, dtype=self.type)
        self.model = torch.compile(model) if settings.get("compiled") else model

    def prepare(self, clips: list[Any]) -> list[tuple[torch.Tensor, torch.Tensor | None, int]]:
        values = [torch.from_numpy(clip.values).to(self.type) for clip in clips]
        if not self.padded:
            return [(value[None], None, 1) for value in values]
        mask = torch.zeros(len(values), max(map(len, values)), dtype=torch.int64)
        for row, value in enumerate(values):
            mask[row, : len(value)] = 1
        self.frames = [self._frames(len(value)) for value in values]
        return [(torch.nn.utils.rnn.pad_sequence(values, batch_first=True), mask, len(values))]

    @torch.inference_mode()
    def run(self, prepared: list[Any]) -> list[np.ndarray]:
        rows = [row for values, mask, _ in prepared for row in self.model(values, attention_mask=mask).logits]
        arrays = [row.float().numpy() for row in rows]
        return [row[:frames] for row, frames in zip(arrays, self.frames)] if self.padded else arrays

    def _frames(self, length: int) -> int:
        return int(self.model._get_feat_extract_output_lengths(torch.tensor(length)))
