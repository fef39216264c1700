"""The functions of PyTorch that the models call, each as operators of ONNX (opset 20).

A translation takes the graph, then what the function takes, under PyTorch's names, and ``result``: what the function
gives for the first example, without data. It returns the value of the result, or a tuple of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir import tensor_adapters
from torch import Tensor

from .builder import Graph, Length, Operand, Traced, positive

INT64, BOOL = ir.DataType.INT64, ir.DataType.BOOL
Translation = Callable[..., "ir.Value | tuple[ir.Value, ...]"]


def _type(dtype: torch.dtype) -> ir.DataType:
    return tensor_adapters.from_torch_dtype(dtype)


def _cast(graph: Graph, x: Operand, dtype: torch.dtype) -> ir.Value:
    """x in a type; numbers and tensors of that type are as they are."""
    if isinstance(x, (Traced, Tensor, Length, ir.Value)):
        value = graph.value(x)
        return value if value.dtype == _type(dtype) else graph.op("Cast", value, dtype=_type(dtype), to=_type(dtype))
    return graph.value(x, dtype)


def _common(*operands: Operand) -> torch.dtype:
    """The type that operands are brought to before they meet."""
    one, other = (each.examples[0] if isinstance(each, (Traced, Length)) else each for each in operands)
    return torch.result_type(one, other)  # type: ignore[arg-type]


def _elementwise(op_type: str, swapped: bool = False) -> Translation:
    """Arithmetic and logic, in the type that the operands share."""

    def translate(graph: Graph, input: Operand, other: Operand, result: Tensor) -> ir.Value:
        dtype = _common(input, other)
        if op_type == "Div" and not dtype.is_floating_point:
            raise NotImplementedError("a true division of integers has no translation")
        operands = [_cast(graph, each, dtype) for each in (input, other)]
        return graph.op(op_type, *(reversed(operands) if swapped else operands), dtype=_type(result.dtype))

    return translate


def _unary(*op_types: str) -> Translation:
    """Functions of one tensor, one after another."""

    def translate(graph: Graph, input: Traced, result: Tensor, inplace: bool = False) -> ir.Value:
        value = input.value
        for op_type in op_types:
            value = graph.op(op_type, value)
        return value

    return translate


# Products, convolutions and norms


def linear(graph: Graph, input: Traced, weight: Tensor, bias: Tensor | None = None, *, result: Tensor) -> ir.Value:
    product = graph.op("MatMul", input, graph.weight(weight, transposed=True))
    return product if bias is None else graph.op("Add", product, bias)


def conv1d(
    graph: Graph,
    input: Traced,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int] = (1,),
    groups: int = 1,
    *,
    result: Tensor,
) -> ir.Value:
    return graph.op(
        "Conv", input, weight, *(() if bias is None else (bias,)),
        kernel_shape=[weight.shape[2]], strides=list(stride), pads=[*padding, *padding], dilations=list(dilation),
        group=groups,
    )  # fmt: skip


def layer_norm(
    graph: Graph,
    input: Traced,
    normalized_shape: Sequence[int],
    weight: Tensor,
    bias: Tensor,
    eps: float,
    result: Tensor,
) -> ir.Value:
    return graph.op("LayerNormalization", input, weight, bias, axis=-len(normalized_shape), epsilon=eps)


def batch_norm(
    graph: Graph,
    input: Traced,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool,
    momentum: float,
    eps: float,
    result: Tensor,
) -> ir.Value:
    assert not training
    return graph.op("BatchNormalization", input, weight, bias, running_mean, running_var, epsilon=eps)


def group_norm(
    graph: Graph, input: Traced, num_groups: int, weight: Tensor, bias: Tensor, eps: float, result: Tensor
) -> ir.Value:
    assert num_groups == result.shape[1], "one channel a group"
    return graph.op("InstanceNormalization", input, weight, bias, epsilon=eps)


# Activations


def silu(graph: Graph, input: Traced, inplace: bool = False, *, result: Tensor) -> ir.Value:
    return graph.op("Mul", input, graph.op("Sigmoid", input))


def gelu(graph: Graph, input: Traced, approximate: str = "none", *, result: Tensor) -> ir.Value:
    return graph.op("Gelu", input, approximate=approximate)


def glu(graph: Graph, input: Traced, dim: int = -1, *, result: Tensor) -> ir.Value:
    value, gate = graph.op("Split", input, outputs=2, axis=dim, num_outputs=2)
    return graph.op("Mul", value, graph.op("Sigmoid", gate))


def softmax(graph: Graph, input: Traced, dim: int, *, result: Tensor, **_: Any) -> ir.Value:
    return graph.op("Softmax", input, axis=dim)


# Sums and choices


def sum_(
    graph: Graph,
    input: Traced,
    dim: int | Sequence[int],
    keepdim: bool = False,
    dtype: torch.dtype | None = None,
    *,
    result: Tensor,
) -> ir.Value:
    axes = graph.integers([dim] if isinstance(dim, int) else dim)
    return graph.op("ReduceSum", _cast(graph, input, result.dtype), axes, keepdims=int(keepdim))


def any_(graph: Graph, input: Traced, dim: int | None = None, keepdim: bool = False, *, result: Tensor) -> ir.Value:
    number = _cast(graph, input, torch.int64)
    axes = () if dim is None else (graph.integers([dim]),)
    return _cast(graph, graph.op("ReduceMax", number, *axes, keepdims=int(keepdim)), torch.bool)


def argmax(graph: Graph, input: Traced, dim: int, keepdim: bool = False, *, result: Tensor) -> ir.Value:
    return graph.op("ArgMax", input, dtype=INT64, axis=dim, keepdims=int(keepdim))


# Selection


def where(graph: Graph, condition: Traced, input: Operand, other: Operand, result: Tensor) -> ir.Value:
    branches = [_cast(graph, each, result.dtype) for each in (input, other)]
    return graph.op("Where", condition, *branches, dtype=_type(result.dtype))


def masked_fill(graph: Graph, input: Traced, mask: Traced, value: float, result: Tensor) -> ir.Value:
    return where(graph, mask, value, input, result)


def clamp(
    graph: Graph, input: Traced, min: float | None = None, max: float | None = None, *, result: Tensor
) -> ir.Value:
    return graph.op("Clip", input, min, max, like=result.dtype)


def embedding(graph: Graph, input: Traced, weight: Tensor, *_: Any, result: Tensor, **__: Any) -> ir.Value:
    return graph.op("Gather", weight, input, axis=0)


def index_select(graph: Graph, input: Traced, dim: int, index: Traced, result: Tensor) -> ir.Value:
    return graph.op("Gather", input, index, axis=dim)


def narrow(graph: Graph, input: Traced, dim: int, start: int, length: int, result: Tensor) -> ir.Value:
    bounds = (graph.integers([each]) for each in (start, start + length, dim))
    return graph.op("Slice", input, *bounds)


def chunk(graph: Graph, input: Traced, chunks: int, dim: int = 0, *, result: Sequence[Tensor]) -> tuple[ir.Value, ...]:
    return graph.op("Split", input, outputs=chunks, axis=dim, num_outputs=chunks)


# Shapes


def reshape(graph: Graph, input: Traced, *shape: int, result: Tensor) -> ir.Value:
    return graph.op("Reshape", input, graph.integers(shape))


def unflatten(graph: Graph, input: Traced, dim: int, sizes: Sequence[int], result: Tensor) -> ir.Value:
    leading = [graph.size(input, axis) for axis in range(positive(dim, input.examples[0].ndim))]
    return graph.op("Reshape", input, graph.integers([*leading, *sizes]))


def flatten(graph: Graph, input: Traced, start_dim: int = 0, end_dim: int = -1, *, result: Tensor) -> ir.Value:
    assert end_dim == -1, "to the last axis"
    leading = [graph.size(input, axis) for axis in range(start_dim)]
    return graph.op("Reshape", input, graph.integers([*leading, -1]))


def transpose(graph: Graph, input: Traced, dim0: int, dim1: int, result: Tensor) -> ir.Value:
    order = list(range(result.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return graph.op("Transpose", input, perm=order)


def permute(graph: Graph, input: Traced, *dims: int, result: Tensor) -> ir.Value:
    return graph.op("Transpose", input, perm=list(dims))


def getitem(graph: Graph, input: Traced, index: Any, result: Tensor) -> ir.Value:
    """New axes at the places of None; whole axes at those of ``:``."""
    items = index if isinstance(index, tuple) else (index,)
    if Ellipsis in items:
        place = items.index(Ellipsis)
        whole = input.examples[0].ndim - sum(item is not None for item in items) + 1
        items = (*items[:place], *(slice(None),) * whole, *items[place + 1 :])
    if not all(item is None or item == slice(None) for item in items):
        raise NotImplementedError(f"the index {index!r} has no translation")
    return graph.op("Unsqueeze", input, graph.integers(axis for axis, item in enumerate(items) if item is None))


def cat(graph: Graph, tensors: Sequence[Operand], dim: int = 0, *, result: Tensor) -> ir.Value:
    return graph.op("Concat", *tensors, axis=dim)


def stack(graph: Graph, tensors: Sequence[Operand], dim: int = 0, *, result: Tensor) -> ir.Value:
    axis = positive(dim, result.ndim)
    return graph.op("Concat", *(graph.op("Unsqueeze", each, graph.integers([axis])) for each in tensors), axis=axis)


def pad(graph: Graph, input: Traced, pad: Sequence[int], *, result: Tensor, **_: Any) -> ir.Value:
    """With zeros: pairs of (before, after), from the last axis."""
    pairs = [*zip(pad[::2], pad[1::2])]
    pairs += [(0, 0)] * (result.ndim - len(pairs))
    sizes = [side for sides in zip(*reversed(pairs)) for side in sides]
    return graph.op("Pad", input, graph.integers(sizes))


def arange(graph: Graph, *bounds: int, result: Tensor, **_: Any) -> ir.Value:
    """Whole numbers from 0, or from the first of two bounds, up to the last one."""
    numbers = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)
    scalars = (
        graph.op("Squeeze", number) if isinstance(number, Length) else graph.value(number, torch.int64)
        for number in numbers
    )
    return graph.op("Range", *scalars)


def to(graph: Graph, input: Traced, *_: Any, result: Tensor, **__: Any) -> ir.Value:
    return _cast(graph, input, result.dtype)


OPERATORS: dict[str, Translation] = {
    "add": _elementwise("Add"),
    "and": _elementwise("And"),
    "any": any_,
    "arange": arange,
    "argmax": argmax,
    "batch_norm": batch_norm,
    "cat": cat,
    "chunk": chunk,
    "clamp": clamp,
    "clamp_min": clamp,
    "conv1d": conv1d,
    "cos": _unary("Cos"),
    "div": _elementwise("Div"),
    "embedding": embedding,
    "eq": _elementwise("Equal"),
    "exp": _unary("Exp"),
    "flatten": flatten,
    "gelu": gelu,
    "getitem": getitem,
    "glu": glu,
    "group_norm": group_norm,
    "gt": _elementwise("Greater"),
    "index_select": index_select,
    "invert": _unary("Not"),
    "layer_norm": layer_norm,
    "le": _elementwise("LessOrEqual"),
    "linear": linear,
    "log": _unary("Log"),
    "masked_fill": masked_fill,
    "matmul": _elementwise("MatMul"),
    "mul": _elementwise("Mul"),
    "narrow": narrow,
    "neg": _unary("Neg"),
    "or": _elementwise("Or"),
    "pad": pad,
    "permute": permute,
    "relu": _unary("Relu"),
    "reshape": reshape,
    "rsqrt": _unary("Sqrt", "Reciprocal"),
    "rsub": _elementwise("Sub", swapped=True),
    "silu": silu,
    "sin": _unary("Sin"),
    "softmax": softmax,
    "sqrt": _unary("Sqrt"),
    "stack": stack,
    "sub": _elementwise("Sub"),
    "sum": sum_,
    "to": to,
    "transpose": transpose,
    "unflatten": unflatten,
    "where": where,
}
