"""One graph in another precision, within its budget: reduce, look, and keep in fp32 what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from w2vc_exporter.graph.layers import inherit, parts, said
from w2vc_exporter.graph.master import Master
from w2vc_exporter.graph.passes.convolutions_to_products import ConvolutionsToProducts
from w2vc_exporter.graph.passes.emulate_half import EmulateHalf
from w2vc_exporter.graph.passes.quantization import LARGEST, products
from w2vc_exporter.graph.passes.quantize_matmul import QuantizeMatMul
from w2vc_exporter.graph.passes.quantize_static import QuantizeStatic
from w2vc_exporter.graph.passes.reduce_precision import ReducePrecision
from w2vc_exporter.graph.passes.steady import SteadySums
from w2vc_exporter.graph.save import release, save_graph, write
from w2vc_runtime.bench.measure import Speed, measure_session, provider_of
from w2vc_runtime.bench.process import baseline
from w2vc_runtime.bundle import Budget, Interface, Kept
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.sessions.base import Session
from w2vc_runtime.sessions.select import open_session
from w2vc_runtime.verify.reference import Reference
from w2vc_runtime.verify.verdict import Verdict, worst

from .forms import FORMS
from .ranges import cpu_session, largest_values, least_error

HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
LARGEST_HALF = float(np.finfo(np.float16).max)
# Values past a quarter of the range are kept too: the next clip may be louder than those that were measured.
MARGIN = 4.0
SHORT_SECONDS = 3.5
Judge = Callable[[Session, Sequence[Reference], Budget], Verdict]
# What runs a graph, as the certificate names it.
SESSIONS = {"cpu": "ONNX Runtime", "openvino": "OpenVINO"}
ROUNDED = "ONNX Runtime with every rounding computed"


@dataclass(frozen=True)
class Fitted:
    """A graph in one precision.

    files: the graph, then its data. verdict: of the sessions that ran it, the worst (`worst`). speed: where one of them
    was of the provider that the report measures on. kept_fp32: operators that stay in fp32, counted.
    """

    files: tuple[str, ...]
    verdict: Verdict
    speed: Speed | None
    kept_fp32: dict[str, int]
    kept: tuple[Kept, ...]


@dataclass(frozen=True)
class Evidence:
    """What a graph is held to.

    interface: how it is fed. cases: what PyTorch computes. judge: compares a graph with it (`verify`). calibration:
    inputs that the scales of int8 are measured on; empty for those of the cases.
    """

    interface: Interface
    cases: Sequence[Reference]
    judge: Judge
    calibration: Sequence[Arrays]


class Fitting:
    """Builds one precision of a graph and judges it.

    master: the fp32 graph. provider: what it is written for, None for no provider in particular. directory: where the
    graph goes. scratch: for what is not published.
    """

    def __init__(
        self,
        master: Master,
        precision: str,
        budget: Budget,
        provider: str | None,
        evidence: Evidence,
        directory: Path,
        scratch: Path,
    ) -> None:
        self.master, self.precision, self.budget = master, precision, budget
        self.form, self.measured_on = FORMS[provider], provider_of(precision, provider)
        self.interface, self.cases, self.judge = evidence.interface, evidence.cases, evidence.judge
        self.calibration = evidence.calibration or [case.inputs for case in evidence.cases]
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
        files, counted = self._write(keep)
        path = self.directory / files[0]
        onnx.checker.check_model(str(path))
        verdicts: dict[str, Verdict] = {}
        speed, before = None, baseline()
        for name, session in self._sessions(path, keep):
            if name != ROUNDED and session.provider == self.measured_on:
                speed = measure_session(session, self.interface, before)
            verdicts[name] = self.judge(session, self.cases, self.budget)
            if verdicts[name].problems:
                break
        return Fitted(files, worst(verdicts), speed, counted, tuple(kept))

    def _write(self, keep: set[str]) -> tuple[tuple[str, ...], dict[str, int]]:
        """The graph's files, and how many operators of each kind stay in fp32."""
        if self.precision == "fp32" and self.master.path.parent == self.directory:
            return self.master.files, {}
        model, counted = self._build(keep)
        files = save_graph(model, self.directory, self.precision).files
        release(model)
        return files, counted

    def _sessions(self, path: Path, keep: set[str]) -> Iterator[tuple[str, Session]]:
        """What a graph is judged in, by the name that the certificate has for it; one in memory at a time."""
        if self.precision != "bf16":  # which ONNX Runtime cannot run
            yield SESSIONS["cpu"], cpu_session(path)
        if self.precision in HALVES:  # what it rounds to where it is not computed in float32
            yield ROUNDED, cpu_session(self._trial(keep))
        if self.form.session is not None:
            yield SESSIONS[self.form.session], open_session(path, self.form.session, self.precision)

    def _load(self) -> ir.Model:
        """The graph in fp32, in the form that the provider computes fastest."""
        model = self.master.load()
        dynamic = self.precision == "int8" and not self.form.static
        if self.form.products or dynamic:
            ConvolutionsToProducts(padded=dynamic)(model)
            inherit(model.graph)
        return model

    @cached_property
    def _largest(self) -> dict[str, float]:
        """What static quantisation has to know; 1 where there is nothing but zeros, which any scale fits."""
        names = list(dict.fromkeys(str(each.source.name) for each in products(self._load().graph, ())))
        found = least_error(self._load, names, self.calibration, self.scratch, LARGEST)
        return {name: size or 1.0 for name, size in found.items()}

    def _build(self, keep: set[str]) -> tuple[ir.Model, dict[str, int]]:
        model, counted = self._load(), dict[str, int]()
        if self.precision in HALVES:
            reduce = ReducePrecision(HALVES[self.precision], keep, self.form.inside)
            reduce(model)
            counted = dict(sorted(reduce.kept.items()))
        elif self.precision == "int8":
            if self.form.steady:
                SteadySums()(model)
            (QuantizeStatic(self._largest, keep) if self.form.static else QuantizeMatMul(keep))(model)
        inherit(model.graph)
        return model, counted

    def trial(self, keep: set[str]) -> ir.Model:
        """The graph with some nodes in fp32, in a form that ONNX Runtime computes on a CPU with every rounding."""
        model, _ = self._build(keep)
        if self.precision in HALVES:
            EmulateHalf()(model)
        return model

    def _trial(self, keep: set[str]) -> Path:
        path = self.scratch / "trial.onnx"
        write(self.trial(keep), path)
        return path

    def _large(self) -> dict[str, float]:
        """Nodes that give or take values past the half range, less the margin, and how large they get."""
        rule = ReducePrecision(HALVES[self.precision], inside=self.form.inside)
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
        """Keep the layers that cost the most in this precision, twice as many at each attempt.

        What is in front of the layers and what is behind them count as a layer each.
        """
        layers = parts(self._load().graph)
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
            chosen = [layer for layer in layers if layer in order[:count]]
            stay = tuple(name for layer in chosen for name in layers[layer])
            fitted = self._try([*kept, Kept(stay, f"{self.precision} costs the most in {said(chosen)}")])
            if count >= len(order):
                break
            count = min(2 * count, len(order))
        return fitted


def _cost(part: Verdict, whole: Verdict) -> tuple[float, float, float]:
    """What one layer costs: most of all in what the whole graph costs too much."""
    return (
        part.wer_rise if whole.wer_rise > whole.budget.wer else 0.0,
        part.changed if whole.changed > 1 - whole.budget.choices else 0.0,
        part.difference,
    )
