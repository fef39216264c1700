"""How large values get inside a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from w2vc_exporter.graph.save import write
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.sessions.onnx_runtime import CPU, OnnxRuntimeSession

# As many values are read in one run: each is copied out of it.
AT_ONCE = 64
# Of the 31 bits of a float's size, those that are counted apart: exponent and 7 bits, a percent or less.
BITS = 16
BINS = 1 << 31 - BITS
INFINITE = 0xFF << 23 - BITS  # from here on, infinity and NaN
# Errors are added to this power. Squares cut large values, which are few and count; the largest error alone leaves all
# steps wide.
POWER = 3
# Shares of the largest value at which a cut is tried.
CUTS = 2.0 ** -np.arange(0, 4, 1 / 16)


def largest_values(
    load: Callable[[], ir.Model], names: Sequence[str], inputs: Iterable[Arrays], scratch: Path
) -> dict[str, float]:
    """The largest |value| of each named value of a graph over some inputs, in ONNX Runtime on the CPU; NaN is infinite.

    load: gives the graph anew. scratch: for what is not published.
    """
    largest = dict.fromkeys(names, 0.0)
    for name, values in _values(load, names, inputs, scratch):
        size = float(np.abs(values).max(initial=0.0))
        largest[name] = max(largest[name], size if np.isfinite(size) else np.inf)
    return largest


def least_error(
    load: Callable[[], ir.Model], names: Sequence[str], inputs: Iterable[Arrays], scratch: Path, levels: int
) -> dict[str, float]:
    """The |value| to cut each named value at, so that rounding it to ``levels`` steps errs least (`POWER`).

    A few large values would make the steps of all others wide. Infinite where a value is not finite. See
    `largest_values` for what it takes.
    """
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for name, values in _values(load, names, inputs, scratch):
        bins = np.ascontiguousarray(values, np.float32).view(np.uint32).ravel() >> BITS & (BINS - 1)
        counts[name] += np.bincount(bins, minlength=BINS)
    return {name: _cut(each, levels) for name, each in counts.items()}


def _cut(counts: NDArray[np.int64], levels: int) -> float:
    """counts: of values, by the upper bits of their size."""
    used = np.flatnonzero(counts)
    if used.max(initial=0) >= INFINITE:
        return np.inf
    sizes = (used.astype(np.uint32) << BITS | 1 << BITS - 1).view(np.float32).astype(np.float64)
    some, sizes = counts[used][used > 0], sizes[used > 0]  # zeros are zeros at any step
    if not len(sizes):
        return 0.0

    def error(cut: float) -> float:
        step = cut / levels
        rounding = np.where(sizes < step / 2, sizes**POWER, (step / 2) ** POWER / (POWER + 1))
        return float(some @ np.where(sizes > cut, (sizes - cut) ** POWER, rounding))

    return min(sizes[-1] * CUTS, key=error)


def _values(
    load: Callable[[], ir.Model], names: Sequence[str], inputs: Iterable[Arrays], scratch: Path
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each named value for each input."""
    inputs = list(inputs)
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
            yield from ((name, results[name]) for name in some)


def cpu_session(path: Path, once: bool = False) -> OnnxRuntimeSession:
    """The graph in ONNX Runtime. once: for one run, which gains less from weights in order than ordering them takes."""
    return OnnxRuntimeSession(path, "cpu", CPU, {"session.disable_prepacking": "1"} if once else {})
