"""PyTorch to ONNX: run a model once, on values that write down what is done to them.

The models of ``w2vc_model`` use few of PyTorch's functions, and each has its translation in ``operators.py``. While
``forward`` runs, every call of one comes by here. No weight is computed with: shapes are those of tensors without
data, for examples of different size. A dimension that is the same in all of them is fixed, another
varies. What does not depend on the inputs is computed as the model runs, and becomes a constant.

Nothing proves that dimensions which are the same in all examples are so at every length. The gate shows it, beside
PyTorch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass
from torch import Tensor
from torch.overrides import TorchFunctionMode

from w2vc_model import SpeechModel
from w2vc_runtime.system.version import own_version

from .builder import Graph, Length, Traced
from .layers import label
from .operators import OPERATORS
from .shapes import SHAPES

OPSET = 20
IR_VERSION = 10
# (seconds, clips) of the examples: with other remainders, so that what is computed otherwise is another number.
EXAMPLES = ((1.0, 2), (1.37, 3), (2.06, 5))
# Left out of names: it is the whole model but for the head.
BACKBONE = "backbone."


def trace(model: SpeechModel) -> ir.Model:
    """Write down a model as a graph in fp32 whose batch and time axes vary.

    Nodes and weights are named after the modules that they belong to, such as ``encoder.layers.3.ffn1``, and nodes know
    their layer (`label`). The weights are the model's own tensors, read when the graph is written. Raises
    `NotImplementedError` where the model calls a function that has no translation.
    """
    tensors = (*model.named_parameters(), *model.named_buffers())
    graph = Graph({id(tensor): name.removeprefix(BACKBONE) for name, tensor in tensors})
    examples = [[each.to("meta") for each in model.example(*size)] for size in EXAMPLES]
    inputs = [
        Traced.of(ir.Value(name=name, shape=ir.Shape(shape)), each)
        for (name, (_, shape)), each in zip(model.inputs.items(), zip(*examples))
    ]
    with torch.no_grad(), _scopes(model, graph), _Recorder(graph):
        results = model.eval()(*inputs)
    traced = ir.Graph(
        [each.value for each in inputs],
        [_output(graph, name, results[name], shape) for name, shape in model.outputs.items()],
        nodes=graph.nodes,
        initializers=graph.initializers,
        opset_imports={"": OPSET},
        name="main",
    )
    result = ir.Model(traced, ir_version=IR_VERSION, producer_name="w2vc", producer_version=own_version())
    RemoveUnusedNodesPass()(result)
    label(traced)
    return result


class _Recorder(TorchFunctionMode):
    """Puts a node into the graph for every function of PyTorch that is called with what depends on the inputs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph
        self._weights: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not any(isinstance(each, (Traced, Length)) for each in _leaves((args, tuple(kwargs.values())))):
            return function(*args, **kwargs)
        name = _name(function)
        if name in ATTRIBUTES:
            return ATTRIBUTES[name](self._graph, *args)
        if name not in OPERATORS:
            raise NotImplementedError(
                f"{self._graph.scope or 'the model'} calls {name} of PyTorch, which has no translation"
            )
        examples = [self._example(function, args, kwargs, index) for index in range(len(EXAMPLES))]
        values = OPERATORS[name](self._graph, *args, **kwargs, result=examples[0])
        if isinstance(values, tuple):
            return tuple(Traced.of(*each) for each in zip(values, zip(*examples)))
        return Traced.of(values, tuple(examples))

    def _example(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any], index: int) -> Any:
        """What the function gives for an example, without data."""

        def example(each: Any) -> Any:
            if isinstance(each, (list, tuple)):
                return type(each)(map(example, each))
            if isinstance(each, (Traced, Length)):
                return each.examples[index]
            if isinstance(each, Tensor):
                if id(each) not in self._weights:
                    self._weights[id(each)] = (each, each.to("meta"))
                return self._weights[id(each)][1]
            return torch.device("meta") if isinstance(each, torch.device) else each

        keywords = {name: example(each) for name, each in kwargs.items()}
        if _name(function) == "arange":  # which makes a tensor of numbers alone
            keywords["device"] = "meta"
        return SHAPES.get(_name(function), function)(*map(example, args), **keywords)


# What is known of a tensor without a node.
ATTRIBUTES: dict[str, Callable[..., Any]] = {
    "shape": lambda graph, x: tuple(graph.size(x, axis) for axis in range(x.examples[0].ndim)),
    "device": lambda graph, x: torch.device("cpu"),
    "dtype": lambda graph, x: x.examples[0].dtype,
    "ndim": lambda graph, x: x.examples[0].ndim,
    "dim": lambda graph, x: x.examples[0].dim(),
}


def _name(function: Callable[..., Any]) -> str:
    """Of a function, an operator, or the property that a getter belongs to."""
    if function.__name__ == "__get__":
        return str(function.__self__.__name__)  # type: ignore[attr-defined]
    return function.__name__.removeprefix("__").removesuffix("__")


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, (list, tuple)):
        for each in tree:
            yield from _leaves(each)
    else:
        yield tree


@contextlib.contextmanager
def _scopes(model: SpeechModel, graph: Graph) -> Iterator[None]:
    """Let the graph know the name of the module that is running."""
    handles = []
    for name, module in model.named_modules():
        scope = f"{name}.".removeprefix(BACKBONE).removesuffix(".")
        handles.append(module.register_forward_pre_hook(lambda *_, scope=scope: graph.enter(scope)))
        handles.append(module.register_forward_hook(lambda *_: graph.leave()))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _output(graph: Graph, name: str, result: Traced, shape: tuple[str | int, ...]) -> ir.Value:
    """A result under its own name: what two outputs share, or an input gives, is copied."""
    value = result.value
    if value.producer() is None or value.name in graph.outputs:
        value = graph.op("Identity", value)
    graph.outputs.add(name)
    value.name, value.shape = name, ir.Shape(shape)
    return value
