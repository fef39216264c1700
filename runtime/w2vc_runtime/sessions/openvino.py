"""OpenVINO on the CPU."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from w2vc_runtime.errors import BundleError, InferenceError, MissingExtraError, OptionError

from .base import Arrays, GraphFile, Session, closed, long_clips

# What OpenVINO computes in, by the precision of the graph. Left to itself it takes bfloat16 for either where the CPU
# has it, which misses the budget of fp32 and spends that of fp16.
PRECISIONS = {"fp32": "f32", "fp16": "f32", "bf16": "bf16", "int8": "bf16"}
TELEMETRY = "openvino_telemetry"
# Primitives that are kept for shapes that may come again: by default 5000, each of some 100 kB and more.
CACHED_SHAPES = "16"


def check(graph: GraphFile) -> None:
    """Raise `MissingExtraError` without OpenVINO, `OptionError` where it does not run a graph.

    It has no arithmetic for some precisions, and not the operators of int8 that is written for ONNX Runtime's CPU
    provider.
    """
    if find_spec("openvino") is None:
        raise _missing()
    if graph.precision not in PRECISIONS:
        raise OptionError(f"the graph is in {graph.precision}; provider 'openvino' runs {' or '.join(PRECISIONS)}")
    if graph.precision == "int8" and graph.written_for == "cpu":
        raise OptionError(
            "the int8 graph is written for provider 'cpu', with operators of ONNX Runtime; "
            "export it with --provider openvino, or run it with provider 'cpu'"
        )


def open_graph(graph: GraphFile) -> OpenVinoSession:
    """Load a graph; raise `BundleError` where OpenVINO does not take it."""
    return OpenVinoSession(graph.path, graph.precision)


class OpenVinoSession(Session):
    """A graph in OpenVINO, compiled once for every batch and length."""

    provider = "openvino"

    def __init__(self, path: Path, precision: str) -> None:
        openvino = _openvino()
        self._path = path
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "CPU_RUNTIME_CACHE_CAPACITY": CACHED_SHAPES,
        }
        self._version = openvino.__version__
        self._core: Any = openvino.Core()  # None once the session is closed
        self._lock = Lock()
        self._running = 0
        self._grown = False  # by a long clip, whose memory is to be given back
        self._compiled: Any = self._compile()

    def run(self, inputs: Arrays) -> Arrays:
        with self._lock:
            if self._core is None:
                raise closed(self.provider)
            if self._compiled is None:
                self._compiled = self._compile()
            request = self._compiled.create_infer_request()
            self._running += 1
        try:
            results = request.infer(inputs)
        except Exception as error:  # OpenVINO raises RuntimeError, its bindings whatever Python has
            # Shapes of a failed run stay in the compiled graph, which can then fail on good input.
            self._compiled = None
            shape = list(next(iter(inputs.values())).shape)
            raise InferenceError(
                f"provider {self.provider!r} failed on an input of shape {shape}: {_reason(error)}"
            ) from error
        finally:
            del request
            with self._lock:
                self._running -= 1
                self._grown = self._grown or long_clips(inputs)
                # It may only go while nothing runs.
                if self._running == 0 and self._grown and self._compiled is not None:
                    self._compiled.release_memory()
                    self._grown = False
        return {output.get_any_name(): value for output, value in results.items()}

    def close(self) -> None:
        with self._lock:
            self._core = self._compiled = None

    def _compile(self) -> Any:
        try:
            return self._core.compile_model(self._path, "CPU", self._settings)
        except Exception as error:  # see above
            raise BundleError(f"openvino {self._version} cannot load {self._path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The last line of OpenVINO's messages says what; those before say where in its sources."""
    return str(error).strip().rpartition("\n")[2]


def _openvino() -> Any:
    # Importing openvino reports that to its makers over the network, unless it finds its telemetry missing.
    silenced = "openvino" not in sys.modules and TELEMETRY not in sys.modules
    if silenced:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise _missing() from error
    finally:
        if silenced:
            del sys.modules[TELEMETRY]
    return openvino


def _missing() -> MissingExtraError:
    return MissingExtraError("provider 'openvino'", "openvino", "openvino")
