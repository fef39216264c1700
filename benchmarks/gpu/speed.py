"""How fast are the ways to run a full-size model on this GPU, at half precision, and how near to what it can?

    python benchmarks/gpu/speed.py --build-only --jobs 3          exports and compiles, on the CPU; needs no GPU
    python benchmarks/gpu/speed.py [--models NAMES] [--precisions fp16,bf16] [--forms NAMES] [--minutes 9]

Random weights. Of a batch of several clips the shortest has four fifths of the longest, so that masks matter. Ways to
run it take turns, and the median counts:

latency      from arrays of the host to arrays of the host, copies and all, by a clock that waits for the GPU
on the GPU   between two CUDA events, without copies, where PyTorch runs
of peak      products and convolutions of Hugging Face's formulation (flops.py) in the latency, of what a large matrix
             product of the same type reaches in the same run
differs      the longest clip's logits from those of PyTorch eager in the same precision

Engines have the usual profiles: what is more clips than one takes is run in parts. Hugging Face's model gets the
attention mask. The plain export is made without one, with a dynamic batch and length.

``--forms`` adds sessions on the model as it is when it is written down in other ways (tests/support/forms.py: as it is
for provider cuda, the relative bias by a gather, the front end as products and more), or in all that it has: which is
fastest tells what the graph should be. Each form of each model is a bundle of its own.
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bundles
import numpy as np
from flops import flops
from harness import Cell, Measure, Report, chosen, one_line, parser, run, selected, serve
from pytorch import Captured, Eager

from w2vc_runtime.bundle import Bundle
from w2vc_runtime.sessions.select import open_bundle, open_session

Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays], np.ndarray]

MODELS = ("wav2vec2-conformer-rel-pos-large", "w2v-bert-2.0", "wav2vec2-large-960h-lv60-self")
TRIAL = ("tiny",)
LAYERS = 24
PRECISIONS = ("fp16", "bf16")
BACKENDS = ("tensorrt-rtx", "tensorrt")
# Seconds and batches by what they are worth; what comes last is left out first.
SHAPES = ((5, 1), (5, 16), (15, 4), (30, 1))
MORE_SHAPES = ((1, 1), (15, 1), (15, 16), (1, 16), (5, 4), (30, 16), (1, 4), (30, 4))
# torch.compile takes a minute for each.
COMPILED_SHAPES = ((5, 1), (5, 16))
TRIAL_SHAPES = ((1, 1), (1, 3))
EAGER = "PyTorch eager"
UNPADDED = "ONNX Runtime cuda, ours, lengths as they come"
RECORDED = "ONNX Runtime cuda, ours, CUDA graphs"
WARM_UP, LEAST_RUNS, MOST_RUNS, SECONDS = 3, 5, 30, 4.0
PEAK_SIZE, PEAK_PRODUCTS = {"gpu": 8192, "cpu": 512}, 10
RATE = 16000
COLUMNS = {
    "model": lambda cell: cell["model"],
    "form": lambda cell: cell["form"],
    "precision": lambda cell: cell["precision"],
    "batch": lambda cell: f"{cell['batch']} x {cell['seconds']} s",
    "way": lambda cell: cell["way"],
    "latency": lambda cell: f"{cell['latency_ms']:.2f} ms",
    "of eager's": lambda cell: f"{cell['ratio']:.2f}",
    "on the GPU": lambda cell: f"{cell['gpu_ms']:.2f} ms",
    "audio s/s": lambda cell: f"{cell['audio_seconds_per_second']:.0f}",
    "of peak": lambda cell: f"{cell['peak_share']:.1%}",
    "differs": lambda cell: "NaN" if cell["difference"] is None else f"{cell['difference']:.1e}",
}


def described(model: str, precisions: list[str], device: str, form: str | None = None) -> Cell:
    """A bundle, as `bundles` has it. form: another way to write the model down."""
    trial = {"cell": ["conformer-relative", "layer", "ctc"]}
    return {
        "name": "-".join((model, *(form or "").split())),
        "form": form,
        "checkpoint": trial if model in TRIAL else {"published": model, "layers": LAYERS},
        "head": "ctc",
        "precisions": precisions,
        "engines": [[b, [], p] for b in compilers(device) for p in precisions],
        "verified": False,
        # NumPy has no type for the input of bf16.
        "plain": [] if form else [precision for precision in precisions if precision != "bf16"],
    }


def wanted_forms(model: str, asked: str) -> list[str | None]:
    """None for the exporter's own way, and then those asked for that change this model."""
    from support.forms import FORMS
    from support.published import PUBLISHED

    architecture = "conformer-relative" if model in TRIAL else PUBLISHED[model][0]
    known = [name for name, form in FORMS.items() if form.changes(architecture)]
    names = {"": [], "all": known}.get(asked)
    return [None, *(chosen(asked, list(FORMS), "--forms") if names is None else names)]


def compilers(device: str) -> list[str]:
    """Backends that are installed; the trial on a CPU compiles nothing."""
    from w2vc_runtime.engines import BACKENDS as KNOWN

    return [name for name in BACKENDS if device == "gpu" and find_spec(KNOWN[name].module)]


class Speed:
    """Task of a worker: one model in one precision. Ways to run it are opened when they are first needed."""

    def __init__(self, job: Cell) -> None:
        import torch

        self.torch = torch
        self.described, self.precision, self.device = job["described"], job["precision"], job["device"]
        self.where = torch.device("cuda" if self.device == "gpu" else "cpu")
        self.type = bundles.dtype(self.precision)
        self.bundle = Path(job["bundles"]) / self.described["name"]
        self.manifest = Bundle.read(self.bundle).manifest
        self.graph = Bundle(self.bundle, self.manifest).graph(self.precision)
        self.model = bundles.model(self.described).to(self.where, self.type).eval()
        self.main = self.model.main_input_name
        with suppress(ValueError):  # it has no such attention
            self.model.set_attn_implementation("sdpa")
        self.peak = self._peak()
        self.opened: dict[str, Run | Exception] = {}

    def __call__(self, cell: Cell) -> Cell:
        """Let the ways take turns on one batch."""
        inputs, audio = self.inputs(cell)
        work = flops(self.model.config, *inputs[self.model.main_input_name].shape[:2])
        if self.device == "gpu":
            self.torch.cuda.empty_cache()  # what it keeps, the others cannot have
        runs, rows, outputs = {}, {}, {}
        for name, make in self.ways(cell["beside"]).items():
            rows[name] = {"way": name}
            with self.told(rows[name]):
                call = self.opened_way(name, make)
                for _ in range(WARM_UP):
                    outputs[name] = call(inputs)
                runs[name] = call
        times: dict[str, list[float]] = {name: [] for name in runs}
        start = time.perf_counter()
        for count in range(MOST_RUNS):
            if count >= LEAST_RUNS and time.perf_counter() - start > SECONDS:
                break
            for name, call in runs.items():
                begun = time.perf_counter()
                call(inputs)
                times[name].append(time.perf_counter() - begun)
        for name, taken in times.items():
            median = statistics.median(taken)
            rows[name] |= {
                "latency_ms": 1000 * median,
                "fastest_ms": 1000 * min(taken),
                "slowest_ms": 1000 * max(taken),
                "runs": len(taken),
                "audio_seconds_per_second": audio / median,
                "tflops": work / median / 1e12,
                "peak_share": work / median / self.peak,
            }
            with self.told(rows[name]):
                if EAGER in times:
                    rows[name]["ratio"] = median / statistics.median(times[EAGER])
                    rows[name]["difference"] = _difference(outputs[name][0], outputs[EAGER][0])
                rows[name]["gpu_ms"] = self._on_gpu(runs[name], inputs)
        facts = {"flop": work, "audio_seconds": audio, "matmul_peak_tflops": self.peak / 1e12}
        return {"rows": [{**facts, **row} for row in rows.values()]}

    @contextmanager
    def told(self, row: Cell) -> Iterator[None]:
        """What goes wrong in one way to run the model is told in its row, and the others go on."""
        try:
            yield
        except Exception as error:
            row["problem"] = one_line(error)

    def ways(self, beside: str) -> dict[str, Callable[[], Run]]:
        """What is measured beside PyTorch eager: ``sessions``, CUDA graphs that are ``captured``, or ``compiled``."""
        ways: dict[str, Callable[[], Run]] = {EAGER: lambda: Eager(self, self.model)}
        if beside == "compiled":
            for name, mode in (("torch.compile", "default"), ("torch.compile, CUDA graphs", "reduce-overhead")):
                ways[name] = functools.partial(self._compiled, mode)
        elif beside == "captured":
            ways["PyTorch, CUDA graph, no mask"] = lambda: Captured(self, masked=False)
            ways["PyTorch, CUDA graph"] = lambda: Captured(self, masked=True)
        else:
            provider = "cuda" if self.device == "gpu" else "cpu"
            bundle = Bundle(self.bundle, self.manifest)
            if self.precision in self.described["plain"]:
                plain = bundles.plain_path(self.bundle.parent, self.bundle.name, self.precision)
                ways[f"ONNX Runtime {provider}, plain export"] = lambda: self._plain(plain, provider)
            ways[f"ONNX Runtime {provider}, ours"] = lambda: self._run(open_bundle(bundle, self.graph, provider))
            if self.device == "gpu":
                path = self.bundle / self.graph.files[0]
                ways[UNPADDED] = lambda: self._run(open_session(path, provider, self.precision))
                ways[RECORDED] = lambda: self._run(open_bundle(bundle, self.graph, provider, cuda_graphs=True))
            for backend in BACKENDS if self.device == "gpu" else ():
                ways[backend] = functools.partial(self._engine, backend, graphs=True)
                ways[f"{backend}, no CUDA graphs"] = functools.partial(self._engine, backend, graphs=False)
        return ways

    def opened_way(self, name: str, make: Callable[[], Run]) -> Run:
        """What is opened stays so, and what failed does not try again."""
        if name not in self.opened:
            try:
                self.opened[name] = make()
            except Exception as error:  # told for every cell
                self.opened[name] = error
        found = self.opened[name]
        if isinstance(found, Exception):
            raise found
        return found

    def _run(self, session: Any) -> Run:
        output = self.manifest.outputs[0].name
        return lambda inputs: session.run(inputs)[output]

    def _plain(self, path: Path, provider: str) -> Run:
        session, main = open_session(path, provider, self.precision), self.model.main_input_name
        kind = {"fp32": np.float32, "fp16": np.float16}[self.precision]

        def call(inputs: Arrays) -> np.ndarray:
            (output,) = session.run({main: inputs[main].astype(kind)}).values()
            return output.astype(np.float32)

        return call

    def _engine(self, backend: str, graphs: bool) -> Run:
        from w2vc_runtime.engines.identity import find_engine
        from w2vc_runtime.sessions.tensorrt.session import EngineSession

        engine = find_engine(Bundle(self.bundle, self.manifest), self.precision, backend)
        return self._run(EngineSession(Bundle(self.bundle, self.manifest), engine, cuda_graphs=graphs))

    def _compiled(self, mode: str) -> Run:
        return Eager(self, self.torch.compile(self.model, mode=mode, dynamic=False), guard=self.torch.no_grad)

    def inputs(self, cell: Cell) -> tuple[Arrays, float]:
        """The features of a batch, and the seconds of audio in it."""
        generator = np.random.default_rng(0)
        longest = cell["seconds"] * RATE
        lengths = np.linspace(longest, 0.8 * longest, cell["batch"]).astype(int)
        clips = [0.1 * generator.standard_normal(length).astype(np.float32) for length in lengths]
        return self.manifest.features(clips, self.manifest.padding), float(lengths.sum()) / RATE

    def _peak(self) -> float:
        """FLOP/s of a large matrix product of this type."""
        size = PEAK_SIZE[self.device]
        left, right = (self.torch.randn(size, size, device=self.where).to(self.type) for _ in range(2))
        times = []
        for _ in range(WARM_UP + LEAST_RUNS):
            self.wait()
            start = time.perf_counter()
            for _ in range(PEAK_PRODUCTS):
                self.torch.matmul(left, right)
            self.wait()
            times.append((time.perf_counter() - start) / PEAK_PRODUCTS)
        return 2 * size**3 / statistics.median(times[WARM_UP:])

    def _on_gpu(self, call: Run, inputs: Arrays) -> float | None:
        """Milliseconds between two events, without copies; None where PyTorch does not run it."""
        if self.device == "cpu" or not isinstance(call, (Eager, Captured)):
            return None
        resident = call.upload(inputs)
        times = []
        for _ in range(WARM_UP + LEAST_RUNS):
            start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call.compute(resident)
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        return statistics.median(times[WARM_UP:])

    def wait(self) -> None:
        """Until the GPU has done what it was given."""
        if self.device == "gpu":
            self.torch.cuda.synchronize()


def _difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest, relative to the largest expected value. actual: maybe with frames of padding after the others."""
    actual = actual[: len(expected)]
    if actual.shape != expected.shape:
        raise ValueError(f"it gives {list(actual.shape)} and not {list(expected.shape)}")
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def jobs(options: Any, models: list[str], precisions: list[str]) -> list[Cell]:
    """What is worth most first: sessions on a few shapes, then PyTorch's other ways, then more shapes.

    Each is a process of its own: a capture that breaks leaves PyTorch's memory in any state.
    """
    if options.device == "cpu":
        rounds = [(TRIAL_SHAPES, "sessions")]
    elif options.quick:
        rounds = [(SHAPES[:2], "sessions"), (SHAPES[:2], "captured")]
    else:
        rounds = [(SHAPES, "sessions"), (SHAPES, "captured"), (COMPILED_SHAPES, "compiled"), (MORE_SHAPES, "sessions")]
    result = []
    for shapes, beside in rounds:
        for precision in precisions:
            for model in models:
                for form in wanted_forms(model, options.forms) if beside == "sessions" else [None]:
                    cells = [{"seconds": seconds, "batch": batch, "beside": beside} for seconds, batch in shapes]
                    named = {"model": model, "form": form or "ours", "precision": precision}
                    result.append(
                        {
                            "task": "measure",
                            "device": options.device,
                            "bundles": str(options.bundles),
                            "described": described(model, precisions, options.device, form),
                            "precision": precision,
                            "cells": [{**named, **cell} for cell in cells],
                        }
                    )
    return result


def measuring(job: Cell) -> Measure:
    """Task of a worker."""
    return Speed(job)


def main() -> int:
    arguments = parser(__doc__, "speed", 9, MODELS)
    arguments.add_argument("--precisions", default=",".join(PRECISIONS), metavar="NAMES", help="default: %(default)s")
    arguments.add_argument("--forms", default="", metavar="NAMES", help="also other ways to write down, or all")
    options = arguments.parse_args()
    if options.job:
        return serve(options.job, {"build": bundles.build, "measure": measuring})
    models, precisions = selected(options, MODELS, PRECISIONS, TRIAL)
    if options.quick:
        precisions = precisions[:1]
    report = Report(options, __doc__)
    wanted = [
        described(model, precisions, options.device, form)
        for model in models
        for form in wanted_forms(model, options.forms)
    ]
    bundles.build_all(report, __file__, options, wanted)
    if options.build_only:
        return report.finish()
    run(report, "cells", __file__, jobs(options, models, precisions))
    report.show(COLUMNS)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
