"""New nodes of a pass."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from .weights import add_constant


class Builder:
    """Makes nodes and constants that are named after what they replace or follow.

    dtype: of what the nodes give, where nothing else is said. ``nodes``: in the order in which they were made; whoever
    uses the builder puts them into the graph.
    """

    def __init__(self, graph: ir.Graph, name: str, dtype: ir.DataType) -> None:
        self.graph, self.name, self.dtype = graph, name, dtype
        self.nodes: list[ir.Node] = []

    def constant(self, suffix: str, array: np.ndarray) -> ir.Value:
        return add_constant(self.graph, f"{self.name}_{suffix}", array)

    def integers(self, suffix: str, *numbers: int) -> ir.Value:
        return self.constant(suffix, np.array(numbers, np.int64))

    def node(
        self,
        op_type: str,
        inputs: Iterable[ir.Value],
        suffix: str,
        dtype: ir.DataType | None = None,
        domain: str = "",
        **attributes: object,
    ) -> ir.Value:
        node = ir.node(op_type, list(inputs), attributes, domain=domain, name=f"{self.name}_{suffix}")  # type: ignore[arg-type]
        value = node.outputs[0]
        value.name, value.dtype = f"{self.name}_{suffix}_0", dtype or self.dtype
        self.nodes.append(node)
        return value
