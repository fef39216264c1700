"""What functions of PyTorch give for tensors without data: shape and type.

PyTorch says so itself, on its device ``meta``; but for the functions here it loads its compiler first, which takes
longer than writing down a model does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Number = float | int | bool
Operand = Tensor | Number


def _empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _together(*operands: Operand) -> torch.Size:
    """The shape that operands are brought to when they meet."""
    return torch.broadcast_shapes(*(each.shape for each in operands if isinstance(each, Tensor)))


def _as_input(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.empty_like(input)


def _arithmetic(input: Operand, other: Operand) -> Tensor:
    return _empty(_together(input, other), torch.result_type(input, other))


def _comparison(input: Operand, other: Operand) -> Tensor:
    return _empty(_together(input, other), torch.bool)


def _any(input: Tensor, *axes: Any, **options: Any) -> Tensor:
    return input.sum(*axes, **options).to(torch.bool)


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape[dim] = sum(each.shape[dim] for each in tensors)
    return _empty(shape, tensors[0].dtype)


def _glu(input: Tensor, dim: int = -1) -> Tensor:
    return input.chunk(2, dim)[0]


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _empty((*input.shape[:-1], len(weight)), input.dtype)


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    first = tensors[0].unsqueeze(dim)
    return _cat([first] * len(tensors), dim)


def _where(condition: Tensor, input: Operand, other: Operand) -> Tensor:
    return _empty(_together(condition, input, other), torch.result_type(input, other))


SHAPES: dict[str, Callable[..., Tensor]] = {
    "add": _arithmetic,
    "and": _arithmetic,
    "any": _any,
    "batch_norm": _as_input,
    "cat": _cat,
    "clamp": _as_input,
    "clamp_min": _as_input,
    "cos": _as_input,
    "div": _arithmetic,  # of floats; others have no translation
    "eq": _comparison,
    "exp": _as_input,
    "gelu": _as_input,
    "glu": _glu,
    "group_norm": _as_input,
    "gt": _comparison,
    "invert": _as_input,
    "layer_norm": _as_input,
    "le": _comparison,
    "linear": _linear,
    "log": _as_input,
    "masked_fill": _as_input,
    "mul": _arithmetic,
    "neg": _as_input,
    "or": _arithmetic,
    "relu": _as_input,
    "rsqrt": _as_input,
    "rsub": _arithmetic,
    "sin": _as_input,
    "sqrt": _as_input,
    "stack": _stack,
    "sub": _arithmetic,
    "where": _where,
}
