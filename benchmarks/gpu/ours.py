"""Which attention, mask and front end is fastest in our own PyTorch model at half precision?

    python benchmarks/gpu/ours.py [--models NAMES] [--precisions fp16,bf16] [--quick]

The model that is exported, written down in every way that tests/support/forms.py has of it, and with PyTorch's
``scaled_dot_product_attention``, with and without a mask of the keys. Each runs eagerly and as a CUDA graph. Which is
fastest tells what the graph should be. Random weights; ``differs`` is from the model as it is exported, in the same
precision; without a mask it is the price of none.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import bundles
import numpy as np
from harness import Cell, Measure, Report, one_line, parser, run, selected, serve
from pytorch import WARM_UP, Captured, Eager
from speed import LAYERS, MODELS, PRECISIONS, RATE, SHAPES, TRIAL

OURS = "as it is exported"
FUSED, UNMASKED = "scaled_dot_product_attention", "scaled_dot_product_attention, no mask"
RUNS = {"gpu": 20, "cpu": 2}
TRIAL_SHAPES = ((1, 2),)
COLUMNS = {
    "model": lambda cell: cell["model"],
    "precision": lambda cell: cell["precision"],
    "batch": lambda cell: f"{cell['batch']} x {cell['seconds']} s",
    "form": lambda cell: cell["form"],
    "eager": lambda cell: f"{cell['eager_ms']:.2f} ms",
    "CUDA graph": lambda cell: "-" if cell["graph_ms"] is None else f"{cell['graph_ms']:.2f} ms",
    "differs": lambda cell: "NaN" if cell["difference"] is None else f"{cell['difference']:.1e}",
}


def names(architecture: str) -> list[str]:
    """Ways to write a model of a kind down."""
    from support.forms import FORMS

    own = [name for name, form in FORMS.items() if form.changes(architecture) and not form.graph]
    return [OURS, FUSED, UNMASKED, *own]


def architecture(model: str) -> str:
    from support.published import PUBLISHED

    return "conformer-relative" if model in TRIAL else PUBLISHED[model][0]


def _fused(masked: bool) -> Any:
    """Attention of every kind as PyTorch's own function, whose addend are bias and mask."""
    import torch

    from support.forms import position_bias
    from w2vc_model.attention import RelativeAttention, RelativeKeyAttention, SelfAttention

    def forward(self: SelfAttention, x: torch.Tensor, key_mask: torch.Tensor, positions: Any) -> torch.Tensor:
        query, key, value = self.project(x, positions)
        bias = key_mask if masked else None
        if isinstance(self, (RelativeAttention, RelativeKeyAttention)):
            query, positional = position_bias(self, query * self.scaling, positions)
            query, bias = query / self.scaling, positional if bias is None else positional + bias
        attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, bias, scale=self.scaling)
        return self.linear_out(attended.transpose(1, 2).flatten(2))

    return patch.object(SelfAttention, "forward", forward)


def form(name: str) -> Any:
    """The context of a way to write a model down."""
    from support.forms import FORMS

    if name in (FUSED, UNMASKED):
        return _fused(masked=name == FUSED)
    return FORMS[name].context() if name in FORMS else nullcontext()


class Place:
    """Our model of a checkpoint, on the device and in a type; see `pytorch.Place`."""

    main = ""

    def __init__(self, job: Cell) -> None:
        import torch

        from support.oracle import save
        from w2vc_exporter import ExportOptions
        from w2vc_exporter.subject import find_subject, read_subject

        self.torch, self.type = torch, bundles.dtype(job["precision"])
        self.where = torch.device("cuda" if job["device"] == "gpu" else "cpu")
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = save(bundles.model(job["described"]), Path(folder) / "checkpoint")
            options = ExportOptions(checkpoint, job["described"]["head"], output=Path(folder) / "out")
            subject = read_subject(*find_subject(options))
        self.interface = subject.interface
        self.main = self.interface.inputs[0].name
        ours = subject.model.eval().to(self.where)
        for tensor in (*ours.parameters(), *ours.buffers()):
            tensor.requires_grad_(False)
        for module in ours.modules():
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if name != "inverse_frequency" and tensor is not None and tensor.is_floating_point():
                    tensor.data = tensor.data.to(self.type)
        self.model = lambda **inputs: SimpleNamespace(logits=ours(*inputs.values())["logits"])

    def positions(self) -> ExitStack:
        """Angles are computed in fp32, as in the graph, and what is made of them is in the model's type."""
        from w2vc_model.positions import RelativePositions, RotaryPositions

        stack = ExitStack()
        relative, rotary = RelativePositions.forward, RotaryPositions.forward
        kind = self.type
        stack.enter_context(
            patch.object(RelativePositions, "forward", lambda each, frames: relative(each, frames).to(kind))
        )
        stack.enter_context(
            patch.object(
                RotaryPositions, "forward", lambda each, frames: tuple(x.to(kind) for x in rotary(each, frames))
            )
        )
        return stack


def measuring(job: Cell) -> Measure:
    """Task of a worker: one model in one precision, on one batch after another."""
    place = Place(job)
    expected: dict[tuple[int, int], np.ndarray] = {}

    def timed(way: Eager, inputs: dict[str, np.ndarray]) -> tuple[float, np.ndarray]:
        wait = place.torch.cuda.synchronize if job["device"] == "gpu" else lambda: None
        taken = []
        resident = way.upload(inputs)
        for _ in range(WARM_UP + RUNS[job["device"]]):
            wait()
            start = time.perf_counter()
            output = way.compute(resident)
            wait()
            taken.append(time.perf_counter() - start)
        return 1000 * statistics.median(taken[WARM_UP:]), output.float().cpu().numpy()

    def measure(cell: Cell) -> Cell:
        longest = cell["seconds"] * RATE
        lengths = np.linspace(longest, 0.8 * longest, cell["batch"]).astype(int)
        generator = np.random.default_rng(0)
        inputs = place.interface.feed([0.1 * generator.standard_normal(n).astype(np.float32) for n in lengths])
        with place.positions(), form(cell["form"]):
            eager, output = timed(Eager(place, place.model), inputs)
            found: Cell = {"eager_ms": eager, "graph_ms": None}
            if job["device"] == "gpu":
                try:
                    found["graph_ms"], _ = timed(Captured(place, masked=True), inputs)
                except Exception as error:  # of PyTorch; the eager time counts
                    found["graph_problem"] = one_line(error)
        base = expected.setdefault((cell["seconds"], cell["batch"]), output)  # the first is ours
        return {**found, "difference": float(np.abs(output[0] - base[0]).max() / np.abs(base[0]).max())}

    return measure


def main() -> int:
    arguments = parser(__doc__, "ours", 9, MODELS)
    arguments.add_argument("--precisions", default=PRECISIONS[0], metavar="NAMES", help="default: %(default)s")
    options = arguments.parse_args()
    if options.job:
        return serve(options.job, {"measure": measuring})
    models, precisions = selected(options, MODELS, PRECISIONS, TRIAL)
    shapes = TRIAL_SHAPES if options.device == "cpu" else SHAPES[:2] if options.quick else SHAPES
    report = Report(options, __doc__)
    trial = {"cell": ["conformer-relative", "layer", "ctc"]}
    jobs = [
        {
            "task": "measure",
            "device": options.device,
            "precision": precision,
            "described": {
                "head": "ctc",
                "checkpoint": trial if model in TRIAL else {"published": model, "layers": LAYERS},
            },
            "cells": [
                {"model": model, "precision": precision, "seconds": seconds, "batch": batch, "form": name}
                for seconds, batch in shapes
                for name in names(architecture(model))
            ],
        }
        for model in models
        for precision in precisions
    ]
    run(report, "cells", __file__, jobs)
    report.show(COLUMNS)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
