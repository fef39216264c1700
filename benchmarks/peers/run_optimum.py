"""Hugging Face's optimum: its own export and its own class around ONNX Runtime, and its dynamic quantisation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optimum.onnxruntime import ORTModelForCTC
from optimum.onnxruntime.configuration import AutoQuantizationConfig
from optimum.onnxruntime.quantization import ORTQuantizer

FILES = {"fp32": "model.onnx", "int8": "model_quantized.onnx"}


def make(checkpoint: Path, target: Path, name: str, shapes: list[tuple[int, ...]]) -> None:
    command = [str(Path(sys.executable).with_name("optimum-cli")), "export", "onnx", "--task"]
    command += ["automatic-speech-recognition", "--model", str(checkpoint), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    quantizer = ORTQuantizer.from_pretrained(target, file_name=FILES["fp32"])
    # Products only: the others that it would quantise, such as convolutions, are slower in bytes.
    recipe = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True, operators_to_quantize=["MatMul"])
    quantizer.quantize(save_dir=target, quantization_config=recipe)


class Engine:
    def __init__(self, checkpoint: Path, target: Path, settings: dict[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings["threads"]
        file = FILES[settings.get("file", "fp32")]
        self.model = ORTModelForCTC.from_pretrained(target, file_name=file, session_options=options)

    def prepare(self, clips: list[Any]) -> list[torch.Tensor]:
        return [torch.from_numpy(clip.values[None]) for clip in clips]

    def run(self, prepared: list[torch.Tensor]) -> list[np.ndarray]:
        return [self.model(values).logits[0].numpy() for values in prepared]
