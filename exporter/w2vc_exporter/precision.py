"""One graph in another precision, within its budget: reduce, look, and keep in fp32 what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from w2vc_runtime.manifest import Budget, Kept
from w2vc_runtime.parity import Reference, Verdict
from w2vc_runtime.session import Session, Tensors, open_session

from . import bundle
from .passes.products import ConvolutionsToProducts
from .passes.quantization import products
from .passes.quantize_matmul import QuantizeMatMul
from .passes.quantize_static import QuantizeStatic
from .passes.reduce_precision import ReducePrecision
from .passes.unpack import Unpack
from .profiles import Profile
from .ranges import cpu_session, largest_values
from .trace import release, write

HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
LARGEST_HALF = float(np.finfo(np.float16).max)
# Values past a quarter of the range are kept too: the next clip may be louder than those that were measured.
MARGIN = 4.0
SHORT_SECONDS = 3.5
Judge = Callable[[Session, Sequence[Reference], Budget], Verdict]
LAYER = re.compile(r"\.encoder\.layers\.(\d+)\.")


@dataclass(frozen=True)
class Fitted:
    """A graph in one precision. files: the graph, then its data. kept_fp32: operators that stay in fp32, counted."""

    files: tuple[str, ...]
    verdict: Verdict
    kept_fp32: dict[str, int]
    kept: tuple[Kept, ...]


class Fitting:
    """Builds one precision of a graph and judges it.

    master: path of the fp32 graph with its types. profile: what it is written for. judge: compares a graph with the
    cases (`verify`). calibration: inputs that scales are measured on; empty for those of the cases.
    directory: where the graph goes. scratch: for what is not published.
    """

    def __init__(
        self,
        master: Path,
        precision: str,
        budget: Budget,
        profile: Profile,
        cases: Sequence[Reference],
        calibration: Sequence[Tensors],
        judge: Judge,
        directory: Path,
        scratch: Path,
    ) -> None:
        self.master, self.precision, self.budget, self.profile = master, precision, budget, profile
        self.cases, self.judge = cases, judge
        self.calibration = calibration or [case.inputs for case in cases]
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
        for session in self._sessions(path, keep):
            verdict = self.judge(session, self.cases, self.budget)
            if verdict.problems:
                break
        return Fitted(files, verdict, counted, tuple(kept))

    def _sessions(self, path: Path, keep: set[str]) -> Iterator[Session]:
        """What a graph is judged in, one in memory at a time."""
        if self.precision != "bf16":  # which ONNX Runtime cannot run
            yield cpu_session(path)
        if self.precision in HALVES:  # what it rounds to where it is not computed in float32
            yield cpu_session(self._trial(keep))
        if self.profile.session is not None:
            yield open_session(path, self.profile.session, self.precision)

    def _load(self) -> ir.Model:
        """The graph in fp32, in the form that the profile asks for."""
        model = ir.load(self.master)
        if self.profile.products or (self.precision == "int8" and not self.profile.static):
            ConvolutionsToProducts()(model)
        return model

    @cached_property
    def _largest(self) -> dict[str, float]:
        """What static quantisation has to know."""
        names = list(dict.fromkeys(str(each.source.name) for each in products(self._load().graph, ())))
        return largest_values(self._load, names, self.calibration, self.scratch)

    def _build(self, keep: set[str]) -> tuple[ir.Model, dict[str, int]]:
        model = self._load()
        if self.precision in HALVES:
            reduce = ReducePrecision(HALVES[self.precision], keep)
            reduce(model)
            return model, dict(sorted(reduce.kept.items()))
        if self.precision == "int8":
            quantize = QuantizeStatic(self._largest, keep) if self.profile.static else QuantizeMatMul(keep)
            quantize(model)
        return model, {}

    def trial(self, keep: set[str]) -> ir.Model:
        """The graph with some nodes in fp32, in a form that ONNX Runtime computes on a CPU with every rounding."""
        model, _ = self._build(keep)
        if self.precision in HALVES:
            Unpack()(model)
        return model

    def _trial(self, keep: set[str]) -> Path:
        path = self.scratch / "trial.onnx"
        write(self.trial(keep), path)
        return path

    def _large(self) -> dict[str, float]:
        """Nodes that give or take values past the half range, less the margin, and how large they get."""
        rule = ReducePrecision(HALVES[self.precision])
        rule(self._load())
        producers: dict[str, ir.Node] = {}
        for node in self._load().graph:
            for value in node.outputs:
                if value.dtype == ir.DataType.FLOAT and not value.is_graph_output() and node.name not in rule.names:
                    producers[str(value.name)] = node
        inputs = [case.inputs for case in self.cases]
        largest = largest_values(self._load, list(producers), inputs, self.scratch)
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
        few = [case for case in self.cases if case.seconds <= SHORT_SECONDS]
        costs = {}
        for layer, names in layers.items():
            trial = self._trial(base | (everything - set(names)))
            costs[layer] = _cost(self.judge(cpu_session(trial), few, self.budget), fitted.verdict)
        order = sorted(costs, key=lambda layer: costs[layer], reverse=True)
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

    def _layers(self) -> dict[int, list[str]]:
        """Names of the float nodes of each layer, by the weights that they follow; -1: what is in front of them."""
        layers: dict[int, list[str]] = {}
        current = -1
        for node in self._load().graph:
            for value in node.inputs:
                found = LAYER.search(value.name or "") if value is not None and value.const_value is not None else None
                if found:
                    current = int(found[1])
            if node.name:
                layers.setdefault(current, []).append(node.name)
        return layers


def _cost(part: Verdict, whole: Verdict) -> tuple[float, float, float]:
    """What one layer costs: most of all in what the whole graph costs too much."""
    return (
        part.rise if whole.rise > whole.budget.wer else 0.0,
        part.changed if whole.changed > 1 - whole.budget.choices else 0.0,
        part.difference,
    )


def _layer_name(layer: int) -> str:
    return "in front of the layers" if layer < 0 else str(layer)
