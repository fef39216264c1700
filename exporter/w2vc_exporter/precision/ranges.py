"""How large values get inside a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from w2vc_exporter import staging
from w2vc_exporter.graph.save import write
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.sessions.onnx_runtime import OnnxRuntimeSession

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


def cpu_session(path: Path) -> OnnxRuntimeSession:
    """The graph in ONNX Runtime; a large one without the second copy of its weights that makes products faster."""
    size = sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
    settings = {"session.disable_prepacking": "1"} if size > staging.EXTERNAL_DATA_BYTES else {}
    return OnnxRuntimeSession(path, "cpu", "CPUExecutionProvider", settings)
