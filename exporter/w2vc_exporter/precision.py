"""One graph in another precision, within its budget: reduce, look, and keep in fp32 what does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from w2vc_runtime.session import OnnxRuntimeSession

from . import bundle
from .passes.quantize_matmul import QuantizeMatMul
from .passes.reduce_precision import ReducePrecision
from .passes.unpack import Unpack
from .trace import release
from .verify import Budget, Reference, Verdict, verify

HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
LARGEST_HALF = float(np.finfo(np.float16).max)
# Values past a quarter of the range are kept too: the next clip may be louder than those that were measured.
MARGIN = 4.0
SHORT_SECONDS = 3.5
LAYER = re.compile(r"\.encoder\.layers\.(\d+)\.")


@dataclass(frozen=True)
class Kept:
    """Nodes that stay in fp32 because the budget asked for it. reason: what was measured."""

    nodes: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Fitted:
    """A graph in one precision. files: the graph, then its data. kept_fp32: operators that stay in fp32, counted."""

    files: tuple[str, ...]
    verdict: Verdict
    kept_fp32: dict[str, int]
    kept: tuple[Kept, ...]


class Fitting:
    """Builds one precision of a graph and judges it.

    master: path of the fp32 graph with its types. directory: where the graph goes. scratch: for what is not published.
    """

    def __init__(
        self,
        master: Path,
        precision: str,
        budget: Budget,
        cases: Sequence[Reference],
        chosen: str | None,
        directory: Path,
        scratch: Path,
    ) -> None:
        self.master, self.precision, self.budget = master, precision, budget
        self.cases, self.chosen = cases, chosen
        self.directory, self.scratch = directory, scratch

    def fit(self) -> Fitted:
        """The reduced graph; where it misses its budget, with ever more of it in fp32, and at last as it is."""
        kept: list[Kept] = []
        fitted = self._try(kept)
        if self.precision == "fp32":
            return fitted
        if fitted.verdict.problems and self.precision == "fp16" and (large := self._large()):
            worst = max(large.values())
            kept.append(Kept(tuple(large), f"values up to {worst:.3g}, past a quarter of the half range (65504)"))
            fitted = self._try(kept)
        if fitted.verdict.problems:
            fitted = self._by_layer(kept, fitted)
        return fitted

    def _try(self, kept: Sequence[Kept]) -> Fitted:
        keep = {name for each in kept for name in each.nodes}
        model, counted = self._build(keep)
        files = bundle.save_graph(model, self.directory, self.precision)
        release(model)
        path = self.directory / files[0]
        onnx.checker.check_model(str(path))
        # The file itself, where ONNX Runtime can run it, and what it rounds to where it is not computed in float32.
        paths = [path] if self.precision != "bf16" else []
        if self.precision in HALVES:
            paths.append(self._trial(keep))
        for each in paths:
            verdict = verify(_session(each), self.cases, self.budget, self.chosen)
            if verdict.problems:
                break
        return Fitted(files, verdict, counted, tuple(kept))

    def _build(self, keep: set[str]) -> tuple[ir.Model, dict[str, int]]:
        model = ir.load(self.master)
        if self.precision in HALVES:
            reduce = ReducePrecision(HALVES[self.precision], keep)
            reduce(model)
            return model, dict(sorted(reduce.kept.items()))
        if self.precision == "int8":
            QuantizeMatMul(keep)(model)
        return model, {}

    def _trial(self, keep: set[str]) -> Path:
        """The graph with some nodes in fp32, in a form that ONNX Runtime computes on a CPU with every rounding."""
        model, _ = self._build(keep)
        if self.precision in HALVES:
            Unpack()(model)
        path = self.scratch / "trial.onnx"
        ir.save(model, path, external_data="trial.onnx.data")
        release(model)
        return path

    def _large(self) -> dict[str, float]:
        """Nodes that give or take values past the half range, less the margin, and how large they get."""
        rule = ReducePrecision(HALVES[self.precision])
        rule(ir.load(self.master))
        producers: dict[str, ir.Node] = {}
        for node in ir.load(self.master).graph:
            for value in node.outputs:
                if value.dtype == ir.DataType.FLOAT and not value.is_graph_output() and node.name not in rule.names:
                    producers[str(value.name)] = node
        largest = dict.fromkeys(producers, 0.0)
        for names in _chunks(list(producers), 64):
            probe = ir.load(self.master)
            values = {value.name: value for node in probe.graph for value in node.outputs}
            probe.graph.outputs.extend(values[name] for name in names)
            path = self.scratch / "probe.onnx"
            ir.save(probe, path, external_data="probe.onnx.data")
            session = _session(path)
            for case in self.cases:
                results = session.run(case.inputs)
                for name in names:
                    if results[name].size:
                        largest[name] = max(largest[name], float(np.abs(results[name]).max()))
        limit = LARGEST_HALF / MARGIN
        found: dict[str, float] = {}
        for name, size in largest.items():
            if size > limit:
                node = producers[name]
                users = [user for value in node.outputs if value.name == name for user, _ in value.uses()]
                for each in (node, *users):
                    if each.name and each.name not in rule.names:
                        found[each.name] = max(size, found.get(each.name, 0.0))
        return found

    def _by_layer(self, kept: list[Kept], fitted: Fitted) -> Fitted:
        """Keep the layers whose reduction costs the most, twice as many at each attempt."""
        layers = self._layers()
        if not layers:
            return fitted
        everything = {name for names in layers.values() for name in names}
        base = {name for each in kept for name in each.nodes}
        costs = {}
        for layer, names in layers.items():
            costs[layer] = self._cost(base | (everything - set(names)))
        order = sorted(costs, key=lambda layer: -costs[layer])
        count = 1
        while fitted.verdict.problems:
            chosen = sorted(order[:count])
            stay = tuple(name for layer in chosen for name in layers[layer])
            reason = f"the layers that cost the most: {', '.join(map(_layer_name, chosen))}"
            fitted = self._try([*kept, Kept(stay, reason)])
            if count >= len(order):
                break
            count = min(2 * count, len(order))
        return fitted

    def _cost(self, keep: set[str]) -> float:
        """Worst difference with some nodes in fp32, on short cases."""
        few = [case for case in self.cases if case.seconds <= SHORT_SECONDS]
        return verify(_session(self._trial(keep)), few, self.budget, self.chosen).difference

    def _layers(self) -> dict[int, list[str]]:
        """Names of the float nodes of each layer, by the weights that they follow; -1: what is in front of them."""
        layers: dict[int, list[str]] = {}
        current = -1
        for node in ir.load(self.master).graph:
            for value in node.inputs:
                found = LAYER.search(value.name or "") if value is not None and value.const_value is not None else None
                if found:
                    current = int(found[1])
            if node.name:
                layers.setdefault(current, []).append(node.name)
        return layers


def _session(path: Path) -> OnnxRuntimeSession:
    """The graph in ONNX Runtime; a large one without the second copy of its weights that makes products faster."""
    size = sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
    settings = {"session.disable_prepacking": "1"} if size > bundle.EXTERNAL_DATA_BYTES else {}
    return OnnxRuntimeSession(path, "cpu", "CPUExecutionProvider", settings)


def _layer_name(layer: int) -> str:
    return "in front of the layers" if layer < 0 else str(layer)


def _chunks(names: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
