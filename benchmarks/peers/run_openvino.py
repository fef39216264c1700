"""OpenVINO with its own converter, and NNCF's quantisation after training of what that gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino


def make(checkpoint: Path, target: Path, name: str, shapes: list[tuple[int, ...]]) -> None:
    import torch
    from run_transformers import load

    class Logits(torch.nn.Module):
        """Hugging Face's outputs are a class of its own, which cannot be traced through."""

        def __init__(self) -> None:
            super().__init__()
            self.model = load(checkpoint, attn_implementation="eager")

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.model(values).logits

    example = torch.randn(1, *shapes[0])
    with torch.no_grad():
        converted = openvino.convert_model(Logits(), example_input=example, input=[1, -1, *shapes[0][1:]])
    if name == "nncf":
        import nncf

        with np.load(checkpoint / "calibration.npz") as arrays:  # noise of the kind that ours is calibrated on
            rows = [arrays[name][None] for name in arrays.files]
        converted = nncf.quantize(
            converted, nncf.Dataset(rows), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows)
        )
    openvino.save_model(converted, target / "model.xml", compress_to_fp16=False)


class Engine:
    def __init__(self, checkpoint: Path, target: Path, settings: dict[str, Any]) -> None:
        self.core = openvino.Core()
        self.path = target / "model.xml"
        self.static = settings.get("static", False)
        self.config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": settings.get("type", "f32"),
            "INFERENCE_NUM_THREADS": settings["threads"],
        }
        self.requests: dict[tuple[int, ...], Any] = {}
        if not self.static:
            self._request(())

    def prepare(self, clips: list[Any]) -> list[tuple[Any, np.ndarray]]:
        inputs = [clip.values[None] for clip in clips]
        return [(self._request(each.shape if self.static else ()), each) for each in inputs]

    def run(self, prepared: list[Any]) -> list[np.ndarray]:
        return [request.infer([values])[0][0] for request, values in prepared]

    def _request(self, shape: tuple[int, ...]) -> Any:
        if shape not in self.requests:
            model = self.core.read_model(self.path)
            if shape:
                model.reshape(list(shape))
            self.requests[shape] = self.core.compile_model(model, "CPU", self.config).create_infer_request()
        return self.requests[shape]
