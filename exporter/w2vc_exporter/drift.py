"""How a precision drifts from fp32, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from w2vc_runtime.parity import Reference

from .graph.save import write
from .precision import LAYER
from .ranges import cpu_session

CASE = "3.1 s"


def layer_ends(master: ir.Model) -> list[str]:
    """Name of the value that each layer ends in.

    The last node that takes one of a layer's named weights is its final norm, or the bias of its last product; behind
    that bias comes the residual sum.
    """
    last: dict[int, ir.Node] = {}
    for node in master.graph:
        for value in node.inputs:
            if value is not None and value.const_value is not None and (found := LAYER.search(value.name or "")):
                last[int(found[1])] = node
    ends = []
    for _, node in sorted(last.items()):
        if node.op_type != "LayerNormalization":
            ((node, _),) = node.outputs[0].uses()
        ends.append(str(node.outputs[0].name))
    return ends


class Layers:
    """What the layers of a graph end in, on one case of about three seconds.

    master: path of the fp32 graph with its types. scratch: for what is not published.
    """

    def __init__(self, master: Path, cases: Sequence[Reference], scratch: Path) -> None:
        self._master, self._scratch = master, scratch
        (self._case,) = (case for case in cases if case.case == CASE)

    def drift(self, reduced: ir.Model) -> list[dict[str, Any]]:
        """For each layer, from 1, the RMS of the difference to fp32 relative to that of fp32, to two digits."""
        rows = []
        for layer, (one, other) in enumerate(zip(self._full, self._run(reduced), strict=True), start=1):
            share = float(np.linalg.norm(other - one) / np.linalg.norm(one))
            rows.append({"layer": layer, "difference": float(f"{share:.1e}") if np.isfinite(share) else None})
        return rows

    @cached_property
    def _ends(self) -> list[str]:
        return layer_ends(ir.load(self._master))

    @cached_property
    def _full(self) -> list[NDArray[np.float32]]:
        return self._run(ir.load(self._master))

    def _run(self, model: ir.Model) -> list[NDArray[np.float32]]:
        values = {value.name: value for node in model.graph for value in node.outputs}
        model.graph.outputs.extend(values[name] for name in self._ends if not values[name].is_graph_output())
        path = self._scratch / "layers.onnx"
        write(model, path)
        results = cpu_session(path).run(self._case.inputs)
        return [results[name] for name in self._ends]
