"""TensorRT engines: a bundle's graphs compiled ahead of time, on a machine that may have no GPU."""

from __future__ import annotations

from .backends import BACKENDS
from .compiler import Compiled, EngineOptions, check_graph, compile_bundle, compile_graph

__all__ = [
    "BACKENDS",
    "Compiled",
    "EngineOptions",
    "check_graph",
    "compile_bundle",
    "compile_graph",
]
