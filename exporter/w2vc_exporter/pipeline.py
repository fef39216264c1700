"""The export itself: read, trace, judge, build, certify, compile, publish."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import platform
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from w2vc_model import ModelError
from w2vc_runtime.bench.measure import Speed
from w2vc_runtime.bundle import FILE_NAME, Budget, Bundle, Certified, Engine, Graph, Manifest, file_entry
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.cli.progress import Notify, Progress
from w2vc_runtime.decoding.language_model import LANGUAGE_MODEL, find_language_model, pack
from w2vc_runtime.documents.typed import build
from w2vc_runtime.engines import EngineOptions, compile_graph
from w2vc_runtime.sessions.base import Session
from w2vc_runtime.sessions.onnx_runtime import check_int8, import_onnxruntime
from w2vc_runtime.system.version import own_version
from w2vc_runtime.verify import expectations
from w2vc_runtime.verify.parity import verify
from w2vc_runtime.verify.reference import Reference
from w2vc_runtime.verify.verdict import Verdict

from . import staging
from .certificate import report
from .checkpoint.recipes import COPIED
from .checkpoint.tokenizers import notes
from .errors import ExportError, RejectedError
from .gate.references import REFERENCE, read_budget, references
from .graph.master import Master
from .graph.save import drop_weights
from .graph.trace import OPSET, trace
from .options import ExportOptions
from .precision.drift import Layers
from .precision.fitting import Evidence, Fitting, Judge
from .precision.forms import FORMS
from .subject import Subject, find_subject, read_subject

TOOLS = ("w2vc", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True)
class ExportResult:
    """A published bundle.

    verdicts: by precision. report: what ``report.json`` holds. checkpoint_bytes: size of the weights it was made from.
    seconds: how long the export took. notes: what the bundle leaves out of the checkpoint, a line each.
    """

    bundle: Path
    manifest: Manifest
    verdicts: dict[str, Verdict]
    report: dict[str, Any]
    checkpoint_bytes: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built:
    """A graph in one precision.

    speed: as the report has it, None where it is not measured yet. drift: from fp32, by layer; empty for fp32 itself.
    """

    graph: Graph
    verdict: Verdict
    speed: Speed | None
    drift: list[dict[str, Any]]


def run(options: ExportOptions) -> ExportResult:
    """Export as the options say; raise `W2vcError` where that cannot be done, `RejectedError` on a failed gate."""
    start = time.perf_counter()
    try:
        return _run(options, start)
    except ModelError as error:
        raise ExportError(str(error)) from error


def _run(options: ExportOptions, start: float) -> ExportResult:
    limits = read_budget(options.budget) if options.budget is not None else {}
    form, engines = FORMS[options.provider], options.engines
    if "int8" in options.precisions and not form.static:
        check_int8()
    budgets = {each: dataclasses.replace(form.budget(each), **limits) for each in options.precisions}
    progress = Progress(4 + len(budgets) + (len(budgets) if engines else 0))
    if engines:
        engines.check()
    checkpoint, config, options = find_subject(options)
    with staging.staging(options.destination, options.force) as directory:
        scratch = directory / "scratch"
        scratch.mkdir()
        with progress.step(f"reading {options.source.name}"):
            subject = read_subject(checkpoint, config, options)
            if options.lm is not None:
                pack(find_language_model(options.lm), directory / LANGUAGE_MODEL)
            if engines:
                engines.resolve(subject.interface)
            corpus, calibration = subject.recordings("wer" in limits), subject.calibration()
        with progress.step("tracing"):
            traced = trace(subject.model)
        with progress.step("computing what PyTorch computes"), ThreadPoolExecutor(1) as beside:
            # The disk is free meanwhile. Where the graph itself is asked for, it is written where it is published.
            place = directory if "fp32" in budgets and not form.products else scratch
            written = beside.submit(Master.write, traced, place)
            cases = references(subject.model, subject.interface, corpus)
            master = written.result()
            _check_finite(cases, options.source)
            judge = functools.partial(verify, choice=subject.model.choice, decode=subject.decode)
            evidence, facts = Evidence(subject.interface, cases, judge, calibration), subject.facts
            drop_weights(subject.model)  # the graph's turn to need the memory
        built = []
        for precision, budget in budgets.items():
            with progress.step(f"writing {precision} and comparing") as notify:
                built.append(_build(directory, subject, master, evidence, precision, budget, notify))
        master.path.unlink()
        shutil.rmtree(scratch)
        with progress.step("measuring and reporting"):
            bundle, certificate = _certify(directory, subject, facts, cases, built)
        if engines:
            compiled = _compile(bundle, engines, progress)
            bundle = Bundle(directory, dataclasses.replace(bundle.manifest, engines=compiled))
        _publish(bundle, options)
    return ExportResult(
        options.destination,
        bundle.manifest,
        {each.graph.precision: each.verdict for each in built},
        certificate,
        subject.weight_bytes,
        time.perf_counter() - start,
        notes(subject.checkpoint, subject.ctc) if subject.ctc else (),
    )


def _check_finite(cases: list[Reference], source: Path) -> None:
    """Raise `ExportError` where there is nothing that a graph could equal."""
    for case in cases:
        if not all(each.finite for expected in case.expected.values() for each in expected):
            raise ExportError(
                f"{source} gives NaN or infinity in PyTorch itself ({case.case}), and no graph can equal that; "
                "expected weights that give numbers"
            )


def _build(
    directory: Path,
    subject: Subject,
    master: Master,
    evidence: Evidence,
    precision: str,
    budget: Budget,
    notify: Notify,
) -> Built:
    """Write the graph in a precision, within its budget where that can be."""
    scratch, provider = directory / "scratch", subject.options.provider
    evidence = dataclasses.replace(evidence, judge=_notifying(evidence.judge, notify))
    fitting = Fitting(master, precision, budget, provider, evidence, directory, scratch)
    fitted = fitting.fit()
    drift = []
    if precision != "fp32":
        kept = {name for each in fitted.kept for name in each.nodes}
        drift = Layers(master, evidence.cases, scratch).drift(fitting.trial(kept))
    written_for = provider or ("cpu" if precision == "int8" else None)
    graph = Graph(precision, fitted.files, OPSET, fitted.kept_fp32, fitted.kept, written_for)
    return Built(graph, fitted.verdict, fitted.speed, drift)


def _notifying(judge: Judge, notify: Notify) -> Judge:
    """The judge, who tells how far it is."""
    graphs = itertools.count(1)

    def notifying(session: Session, cases: Sequence[Reference], budget: Budget) -> Verdict:
        graph, case = next(graphs), itertools.count(1)

        class Notifying(Session):
            provider = session.provider

            def run(self, inputs: Arrays) -> Arrays:
                notify(f"graph {graph}, case {next(case)} of {len(cases)}")
                return session.run(inputs)

            def close(self) -> None:
                session.close()

        return judge(Notifying(), cases, budget)

    return notifying


def _certify(
    directory: Path, subject: Subject, facts: report.Facts, cases: list[Reference], built: list[Built]
) -> tuple[Bundle, dict[str, Any]]:
    """Describe what was built, measure it and write the report; raise `RejectedError` where a graph misses its budget.

    A rejected bundle is moved aside. Returns the bundle, whose manifest is not written yet, and the report.
    """
    verdicts = {each.graph.precision: each.verdict for each in built}
    problems = [f"{p}, {problem}" for p, verdict in verdicts.items() for problem in verdict.problems]
    if not problems:
        staging.copy_files(subject.checkpoint, COPIED, directory)
        noise = [case for case in cases if case.corpus is None]  # recordings stay where they are
        expectations.write(directory / expectations.FILE_NAME, noise, subject.model.choice)
    interface = subject.interface
    manifest = Manifest(
        name=subject.options.destination.name,
        family=subject.model.config.model_type,
        head=subject.options.task,
        position=subject.model.config.position,
        padding=interface.padding,
        inputs=interface.inputs,
        outputs=interface.outputs,
        features=interface.features,
        frames=interface.frames,
        shortest=interface.shortest,
        ctc=subject.ctc,
        labels=subject.labels,
        graphs=tuple(each.graph for each in built),
        source=subject.source,
        tools=_tools(),
        verification={
            precision: build(Certified, {**verdict.to_dict(), "reference": REFERENCE})
            for precision, verdict in verdicts.items()
        },
        files={
            path.relative_to(directory).as_posix(): file_entry(path)
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        },
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    bundle = Bundle(directory, manifest)
    drifts = {each.graph.precision: each.drift for each in built if each.drift}
    speeds = {each.graph.precision: each.speed for each in built if each.speed}
    certificate = report.write(bundle, facts, verdicts, drifts, speeds)
    if problems:
        rejected = staging.set_aside(directory, subject.options.destination)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise RejectedError(f"not published: {problems[0]}{more}; the graph and its report are in {rejected}")
    return bundle, certificate


def _compile(bundle: Bundle, options: EngineOptions, progress: Progress) -> tuple[Engine, ...]:
    """An engine of each graph, written beside them."""
    engines = []
    for graph in bundle.manifest.graphs:
        with progress.step(f"compiling {graph.precision}") as notify:
            plan = bundle.path / options.file_name(graph.precision)
            plan.parent.mkdir(exist_ok=True)
            engines.append(compile_graph(bundle, graph, options, plan, notify).engine)
    return tuple(engines)


def _publish(bundle: Bundle, options: ExportOptions) -> None:
    (bundle.path / FILE_NAME).write_text(bundle.manifest.to_json(), encoding="utf-8")
    Bundle.read(bundle.path)  # what no runtime would take is not published
    staging.publish(bundle.path, options.destination, options.force)


def _tools() -> dict[str, str]:
    """Versions of what made the bundle; the two builds of onnxruntime share a module and not a name."""
    known = {"w2vc": own_version, "onnxruntime": lambda: str(import_onnxruntime("cpu").__version__)}
    versions = {name: known[name]() if name in known else version(name) for name in TOOLS}
    return {"python": platform.python_version(), **versions}
