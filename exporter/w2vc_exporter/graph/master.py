"""The graph that all precisions are made from: fp32, as it was traced, with its weights on disk once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from .save import release, save_graph, without_weights

FILE_NAME = "master.onnx"


@dataclass(frozen=True)
class Master:
    """A graph with the types of its values, whose weights lie in the file that publishes it in fp32.

    path: of the graph. files: of the same graph beside it, as it is published: without types, the graph first, then its
    external data.
    """

    path: Path
    files: tuple[str, ...]

    @classmethod
    def write(cls, model: ir.Model, directory: Path) -> Master:
        """Write a graph in fp32, and let go of its weights."""
        proto = without_weights(model)
        saved = save_graph(model, directory, "fp32")
        release(model)
        proto.graph.initializer.extend(saved.weights)
        path = directory / FILE_NAME
        path.write_bytes(proto.SerializeToString(deterministic=True))
        return cls(path, saved.files)

    def load(self) -> ir.Model:
        """The graph; its weights are read as they are asked for."""
        return ir.load(self.path)
