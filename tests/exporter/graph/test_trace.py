"""The tracer: every translation beside PyTorch, names, and what it refuses."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from support.oracle import ARCHITECTURES, tiny
from w2vc_exporter.graph import trace as tracing
from w2vc_exporter.graph.operators import OPERATORS
from w2vc_exporter.graph.save import write
from w2vc_exporter.graph.shapes import SHAPES
from w2vc_exporter.graph.trace import trace
from w2vc_model import load as load_model

CHANNELS = 6


class Small(nn.Module):
    """A model of one function: x [batch, time, 6], mask [batch, time] -> anything."""

    inputs = {"x": ("float32", ("batch", "time", CHANNELS)), "mask": ("int64", ("batch", "time"))}  # noqa: RUF012

    def __init__(self, compute: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(4, CHANNELS, generator=generator))
        self.table = nn.Parameter(torch.randn(60, 3, generator=generator))
        self.conv = nn.Parameter(torch.randn(4, CHANNELS // 2, 3, generator=generator))
        self.scale, self.shift = (nn.Parameter(torch.rand(CHANNELS, generator=generator) + 0.5) for _ in range(2))
        self.requires_grad_(False)

    @property
    def outputs(self) -> dict[str, tuple[str | int, ...]]:
        rank = self(*self.example(1, 2))["y"].ndim
        return {"y": tuple(f"axis_{axis}" for axis in range(rank))}

    def example(self, seconds: float, batch: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        frames = round(11 * seconds)
        mask = torch.arange(frames)[None, :] < torch.tensor([frames - row for row in range(batch)])[:, None]
        return torch.randn(batch, frames, CHANNELS, generator=generator), mask.to(torch.int64)

    def forward(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"y": self.compute(self, x, mask)}


CASES: dict[str, Callable[[Small, Tensor, Tensor], Tensor]] = {
    "add": lambda m, x, mask: x + 1.5 + m.scale,
    "and": lambda m, x, mask: ((x > 0) & (x <= 1)).to(torch.float32),
    "any": lambda m, x, mask: (x > 1).any(1, keepdim=True).to(torch.float32) + (x > 9).any().to(torch.float32),
    "arange": lambda m, x, mask: torch.cat(
        (torch.arange(2 * x.shape[1] - 3, device=x.device), torch.arange(1 - x.shape[1], x.shape[1] + 2))
    ).to(torch.float32),
    "argmax": lambda m, x, mask: x.argmax(dim=-1).to(torch.float32),
    "batch_norm": lambda m, x, mask: F.batch_norm(
        x.transpose(1, 2), m.shift, m.scale, m.scale, m.shift, False, 0.1, 1e-3
    ),
    "cat": lambda m, x, mask: torch.cat((x, x + 1), dim=-1),
    "chunk": lambda m, x, mask: x.chunk(2, dim=-1)[1],
    "clamp": lambda m, x, mask: x.clamp(-0.5, 0.25),
    "clamp_min": lambda m, x, mask: x.clamp_min(0.1),
    "conv1d": lambda m, x, mask: F.conv1d(x.transpose(1, 2), m.conv, m.scale[:4], (2,), (1,), groups=2),
    "cos": lambda m, x, mask: x.cos(),
    "div": lambda m, x, mask: x / mask.sum(-1, dtype=torch.float32)[:, None, None],
    "embedding": lambda m, x, mask: F.embedding(mask.sum(-1), m.table),
    "eq": lambda m, x, mask: (mask == 1).to(torch.float32),
    "exp": lambda m, x, mask: x.exp(),
    "flatten": lambda m, x, mask: x.flatten(1),
    "gelu": lambda m, x, mask: F.gelu(x) + F.gelu(x, approximate="tanh"),
    "getitem": lambda m, x, mask: x[:, None, :, None] + mask[..., None, None].to(torch.float32).transpose(1, 2),
    "glu": lambda m, x, mask: F.glu(x, dim=-1),
    "group_norm": lambda m, x, mask: F.group_norm(x.transpose(1, 2), CHANNELS, m.scale, m.shift, 1e-5),
    "gt": lambda m, x, mask: (x > 0.3).to(torch.float32),
    "index_select": lambda m, x, mask: x.index_select(1, x.shape[1] - 1 - torch.arange(x.shape[1])),
    "invert": lambda m, x, mask: (~(x > 0)).to(torch.float32),
    "layer_norm": lambda m, x, mask: F.layer_norm(x, (CHANNELS,), m.scale, m.shift, 1e-3),
    "le": lambda m, x, mask: (x <= mask[:, :, None]).to(torch.float32),
    "linear": lambda m, x, mask: F.linear(x, m.weight, m.scale[:4]),
    "log": lambda m, x, mask: x.exp().log(),
    "masked_fill": lambda m, x, mask: x.masked_fill(mask[:, :, None] == 0, -3.0),
    "matmul": lambda m, x, mask: x @ m.weight.T @ x.transpose(1, 2)[:, :, :].narrow(1, 0, 4),
    "mul": lambda m, x, mask: 0.5 * x * m.scale,
    "narrow": lambda m, x, mask: x.narrow(1, x.shape[1] // 3, x.shape[1] - x.shape[1] // 3 - 2),
    "neg": lambda m, x, mask: -x,
    "or": lambda m, x, mask: ((x > 1) | (x <= -1)).to(torch.float32),
    "pad": lambda m, x, mask: F.pad(x, (0, 0, 2, 1)),
    "permute": lambda m, x, mask: x.permute(2, 0, 1),
    "relu": lambda m, x, mask: torch.relu(x),
    "reshape": lambda m, x, mask: x.reshape(x.shape[0], 3, 2 * x.shape[1]),
    "rsqrt": lambda m, x, mask: torch.rsqrt(x.exp()),
    "rsub": lambda m, x, mask: (x.shape[1] - 1) - torch.arange(x.shape[1]).to(torch.float32) + 1.0 - x[:, :, :].sum(-1),
    "silu": lambda m, x, mask: F.silu(x),
    "sin": lambda m, x, mask: x.sin(),
    "softmax": lambda m, x, mask: torch.softmax(x, dim=1),
    "sqrt": lambda m, x, mask: torch.sqrt(x.exp()),
    "stack": lambda m, x, mask: torch.stack((x, -x), dim=-1),
    "sub": lambda m, x, mask: x - 2 - m.shift,
    "sum": lambda m, x, mask: x.sum((0, 1)) + x.sum(-1).sum(1, keepdim=True).sum(0),
    "to": lambda m, x, mask: mask.to(torch.float32),
    "transpose": lambda m, x, mask: x.transpose(0, 2),
    "unflatten": lambda m, x, mask: x.unflatten(-1, (2, 3)),
    "where": lambda m, x, mask: (
        torch.where(mask[:, :, None] == 1, x, 0.0) + torch.where(mask == 1, 0.0, -9.0)[..., None]
    ),
}


def run(graph: ir.Model, folder: Path, inputs: dict[str, Tensor]) -> list[np.ndarray]:
    path = folder / "graph.onnx"
    write(graph, path)
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})


@pytest.mark.parametrize("name", OPERATORS)
def test_every_translation_is_what_pytorch_computes(name, tmp_path):
    """At other lengths and batches than those of the examples."""
    model = Small(CASES[name]).eval()
    inputs = dict(zip(("x", "mask"), model.example(5, 4)))
    (actual,) = run(trace(model), tmp_path, inputs)
    expected = model(*inputs.values())["y"].detach().numpy()
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)


class Watch(TorchFunctionMode):
    """Compares what is known of the shape and type of results with what PyTorch computes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result, name = function(*args, **(kwargs or {})), tracing._name(function)
        if name in SHAPES:
            known = SHAPES[name](*args, **(kwargs or {}))
            assert (known.shape, known.dtype) == (result.shape, result.dtype), name
            self.seen.add(name)
        return result


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_without_data_are_those_of_pytorch(name):
    model = Small(CASES[name]).eval()
    inputs = model.example(1, 2)
    with Watch() as watch:
        model(*inputs)
    assert name in watch.seen


def test_a_shape_that_is_wrong_is_seen(monkeypatch):
    monkeypatch.setitem(SHAPES, "glu", SHAPES["gelu"])
    with pytest.raises(AssertionError, match="glu"), Watch():
        F.glu(torch.zeros(2, 6))


def test_pytorch_does_not_load_its_compiler():
    """It takes longer than everything else that tracing does."""
    script = (
        "import sys, w2vc_model, w2vc_exporter.graph.trace as tracing\n"
        "for path in sys.argv[1:]: tracing.trace(w2vc_model.load(path, 'ctc'))\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    checkpoints = [str(tiny(each, norm)[1]) for each in ARCHITECTURES for norm in ("layer", "group")]
    subprocess.run([sys.executable, "-c", script, *checkpoints], check=True)


def test_every_case_is_of_a_translation():
    assert CASES.keys() == OPERATORS.keys()


def test_nodes_and_weights_have_the_names_of_their_modules():
    model = load_model(tiny("conformer-relative", "layer")[1], "ctc")
    graph = trace(model).graph
    modules = {name.removeprefix("backbone.") for name, _ in model.named_modules()}
    assert {node.name.rpartition(".")[0] for node in graph} <= modules
    for layer in "01":
        inside = [node for node in graph if node.name.startswith(f"encoder.layers.{layer}.")]
        assert {"encoder.layers.0.ffn1.intermediate_dense.MatMul".replace("0", layer)} <= {n.name for n in inside}
    named = {name.removeprefix("backbone."): each for name, each in model.named_parameters()}
    weights = {re.sub(r"\.T$", "", name): value.const_value for name, value in graph.initializers.items()}
    shared = [name for name in named if name in weights]
    scaled = {name for name in named if "pos_bias" in name}  # computed with, once, as the model ran
    assert set(shared) == named.keys() - scaled
    assert all(weights[name].raw.data_ptr() == named[name].data_ptr() for name in shared)  # no copy


def test_the_same_model_gives_the_same_bytes(tmp_path):
    checkpoint = tiny("wav2vec2", "group")[1]
    contents = []
    for name in ("one", "two"):
        ir.save(trace(load_model(checkpoint, "ctc")), tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_equal_weights_stay_apart():
    model = Small(lambda m, x, mask: F.linear(F.linear(x, m.weight), m.again)).eval()
    model.again = nn.Parameter(torch.ones(4, 4))
    model.weight.data.fill_(1.0)
    names = [name for name in trace(model).graph.initializers if name.endswith(".T")]
    assert names == ["weight.T", "again.T"]


REFUSED = {
    "no translation": lambda m, x, mask: x.cumsum(1),
    "would fix it": lambda m, x, mask: x if x.shape[1] > 5 else -x,
    "would fix it,": lambda m, x, mask: x * (x.shape[1] % 2),
    "the index": lambda m, x, mask: x[:, 1:],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_translation_is_refused(reason):
    model = Small(REFUSED[reason]).eval()
    with pytest.raises(NotImplementedError, match=reason.removesuffix(",")):
        trace(model)


def test_what_two_examples_share_is_fixed_and_the_rest_varies(monkeypatch, tmp_path):
    """The negative control: examples of one length fix it, and another length then fails."""
    compute = CASES["narrow"]
    inputs = dict(zip(("x", "mask"), Small(compute).example(5, 4)))
    monkeypatch.setattr(tracing, "EXAMPLES", ((1, 2), (1, 3), (1, 5)))
    model = Small(compute).eval()
    (actual,) = run(trace(model), tmp_path, inputs)
    assert actual.shape != model(*inputs.values())["y"].shape
