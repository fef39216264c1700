"""ONNX Runtime on ``torch.onnx.export`` of Hugging Face's model, without a mask, and on its dynamic quantisation.

``one-length`` is exported for each length that is timed, ``dynamic`` once for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def make(checkpoint: Path, target: Path, name: str, shapes: list[tuple[int, ...]]) -> None:
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from run_transformers import load

    model = load(checkpoint, attn_implementation="eager")  # the default, sdpa, fails to export
    dynamic = name == "dynamic"
    for shape in shapes[:1] if dynamic else shapes:
        path = target / f"{'fp32' if dynamic else shape[0]}.onnx"
        torch.onnx.export(
            model,
            (torch.randn(1, *shape),),
            path,
            dynamo=True,
            opset_version=20,
            input_names=[model.main_input_name],
            output_names=["logits"],
            dynamic_shapes=({1: torch.export.Dim.DYNAMIC},) if dynamic else None,
            verbose=False,
        )
        # Products only: by default convolutions become ConvInteger too, which is slower than fp32.
        quantize_dynamic(
            path,
            path.with_name("int8.onnx" if dynamic else f"{shape[0]}-int8.onnx"),
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
        )


class Engine:
    def __init__(self, checkpoint: Path, target: Path, settings: dict[str, Any]) -> None:
        self.target, self.file = target, settings.get("file", "fp32")
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = settings["threads"]
        self.sessions: dict[Path, Any] = {}
        if (target / "fp32.onnx").is_file():
            self._session(target / f"{self.file}.onnx")

    def prepare(self, clips: list[Any]) -> list[tuple[Any, dict[str, np.ndarray]]]:
        result = []
        for clip in clips:
            path = self.target / f"{self.file}.onnx"
            if not path.is_file():
                path = self.target / f"{len(clip.values)}{'-int8' if self.file == 'int8' else ''}.onnx"
            session = self._session(path)
            result.append((session, {session.get_inputs()[0].name: clip.values[None]}))
        return result

    def run(self, prepared: list[Any]) -> list[np.ndarray]:
        return [session.run(None, inputs)[0][0] for session, inputs in prepared]

    def _session(self, path: Path) -> Any:
        if path not in self.sessions:
            self.sessions[path] = onnxruntime.InferenceSession(path, self.options, providers=["CPUExecutionProvider"])
        return self.sessions[path]
