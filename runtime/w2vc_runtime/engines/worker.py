"""Compiles one graph. Runs in a process of its own: what TensorRT aborts on must not take w2vc with it, and the
second engine of a process has other bytes than one compiled alone.

A job comes as JSON in the first argument: ``path``, where Python finds modules; ``module``, a build of TensorRT; and
to compile, ``graph``, ``plan`` (files), ``profiles`` (of each, by input of the graph, the least, typical and largest
shape), ``targets`` (names of compute capabilities), ``lengths`` (whether the plan takes lengths instead of a mask, see
`take_lengths`) and ``timings`` (a file that may not be there yet, or none: what TensorRT
measured of kernels on this GPU). Standard output has one JSON object a line: first ``doing``, what TensorRT
is at, as often as it changes; last the answer: ``version``, ``targets`` (all there are), and of a plan ``layers``,
``seconds``, ``flags`` (names of the builder's flags that are set) and ``activation_bytes`` (memory that it needs on the
GPU beside its weights, by TensorRT's account); or ``problem``, one line, and ``log``, what TensorRT said.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Scratch memory that a layer may take on the GPU.
WORKSPACE_BYTES = 4 << 30
TARGET = re.compile(r"SM\d+")
# What TensorRT only warns of, and what then fails where the engine runs.
FATAL_WARNING = "not self-consistent"
FAILURES = ("WARNING", "ERROR", "INTERNAL_ERROR")
# The input that says what is padding, and the one that engines take instead.
MASK, LENGTHS = "attention_mask", "lengths"
ACTIVATIONS = "Total Activation Memory: "
# Its messages, and what they come to; the first that matches. Where in its sources is of no use.
MESSAGES = (
    (r"within workspace limit", "a layer needs more than 4 GB of scratch memory; take smaller profiles"),
    (r"out of memory|OutOfMemory|bad_alloc|Memory allocation failed", "memory ran out; take smaller profiles"),
    (
        r"Could not find any implementation for node (.*?)(?: due to|$)",
        r"there is no implementation of node \1 for these profiles",
    ),
    (r"cudaError 35\b", "the NVIDIA driver is missing, or too old for it"),
    (r"header\.size == blobSize", "the plan is cut short; compile the bundle again"),
    (r"header\.magicTag ==", "the file is no plan of this version; compile the bundle again"),
    (r"not compatible with this version", "the plan is of another version; compile the bundle again"),
    (r"incompatible device", "the plan is for another GPU; compile the bundle again"),
    (r"Myelin \(\[[^\]]*\] (.*)", r"\1"),
    (r"[\w:]+: Error Code \d+: (?:[\w ]+ \()?(.*)", r"\1"),
)


Tell = Callable[[dict[str, Any]], None]


class Refusal(Exception):
    """TensorRT does not compile the graph."""


class Log:
    """What TensorRT said that matters: severity and text."""

    def __init__(self, tensorrt: Any) -> None:
        lines: list[tuple[str, str]] = []

        class Logger(tensorrt.ILogger):
            def log(self, severity: Any, message: str) -> None:
                if severity.name in FAILURES or message.startswith(ACTIVATIONS):
                    lines.append((severity.name, message))

        self.lines = lines
        self.logger = Logger()

    def reason(self) -> str:
        """The first error in plain words."""
        errors = [plain(text) for severity, text in self.lines if severity in ("ERROR", "INTERNAL_ERROR")]
        for text in errors:
            for pattern, meaning in MESSAGES:
                if found := re.search(pattern, text):
                    return found.expand(meaning)
        return errors[0] if errors else "it does not say why"

    def activation_bytes(self) -> int | None:
        """Memory of the GPU that a plan needs for activations, in its largest profile; None where it is not said."""
        found = [re.match(rf"{ACTIVATIONS}(\d+)", text) for _, text in self.lines]
        return max((int(each[1]) for each in found if each), default=None)


def plain(text: str) -> str:
    """A message without the place in TensorRT's sources."""
    return re.split(r"\.? In \w+ at ", " ".join(text.split()))[0]


def monitor(tensorrt: Any, tell: Tell) -> Any:
    """Tell of every step of TensorRT; where nobody listens any more, the build stops."""

    class Monitor(tensorrt.IProgressMonitor):
        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}
            self.heard = True

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase] = steps
            self.tell(phase, 0)

        def step_complete(self, phase: str, step: int) -> bool:
            self.tell(phase, step + 1)
            return self.heard

        def phase_finish(self, phase: str) -> None:
            pass

        def tell(self, phase: str, done: int) -> None:
            try:
                tell({"doing": f"{phase}, {done} of {self.steps.get(phase, done)}"})
            except OSError:  # it must not go through TensorRT
                self.heard = False

    return Monitor()


def work(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Do a job; see above."""
    tensorrt = importlib.import_module(job["module"])
    targets = [name for name in dir(getattr(tensorrt, "ComputeCapability", None)) if TARGET.fullmatch(name)]
    targets.sort(key=lambda name: int(name[2:]))
    answer: dict[str, Any] = {"version": tensorrt.__version__, "targets": targets}
    if "graph" in job:
        log = Log(tensorrt)
        try:
            answer |= compile_plan(tensorrt, log, job, tell)
        except Refusal as refusal:
            answer["problem"] = str(refusal)
        answer["log"] = [f"{severity}: {text}" for severity, text in log.lines if severity in FAILURES]
    return answer


def compile_plan(tensorrt: Any, log: Log, job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Write the plan of a job; return what is to say of it."""
    start = time.perf_counter()
    try:
        builder = tensorrt.Builder(log.logger)
    except TypeError as error:  # from pybind11, where the constructor gave nothing
        raise Refusal(f"it cannot start here: {log.reason()}") from error
    network = parse(tensorrt, builder, log, job["graph"])
    profiles = job["profiles"]
    if job["lengths"]:
        take_lengths(tensorrt, network)
        profiles = [with_lengths(shapes) for shapes in profiles]
    config = configure(tensorrt, builder, log, {**job, "profiles": profiles})
    watch = monitor(tensorrt, tell)  # to live as long as the builder
    config.progress_monitor = watch
    timings = take_timings(config, job.get("timings"))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise Refusal(log.reason())
    for _, text in log.lines:
        if FATAL_WARNING in text:
            raise Refusal(f"a profile does not fit the graph: {plain(text)}")
    Path(job["plan"]).write_bytes(plan)
    if timings is not None:
        Path(job["timings"]).write_bytes(timings.serialize())
    return {
        "layers": network.num_layers,
        "seconds": time.perf_counter() - start,
        "flags": flags(tensorrt, config),
        "activation_bytes": log.activation_bytes(),
    }


def parse(tensorrt: Any, builder: Any, log: Log, graph: str) -> Any:
    """The network of a graph, in the graph's own types."""
    # Always so but in TensorRT 10, where it is to be asked for.
    typed = getattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = tensorrt.OnnxParser(network, log.logger)
    if not parser.parse_from_file(graph):
        raise Refusal(f"the parser does not take the graph: {parser_problem(parser, log)}")
    return network


def take_lengths(tensorrt: Any, network: Any) -> None:
    """Have a network take `LENGTHS` [batch] in place of `MASK` [batch, time], which is made of them on the GPU.

    The mask of samples is int64, and two thirds of the bytes of a call. Where a network only adds it up, it gets the
    lengths themselves.
    """
    inputs = {each.name: each for each in map(network.get_input, range(network.num_inputs))}
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    lengths, readers = inputs[MASK], _readers(layers, MASK)
    lengths.set_dimension_name(1, "")  # by which it is as long as the features
    lengths.name, lengths.shape = LENGTHS, lengths.shape[:1]
    mask = _mask(tensorrt, network, network.get_input(0), lengths)
    for layer, index in readers:
        layer.set_input(index, mask)
        if _adds_up(tensorrt, layer):
            for user, place in _readers(layers, layer.get_output(0).name):
                user.set_input(place, lengths)


def _readers(layers: list[Any], name: str) -> list[tuple[Any, int]]:
    """Layers that read a tensor, and at which place."""
    places = ((layer, index) for layer in layers for index in range(layer.num_inputs))
    return [(layer, index) for layer, index in places if getattr(layer.get_input(index), "name", None) == name]


def _adds_up(tensorrt: Any, layer: Any) -> bool:
    """Whether a layer adds up a mask over time: [batch, time] -> [batch]."""
    if layer.type != tensorrt.LayerType.REDUCE:
        return False
    layer.__class__ = tensorrt.IReduceLayer  # as TensorRT's own programs do
    return (layer.op, layer.axes, layer.keep_dims) == (tensorrt.ReduceOperation.SUM, 1 << 1, False)


def _mask(tensorrt: Any, network: Any, features: Any, lengths: Any) -> Any:
    """1 at the valid steps of features [batch, time, ...], 0 behind them: int64 [batch, time]."""
    shape = network.add_shape(features).get_output(0)
    time = network.add_slice(shape, (1,), (1,), (1,)).get_output(0)
    steps = network.add_fill((1,), tensorrt.FillOperation.LINSPACE, lengths.dtype)
    steps.set_input(0, time)
    steps.alpha, steps.beta = 0, 1
    row, column = (network.add_shuffle(each) for each in (steps.get_output(0), lengths))
    row.reshape_dims, column.reshape_dims = (1, -1), (-1, 1)
    less = tensorrt.ElementWiseOperation.LESS
    valid = network.add_elementwise(row.get_output(0), column.get_output(0), less).get_output(0)
    return network.add_cast(valid, lengths.dtype).get_output(0)


def with_lengths(shapes: dict[str, Any]) -> dict[str, Any]:
    """The shapes of a profile with those of the lengths in place of the mask's."""
    others = {name: bounds for name, bounds in shapes.items() if name != MASK}
    return {**others, LENGTHS: [bound[:1] for bound in shapes[MASK]]}


def configure(tensorrt: Any, builder: Any, log: Log, job: dict[str, Any]) -> Any:
    """What a job asks of the builder."""
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # set by default; fp32 has a budget that ten bits do not keep
    for shapes in job["profiles"]:
        profile = builder.create_optimization_profile()
        for name, (least, typical, most) in shapes.items():
            profile.set_shape(name, least, typical, most)
        if config.add_optimization_profile(profile) < 0:
            raise Refusal(f"a profile does not fit the graph: {log.reason()}")
    if job["targets"]:
        config.num_compute_capabilities = len(job["targets"])
        for index, name in enumerate(job["targets"]):
            config.set_compute_capability(getattr(tensorrt.ComputeCapability, name), index)
    return config


def take_timings(config: Any, path: str | None) -> Any:
    """Have the builder use what it measured before, and add to it; None where no file is given.

    What another version or GPU measured it turns down by itself, and begins anew.
    """
    if path is None:
        return None
    known = Path(path)
    for content in (known.read_bytes() if known.is_file() else b"", b""):
        timings = config.create_timing_cache(content)
        if timings is not None and config.set_timing_cache(timings, False):
            return timings
    return None


def flags(tensorrt: Any, config: Any) -> list[str]:
    """Names of the builder's flags that are set."""
    return [name for name, flag in tensorrt.BuilderFlag.__members__.items() if config.get_flag(flag)]


def parser_problem(parser: Any, log: Log) -> str:
    """The parser's first error, and its node."""
    if not parser.num_errors:
        return log.reason()
    error = parser.get_error(0)
    if error.code().name == "MODEL_DESERIALIZE_FAILED":
        return "it is not an ONNX model, or a part of one"
    asserted = re.search(r'"(.*)"', error.desc())  # a condition in C++, and in quotes what it means
    reason = asserted[1] if asserted else plain(error.desc())
    if not error.node_operator():
        return reason
    node = f"node {error.node_name()!r} ({error.node_operator()}) is not supported"
    return node if reason == "false" else f"{node}: {reason}"


def main() -> None:
    """Do the job that the first argument is."""
    job = json.loads(sys.argv[1])
    sys.path[:] = job["path"]
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # what native code prints is no answer

        def tell(line: dict[str, Any]) -> None:
            answers.write(f"{json.dumps(line)}\n")

        tell(work(job, tell))


if __name__ == "__main__":
    main()
