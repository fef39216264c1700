"""The graph while it is being traced: its nodes, its constants, and what stands for a tensor or a length in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Union

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir import tensor_adapters
from torch import Tensor

Operand = Union["Traced", Tensor, "Length", int, float, bool, ir.Value]
"""What an operator of the graph can read: a traced tensor, a weight, a length, a number, or a value of the graph."""


class Traced(Tensor):
    """A tensor that depends on the inputs.

    value: what it is in the graph. examples: what it is for each of the examples, without data.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    value: ir.Value
    examples: tuple[Tensor, ...]

    @classmethod
    def of(cls, value: ir.Value, examples: tuple[Tensor, ...]) -> Traced:
        """The tensor that ``value`` is in the graph."""
        traced = Tensor._make_subclass(cls, examples[0])
        traced.value, traced.examples = value, examples
        value.type = ir.TensorType(tensor_adapters.from_torch_dtype(examples[0].dtype))
        return traced


class Length(int):
    """A dimension that varies, and what is computed from it: an integer for each example, and a value of the graph.

    The value is int64 [1]. Only what the model does with lengths is there: sums, differences, products, quotients.
    """

    graph: Graph
    value: ir.Value
    examples: tuple[int, ...]

    @classmethod
    def of(cls, graph: Graph, value: ir.Value, examples: tuple[int, ...]) -> Length:
        """The length that ``value`` is in the graph."""
        length = cls(examples[0])
        length.graph, length.value, length.examples = graph, value, examples
        return length

    def _with(self, op_type: str, other: Any, compute: Any, swapped: bool = False) -> Any:
        if not isinstance(other, int) or isinstance(other, bool):
            return NotImplemented
        others = other.examples if isinstance(other, Length) else (other,) * len(self.examples)
        pairs = zip(others, self.examples) if swapped else zip(self.examples, others)
        operands = (other, self) if swapped else (self, other)
        return Length.of(self.graph, self.graph.op(op_type, *operands), tuple(compute(a, b) for a, b in pairs))

    def __add__(self, other: Any) -> Any:
        return self._with("Add", other, lambda a, b: a + b)

    def __radd__(self, other: Any) -> Any:
        return self._with("Add", other, lambda a, b: a + b, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._with("Sub", other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._with("Sub", other, lambda a, b: a - b, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with("Mul", other, lambda a, b: a * b)

    def __rmul__(self, other: Any) -> Any:
        return self._with("Mul", other, lambda a, b: a * b, swapped=True)

    def __floordiv__(self, other: Any) -> Any:
        """Of lengths, which are not negative: ONNX rounds towards zero."""
        return self._with("Div", other, lambda a, b: a // b)

    def _refused(self, *_: Any) -> Any:
        raise NotImplementedError("the model does with a length what would fix it in the graph, or has no translation")

    # What would be decided, or computed as a number, for the length of the example and no other.
    __lt__ = __le__ = __gt__ = __ge__ = _refused
    __mod__ = __rmod__ = __rfloordiv__ = __truediv__ = __rtruediv__ = __pow__ = __neg__ = _refused


class Graph:
    """Nodes in their order and the constants that they use, named after the module that is running.

    names: of the model's tensors, by `id`.
    """

    def __init__(self, names: dict[int, str]) -> None:
        self.nodes: list[ir.Node] = []
        self.initializers: list[ir.Value] = []
        self._modules: list[str] = []
        self.outputs: set[str] = set()
        self._names = names
        self._used: Counter[str] = Counter()
        self._constants: dict[Any, ir.Value] = {}
        self._tensors: list[Tensor] = []  # whose `id` is in `_constants`

    @property
    def scope(self) -> str:
        """Name of the module that is running; empty for the model itself."""
        return self._modules[-1] if self._modules else ""

    def enter(self, module: str) -> None:
        """A module begins to run."""
        self._modules.append(module)

    def leave(self) -> None:
        """The module that began last has run."""
        self._modules.pop()

    def op(
        self,
        op_type: str,
        *inputs: Operand | None,
        like: torch.dtype | None = None,
        dtype: ir.DataType | None = None,
        outputs: int = 1,
        **attributes: Any,
    ) -> Any:
        """Append a node; return its value, or its values where there are several.

        like: type of inputs that are plain numbers; without it they are int64. dtype: of the outputs; without it that
        of the first input.
        """
        values = [None if each is None else self.value(each, like) for each in inputs]
        name = self._unique(f"{self.scope}.{op_type}".removeprefix("."))
        node = ir.node(op_type, values, attributes, num_outputs=outputs, name=name)
        for index, output in enumerate(node.outputs):
            output.name = f"{name}_{index}" if outputs > 1 else name
            output.dtype = dtype or _dtype_of(values[0])
        self.nodes.append(node)
        return node.outputs[0] if outputs == 1 else tuple(node.outputs)

    def value(self, operand: Operand, like: torch.dtype | None = None) -> ir.Value:
        """What an operand is in the graph."""
        if isinstance(operand, ir.Value):
            return operand
        if isinstance(operand, (Traced, Length)):
            return operand.value
        if isinstance(operand, Tensor):
            return self.weight(operand)
        return self.constant(np.array(operand, dtype=_numpy_type(like)))

    def weight(self, tensor: Tensor, transposed: bool = False) -> ir.Value:
        """A tensor of the model, or a matrix with its axes exchanged, read as the graph is written: no copy is held."""
        key = (id(tensor), transposed)
        if key not in self._constants:
            self._tensors.append(tensor)
            name = self._names.get(id(tensor), f"{self.scope}.constant".removeprefix("."))
            name = self._unique(f"{name}.T" if transposed else name)
            values = tensor.detach().T if transposed else tensor.detach()
            self._constants[key] = self._register(name, tensor_adapters.TorchTensor(values, name=name))
        return self._constants[key]

    def integers(self, numbers: Iterable[int]) -> ir.Value:
        """Numbers side by side, int64 [n]; lengths may be among them."""
        numbers = list(numbers)
        if any(isinstance(number, Length) for number in numbers):
            parts = [number if isinstance(number, Length) else self.integers([number]) for number in numbers]
            return parts[0].value if len(parts) == 1 else self.op("Concat", *parts, axis=0)  # type: ignore[union-attr]
        return self.constant(np.array(numbers, dtype=np.int64))

    def size(self, tensor: Traced, axis: int) -> int:
        """A dimension: a number where it is fixed, a `Length` where it varies.

        Dimensions that are the same in all examples are one length, read off the first tensor that had it: large
        tensors need not live on for their size.
        """
        sizes = sizes_of(tensor, axis)
        if len(set(sizes)) == 1:
            return sizes[0]
        if ("size", sizes) not in self._constants:
            value = self.op("Shape", tensor, dtype=ir.DataType.INT64, start=axis, end=axis + 1)
            self._constants["size", sizes] = value
        return Length.of(self, self._constants["size", sizes], sizes)

    def constant(self, array: np.ndarray) -> ir.Value:
        """A small constant; equal ones are one."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            shown = "_".join(map(str, array.ravel().tolist()))
            name = self._unique(f"{array.dtype.name}_{'x'.join(map(str, array.shape))}_{shown}"[:64])
            tensor = ir.Tensor(array, name=name)
            self._constants[key] = self._register(name, tensor)
        return self._constants[key]

    def _register(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(
            name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
        )
        self.initializers.append(value)
        return value

    def _unique(self, name: str) -> str:
        self._used[name] += 1
        return name if self._used[name] == 1 else f"{name}_{self._used[name] - 1}"


def _numpy_type(dtype: torch.dtype | None) -> np.dtype:
    return np.dtype(np.int64) if dtype is None else torch.empty(0, dtype=dtype).numpy().dtype


def _dtype_of(value: ir.Value | None) -> ir.DataType:
    assert value is not None
    assert value.dtype is not None
    return value.dtype


def sizes_of(tensor: Traced, axis: int) -> tuple[int, ...]:
    """A dimension in every example."""
    return tuple(example.shape[axis] for example in tensor.examples)


def positive(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis
