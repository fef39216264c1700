"""The gate: what PyTorch computes on the cases that a graph must equal, and what it may differ by."""

from __future__ import annotations

import torch

from w2vc_model import SpeechModel
from w2vc_runtime.cases import cases
from w2vc_runtime.features import Recipe
from w2vc_runtime.manifest import Frames
from w2vc_runtime.parity import Budget, Expected, Reference

from .errors import ExportError

REFERENCE = f"PyTorch {torch.__version__}, fp32, on the CPU"


def changed(budget: Budget, text: str) -> Budget:
    """A budget with what a text such as ``tokens=99.9%,difference=1e-3`` says; raise `ExportError` on others."""
    values = {"difference": budget.difference, "tokens": budget.choices}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            number = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            number = -1.0
        if name not in values or not 0 <= number < float("inf") or (name == "tokens" and number > 1):
            raise ExportError(
                f"budget {part.strip()!r} cannot be read; expected tokens=PERCENT% (of equal choices) or "
                "difference=NUMBER (of the largest value), such as tokens=99.9%,difference=1e-3"
            )
        values[name] = number
    return Budget(values["difference"], values["tokens"])


@torch.no_grad()
def references(
    model: SpeechModel, features: Recipe, frames: dict[str, Frames], shortest: int, padding: str
) -> list[Reference]:
    """Run the PyTorch model on every case.

    Under ``padding-invariant`` each clip is run alone, so that a graph which lets padding in fails; under ``hf-exact``
    the padded batch is run. All of it is done before the graph is loaded: the two need not be in memory together.
    frames: of each time axis. shortest: the fewest samples that the model answers for.
    """
    result = []
    for case in cases(features, frames, shortest, padding, list(model.inputs)):
        lengths = dict.fromkeys(case.inputs, case.inputs["attention_mask"].sum(-1).tolist())
        if "mask_time_indices" in case.inputs:
            lengths["mask_time_indices"] = [frames["frames"].count(len(clip)) for clip in case.clips]
        arguments = {name: torch.from_numpy(case.inputs[name]) for name in model.inputs}
        if padding == "hf-exact":
            together = model(*arguments.values())
            values = {
                name: tuple(value.numpy()) if value.ndim else (value.numpy(),) for name, value in together.items()
            }
        else:
            alone = [
                model(*(value[row : row + 1, : lengths[name][row]] for name, value in arguments.items()))
                for row in range(len(case.clips))
            ]
            values = {name: tuple(each[name][0].numpy() for each in alone) for name in model.outputs}
        expected = {name: tuple(map(Expected.whole, each)) for name, each in values.items()}
        seconds = max(map(len, case.clips)) / features.sampling_rate
        result.append(Reference(case.name, case.clips, seconds, case.inputs, expected))
    return result
