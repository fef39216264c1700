"""How a precision drifts from fp32, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from w2vc_exporter.graph.layers import ends
from w2vc_exporter.graph.master import Master
from w2vc_exporter.graph.save import write
from w2vc_runtime.verify.reference import Reference

from .ranges import cpu_session

CASE = "3.1 s"


class Layers:
    """What the layers of a graph end in, on one case of about three seconds.

    master: the fp32 graph. scratch: for what is not published.
    """

    def __init__(self, master: Master, cases: Sequence[Reference], scratch: Path) -> None:
        self._master, self._scratch = master, scratch
        (self._case,) = (case for case in cases if case.case == CASE)

    def drift(self, reduced: ir.Model) -> list[dict[str, Any]]:
        """For each layer, from 1, the RMS of the difference to fp32 relative to that of fp32, to two digits.

        None where it is not finite. A layer that gives nothing but zeros in fp32 is compared with 1.
        """
        rows = []
        for layer, (one, other) in enumerate(zip(self._full, self._run(reduced), strict=True), start=1):
            error, size = (float(np.linalg.norm(value.astype(np.float64))) for value in (other - one, one))
            share = error / size if size else error
            rows.append({"layer": layer, "difference": float(f"{share:.1e}") if np.isfinite(share) else None})
        return rows

    @cached_property
    def _ends(self) -> list[str]:
        return ends(self._master.load().graph)

    @cached_property
    def _full(self) -> list[NDArray[np.float32]]:
        return self._run(self._master.load())

    def _run(self, model: ir.Model) -> list[NDArray[np.float32]]:
        values = {value.name: value for node in model.graph for value in node.outputs}
        model.graph.outputs.extend(values[name] for name in self._ends if not values[name].is_graph_output())
        path = self._scratch / "layers.onnx"
        write(model, path)
        results = cpu_session(path, once=True).run(self._case.inputs)
        return [results[name] for name in self._ends]
