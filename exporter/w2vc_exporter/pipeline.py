"""The export itself: read, trace, reduce, verify, publish."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import w2vc_model
from w2vc_model import SpeechModel
from w2vc_model.checkpoint import adapter_file
from w2vc_model.masks import Convolution, fewest_inputs, receptive_field
from w2vc_model.weights import weight_files
from w2vc_runtime.bundle import (
    FILE_NAME,
    Budget,
    Certified,
    Ctc,
    Engine,
    Frames,
    Graph,
    Labels,
    Manifest,
    Source,
    Tensor,
    file_entry,
)
from w2vc_runtime.cli.progress import Notify, Progress
from w2vc_runtime.decoding.greedy import GreedyDecoder
from w2vc_runtime.documents.typed import build
from w2vc_runtime.engines import EngineOptions, compile_graph
from w2vc_runtime.features import Recipe
from w2vc_runtime.sessions.base import Session, Tensors
from w2vc_runtime.sessions.onnx_runtime import check_int8, import_onnxruntime
from w2vc_runtime.system.version import own_version
from w2vc_runtime.verify import expectations as stored
from w2vc_runtime.verify.cases import make
from w2vc_runtime.verify.parity import Decode, verify
from w2vc_runtime.verify.reference import Reference
from w2vc_runtime.verify.verdict import Verdict

from . import staging as bundle
from .certificate import report
from .checkpoint.hub import find_checkpoint
from .checkpoint.recipes import COPIED, read_features
from .checkpoint.tokenizers import notes, read_ctc
from .errors import ExportError, RejectedError
from .gate.corpus import Corpus, read_corpus
from .gate.references import REFERENCE, read_budget, references
from .graph.save import drop_weights, write
from .graph.trace import OPSET, trace
from .options import ExportOptions
from .precision.drift import Layers
from .precision.fitting import Fitting, Judge
from .precision.forms import PROFILES

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


def run(options: ExportOptions) -> ExportResult:
    """Export as the options say; raise `W2vcError` where that cannot be done, `RejectedError` on a failed gate."""
    start = time.perf_counter()
    try:
        return _run(options, start)
    except w2vc_model.ModelError as error:
        raise ExportError(str(error)) from error


def _run(options: ExportOptions, start: float) -> ExportResult:
    limits = read_budget(options.budget) if options.budget is not None else {}
    profile = PROFILES[options.provider]
    if "int8" in options.precisions and not profile.static:
        check_int8()
    budgets = {each: dataclasses.replace(profile.budget(each), **limits) for each in options.precisions}
    engines = options.engines
    progress = Progress(4 + len(budgets) + (len(budgets) if engines else 0))
    if engines:
        engines.check()
    source = find_checkpoint(options.source, options.target_lang)
    config = w2vc_model.read_config(source)
    options = options.with_head(config.architectures)
    target = options.target
    with bundle.staging(target, options.force) as directory:
        with progress.step(f"reading {options.source.name}"):
            states = options.hidden_states_of(config.num_hidden_layers)
            model = w2vc_model.load(source, options.task, options.padding, options.target_lang, states)
            features = read_features(source, model.backbone.input_name)
            described = _describe(model, options, source, features)
            if engines:
                engines.resolve(described["shortest"], features)
            corpus = _read_audio(options, features.sampling_rate, described["shortest"], "wer" in limits)
            calibration = _calibration(options, features, described["frames"], described["shortest"], model)
        scratch = directory / "scratch"
        scratch.mkdir()
        with progress.step("tracing"):
            write(trace(model), scratch / "master.onnx")
        with progress.step("computing what PyTorch computes"):
            cases = references(model, features, described["frames"], described["shortest"], options.padding, corpus)
            _check_finite(cases, options.source)
            chosen, facts = model.chosen, _facts(model)
            judge = functools.partial(verify, chosen=chosen, decode=_decode(described.get("ctc")))
            drop_weights(model)  # the graph's turn to need the memory
        graphs, verdicts, drifts = [], {}, {}
        layers = Layers(scratch / "master.onnx", cases, scratch)
        for precision, budget in budgets.items():
            with progress.step(f"writing {precision} and comparing") as doing:
                told = _told(judge, doing)
                fitting = Fitting(
                    scratch / "master.onnx", precision, budget, profile, cases, calibration, told, directory, scratch
                )
                fitted = fitting.fit()
                if precision != "fp32":
                    drifts[precision] = layers.drift(fitting.trial({name for k in fitted.kept for name in k.nodes}))
            verdicts[precision] = fitted.verdict
            provider = options.provider or ("cpu" if precision == "int8" else None)
            graphs.append(Graph(precision, fitted.files, OPSET, fitted.kept_fp32, fitted.kept, provider))
        shutil.rmtree(scratch)
        with progress.step("measuring and reporting"):
            problems = [f"{p}, {problem}" for p, verdict in verdicts.items() for problem in verdict.problems]
            files = [source / "config.json", *weight_files(source)]
            if options.target_lang is not None:
                files.append(adapter_file(source, options.target_lang))
            if not problems:
                bundle.copy_files(source, COPIED, directory)
                noise = [case for case in cases if case.corpus is None]  # recordings stay where they are
                stored.write(directory / stored.FILE_NAME, noise, chosen)
            manifest = Manifest(
                name=target.name,
                head=options.task,
                padding=options.padding,
                features=features,
                **described,
                graphs=tuple(graphs),
                source=Source(options.source.resolve().name, bundle.source_hash(files)),
                tools=_tools(),
                verification=_verification(verdicts),
                files={path.name: file_entry(path) for path in sorted(directory.iterdir())},
                created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            )
            certificate = report.write(directory, manifest, facts, verdicts, drifts)
            if problems:
                raise _rejected(problems, directory, target)
        if engines:
            manifest = dataclasses.replace(manifest, engines=_compile(directory, manifest, engines, progress))
        (directory / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
        Manifest.read(directory)  # what no runtime would take is not published
        bundle.publish(directory, target, options.force)
    size = sum(path.stat().st_size for path in files[1:])
    left_out = notes(source, manifest.ctc) if manifest.ctc else ()
    return ExportResult(target, manifest, verdicts, certificate, size, time.perf_counter() - start, left_out)


def _describe(model: SpeechModel, options: ExportOptions, source: Path, features: Recipe) -> dict[str, Any]:
    """What the manifest says of a model, by field."""
    front = tuple(Convolution(*each) for each in features.convolutions)
    inputs = tuple(Tensor(name, dtype, shape) for name, (dtype, shape) in model.inputs.items())
    outputs = tuple(Tensor(name, "float32", shape) for name, shape in model.outputs.items())
    if features.shape != inputs[0].shape:
        raise ExportError(
            f"{source}: the preprocessor gives {features.input} {list(features.shape)}, "
            f"and the model takes {list(inputs[0].shape)}; they belong to different checkpoints"
        )
    named = {axis for tensor in (*inputs, *outputs) for axis in tensor.shape}
    axes = {axis: Frames(*receptive_field(front + chain)) for axis, chain in model.axes.items() if axis in named}
    described = {
        "family": model.config.model_type,
        "position": model.config.position,
        "inputs": inputs,
        "outputs": outputs,
        "frames": axes,
        "shortest": fewest_inputs(front, model.shortest),
    }
    if options.task == "ctc":
        described["ctc"] = read_ctc(source, int(model.outputs["logits"][-1]), options.target_lang)
    if model.problem_type is not None:
        described["labels"] = Labels(model.config.labels, model.problem_type)
    return described


def _read_audio(options: ExportOptions, rate: int, shortest: int, rated: bool) -> Corpus | None:
    """The recordings to judge on. rated: whether the budget names the word error rate."""
    corpus = None if options.audio is None else read_corpus(options.audio, rate, shortest)
    transcribed = corpus is not None and corpus.transcribed
    if transcribed and options.task != "ctc":
        raise ExportError(
            f"{options.audio} has transcripts, and head {options.task!r} gives no text; "
            "take head 'ctc', or a directory without transcripts"
        )
    if rated and not transcribed:
        fault = "there is no --audio DIR" if options.audio is None else f"{options.audio} has none"
        raise ExportError(
            f"a budget for wer needs recordings with transcripts, and {fault}; give them or leave wer out"
        )
    return corpus


def _check_finite(cases: list[Reference], source: Path) -> None:
    """Raise `ExportError` where there is nothing that a graph could equal."""
    for case in cases:
        if not all(each.finite for expected in case.expected.values() for each in expected):
            raise ExportError(
                f"{source} gives NaN or infinity in PyTorch itself ({case.case}), and no graph can equal that; "
                "expected weights that give numbers"
            )


def _calibration(
    options: ExportOptions, features: Recipe, frames: dict[str, Frames], shortest: int, model: SpeechModel
) -> list[Tensors]:
    """What the graph takes of each recording to calibrate on."""
    if options.calibrate is None:
        return []
    clips = read_corpus(options.calibrate, features.sampling_rate, shortest, transcripts=False).clips
    names = list(model.inputs)
    return [make(clip.name, (clip.samples,), features, frames, options.padding, names).inputs for clip in clips]


def _decode(rules: Ctc | None) -> Decode | None:
    """From logits to text, as the runtime has it."""
    if rules is None:
        return None
    decoder = GreedyDecoder(rules)
    return lambda logits: decoder.decode(logits).text


def _told(judge: Judge, notify: Notify) -> Judge:
    """The judge, who reports how far it is."""
    graphs = itertools.count(1)

    def told(session: Session, cases: Sequence[Reference], budget: Budget) -> Verdict:
        graph, case = next(graphs), itertools.count(1)

        class Told(Session):
            provider = session.provider

            def run(self, inputs: Tensors) -> Tensors:
                notify(f"graph {graph}, case {next(case)} of {len(cases)}")
                return session.run(inputs)

            def close(self) -> None:
                session.close()

        return judge(Told(), cases, budget)

    return told


def _compile(directory: Path, manifest: Manifest, options: EngineOptions, progress: Progress) -> tuple[Engine, ...]:
    """An engine of each graph, written beside them."""
    engines = []
    for graph in manifest.graphs:
        with progress.step(f"compiling {graph.precision}") as doing:
            plan = directory / options.file_name(graph.precision)
            plan.parent.mkdir(exist_ok=True)
            engines.append(compile_graph(directory, manifest, graph, options, plan, doing).engine)
    return tuple(engines)


def _facts(model: SpeechModel) -> report.Facts:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return report.Facts(model.config.num_hidden_layers, model.config.hidden_size, parameters)


def _rejected(problems: list[str], directory: Path, target: Path) -> RejectedError:
    """Move what missed its budget aside; return the error that says so."""
    rejected = bundle.set_aside(directory, target)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return RejectedError(f"not published: {problems[0]}{more}; the graph and its report are in {rejected}")


def _verification(verdicts: dict[str, Verdict]) -> dict[str, Certified]:
    """The verdicts by precision as the manifest has them."""
    return {
        precision: build(Certified, {**verdict.to_dict(), "reference": REFERENCE})
        for precision, verdict in verdicts.items()
    }


def _tools() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in TOOLS:
        versions[name] = _version(name)
    return versions


def _version(name: str) -> str:
    """Version of a package; the two builds of onnxruntime share a module and not a name."""
    if name == "w2vc":
        return own_version()
    if name == "onnxruntime":
        return import_onnxruntime("cpu").__version__
    return version(name)
