"""ONNX Runtime on NVIDIA GPUs. docs/providers.md has the reason of every setting."""

from __future__ import annotations

import contextlib
import io
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from w2vc_runtime.bundle.interface import Arrays, Interface
from w2vc_runtime.errors import OptionError
from w2vc_runtime.system.gpu import find_gpu

from .base import GraphFile, Session
from .lengths import Lengths
from .onnx_runtime import FATAL, OnnxRuntimeSession, import_onnxruntime

CUDA = "CUDAExecutionProvider"
OPTIONS = {
    "arena_extend_strategy": "kSameAsRequested",
    "cudnn_conv_algo_search": "HEURISTIC",
    "cudnn_conv1d_pad_to_nc1d": "1",
    "use_tf32": "0",
}
RECORDING = {"enable_cuda_graph": "1"}
# Of a run: which of the recorded graphs it is.
GRAPH_ID, NO_GRAPH = "gpu_graph_id", "-1"
# A CUDA graph spares the time to start kernels, which large batches hide behind the kernels themselves.
RECORDED_SECONDS = 20.0
# Every length up to that, alone, and some batches. ONNX Runtime keeps what it recorded until the session ends.
MOST_GRAPHS = 96
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Recorded:
    """A shape whose CUDA graph is replayed, on memory of its own. inputs, outputs: ``OrtValue`` by name."""

    binding: Any
    options: Any
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    def run(self, session: Any, inputs: Arrays) -> Arrays:
        """The first call records, and every later one replays."""
        for name, value in self.inputs.items():
            value.update_inplace(np.ascontiguousarray(inputs[name]))
        session.run_with_iobinding(self.binding, self.options)
        return {name: value.numpy() for name, value in self.outputs.items()}


class CudaSession(OnnxRuntimeSession):
    """A graph on the GPU, whose batches are padded to a few lengths (`Lengths`).

    records: a small batch of a shape that comes for the second time is recorded as a CUDA graph, which starts its
    thousand or two of kernels at once. ONNX Runtime runs one call at a time then; more threads wait.
    """

    device = "cuda"

    def __init__(
        self, graph: GraphFile, interface: Interface, records: bool = False, execution_provider: str = CUDA
    ) -> None:
        options = (OPTIONS | (RECORDING if records else {})) if execution_provider == CUDA else {}
        super().__init__(graph.path, "cuda", execution_provider, options=options)
        self._records = records
        self._lengths = Lengths(interface)
        self._least = self._lengths.steps(interface.shortest)
        self._most = self._lengths.steps(round(RECORDED_SECONDS * interface.sampling_rate))
        self._seen: dict[Shape, dict[str, tuple[Shape, np.dtype]]] = {}
        self._recorded: dict[Shape, Recorded] = {}
        self._unrecorded = _options(NO_GRAPH)
        self._turn = threading.Lock()

    def warm_up(self) -> None:
        """Record every length, alone: it is computed once, and then recorded."""
        if self._records:
            for inputs in self._lengths.silent(self._lengths.up_to(self._least, self._most)):
                for _ in range(2):
                    self.run(inputs)

    def close(self) -> None:
        super().close()
        self._recorded.clear()

    def _compute(self, session: Any, inputs: Arrays) -> Arrays:
        padded = self._lengths.padded(inputs)
        if not self._records:
            return self._lengths.cut(super()._compute(session, padded), inputs)
        shape = next(iter(padded.values())).shape
        with self._turn:
            recorded = self._recorded.get(shape) or self._record(session, shape, padded)
            outputs = self._remember(session, shape, padded) if recorded is None else recorded.run(session, padded)
        return self._lengths.cut(outputs, inputs)

    def _remember(self, session: Any, shape: Shape, inputs: Arrays) -> Arrays:
        """Compute without a graph, and note what a shape gives: it may come again."""
        outputs = dict(zip(self._outputs, session.run(self._outputs, inputs, self._unrecorded)))
        if shape[0] * shape[1] <= self._most:
            self._seen[shape] = {name: (value.shape, value.dtype) for name, value in outputs.items()}
        return outputs

    def _record(self, session: Any, shape: Shape, inputs: Arrays) -> Recorded | None:
        """Make room for what a shape that was seen before takes and gives; None for one that was not."""
        if shape not in self._seen or len(self._recorded) == MOST_GRAPHS:
            return None
        value = import_onnxruntime("cuda").OrtValue
        given = {name: value.ortvalue_from_numpy(each, self.device, 0) for name, each in inputs.items()}
        made = {
            name: value.ortvalue_from_shape_and_type(size, kind, self.device, 0)
            for name, (size, kind) in self._seen.pop(shape).items()
        }
        binding = session.io_binding()
        for name, each in given.items():
            binding.bind_ortvalue_input(name, each)
        for name, each in made.items():
            binding.bind_ortvalue_output(name, each)
        self._recorded[shape] = Recorded(binding, _options(str(len(self._recorded) + 1)), given, made)
        return self._recorded[shape]


def _options(graph: str) -> Any:
    options = import_onnxruntime("cuda").RunOptions()
    options.log_severity_level = FATAL
    options.add_run_config_entry(GRAPH_ID, graph)
    return options


def check(graph: GraphFile) -> None:
    """Raise `OptionError` or `MissingExtraError` where ONNX Runtime has no CUDA here, or none for the graph."""
    if CUDA not in import_onnxruntime("cuda").get_available_providers():
        raise OptionError("provider 'cuda' is not in this onnxruntime; pip install 'w2vc[gpu]' has it")
    if graph.precision == "bf16":
        raise OptionError("provider 'cuda' has no convolutions in bf16; take 'fp16', or provider 'tensorrt'")
    try:
        find_gpu()
    except OptionError as error:
        raise OptionError(f"provider 'cuda' cannot start: {error}") from error


def open_graph(graph: GraphFile) -> Session:
    """Load a graph. Raises `OptionError` and `BundleError`; the latter too where CUDA graphs are asked for in vain."""
    onnxruntime = import_onnxruntime("cuda")
    onnxruntime.set_default_logger_severity(FATAL)  # it says what cuDNN has no plan for, and takes another one
    # The libraries of NVIDIA's wheels, where they are installed: the loader does not look there by itself.
    preload = getattr(onnxruntime, "preload_dlls", None)  # from 1.21 on
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints which it does not find
            preload()
    interface = None if graph.bundle is None else graph.bundle.interface
    if interface is not None and Lengths(interface).repeat:
        return CudaSession(graph, interface, graph.cuda_graphs)
    if graph.cuda_graphs:
        raise OptionError("CUDA graphs are for lengths that come again: for a bundle under 'padding-invariant'")
    return OnnxRuntimeSession(graph.path, "cuda", CUDA, options=OPTIONS)
