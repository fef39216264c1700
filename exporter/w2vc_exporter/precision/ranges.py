"""How large values get inside a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from w2vc_exporter.graph.save import write
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.sessions.onnx_runtime import CPU, OnnxRuntimeSession

# As many values are read in one run: each is copied out of it.
AT_ONCE = 64


def largest_values(
    load: Callable[[], ir.Model], names: Sequence[str], inputs: Iterable[Arrays], scratch: Path
) -> dict[str, float]:
    """The largest |value| of each named value of a graph over some inputs, in ONNX Runtime on the CPU; NaN is infinite.

    load: gives the graph anew. scratch: for what is not published.
    """
    inputs = list(inputs)
    largest = dict.fromkeys(names, 0.0)
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        probe = load()
        values = {value.name: value for node in probe.graph for value in node.outputs}
        probe.graph.outputs.extend(values[name] for name in some if not values[name].is_graph_output())
        path = scratch / "probe.onnx"
        write(probe, path)
        session = cpu_session(path)
        for each in inputs:
            results = session.run(each)
            for name in some:
                size = float(np.abs(results[name]).max(initial=0.0))
                largest[name] = max(largest[name], size if np.isfinite(size) else np.inf)
    return largest


def cpu_session(path: Path, once: bool = False) -> OnnxRuntimeSession:
    """The graph in ONNX Runtime. once: for one run, which gains less from weights in order than ordering them takes."""
    return OnnxRuntimeSession(path, "cpu", CPU, {"session.disable_prepacking": "1"} if once else {})
