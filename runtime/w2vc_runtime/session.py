"""Inference sessions: one small runner for each backend."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from .errors import BundleError, InferenceError, MissingExtraError, OptionError
from .openvino import OpenVinoSession

Tensors = dict[str, NDArray]


class Session(Protocol):
    """Runs a graph. Safe to call from several threads at once."""

    provider: str

    def run(self, inputs: Tensors) -> Tensors:
        """Compute the outputs by name from the inputs by name."""
        ...


# Loads the graph at a path, of the precision that its manifest names.
Provider = Callable[[Path, str], Session]


class OnnxRuntimeSession:
    """A graph in ONNX Runtime, on one execution provider. settings: entries of its session configuration."""

    def __init__(
        self, path: Path, provider: str, execution_provider: str, settings: Mapping[str, str] | None = None
    ) -> None:
        onnxruntime = _onnxruntime(provider)
        if execution_provider not in onnxruntime.get_available_providers():
            raise OptionError(f"provider {provider!r} is not in this onnxruntime; pip install 'w2vc[gpu]' has it")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        for name, value in (settings or {}).items():
            options.add_session_config_entry(name, value)
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[execution_provider])
        except Exception as error:  # onnxruntime raises its own classes, outside any common root
            reason = str(error).splitlines()[0]
            raise BundleError(f"onnxruntime {onnxruntime.__version__} cannot load {path}: {reason}") from error
        # ONNX Runtime warns and falls back to the CPU when CUDA cannot start; a caller who asked for it must know.
        if self._session.get_providers()[0] != execution_provider:
            raise OptionError(
                f"provider {provider!r} could not be started here; use provider 'cpu' or check the driver"
            )
        self.provider = provider
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Tensors) -> Tensors:
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, inputs)))
        except Exception as error:  # see above
            shape = list(next(iter(inputs.values())).shape)
            reason = str(error).splitlines()[0]
            raise InferenceError(f"provider {self.provider!r} failed on an input of shape {shape}: {reason}") from error


def _cpu(path: Path, precision: str) -> Session:
    if precision == "bf16":
        raise OptionError("provider 'cpu' cannot compute in bf16; take 'openvino' or 'cuda', or another precision")
    return OnnxRuntimeSession(path, "cpu", "CPUExecutionProvider")


def _cuda(path: Path, precision: str) -> Session:
    return OnnxRuntimeSession(path, "cuda", "CUDAExecutionProvider")


def _auto(path: Path, precision: str) -> Session:
    try:
        return _cuda(path, precision)
    except (MissingExtraError, OptionError):
        pass  # no ONNX Runtime, or none that has a GPU here
    if platform.machine() in ("x86_64", "AMD64"):
        try:
            return OpenVinoSession(path, precision)
        except (MissingExtraError, OptionError, BundleError):
            pass  # not installed, or not a graph for it
    return _cpu(path, precision)


def _onnxruntime(provider: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        extra = "gpu" if provider == "cuda" else "cpu"
        raise MissingExtraError(f"provider {provider!r}", "onnxruntime", extra) from error
    return onnxruntime


PROVIDERS: dict[str, Provider] = {"auto": _auto, "cpu": _cpu, "cuda": _cuda, "openvino": OpenVinoSession}


def open_session(path: Path, provider: str, precision: str = "fp32", written_for: str | None = None) -> Session:
    """Load a graph on a provider; raise `OptionError` for one that is unknown or not available here.

    precision: of the graph, and written_for: the provider that it is written for, as its manifest has them. ``auto``
    takes the latter where it works.
    """
    if provider not in PROVIDERS:
        raise OptionError(f"unknown provider {provider!r}; known: {', '.join(PROVIDERS)}")
    if provider == "auto" and written_for in PROVIDERS:
        try:
            return PROVIDERS[written_for](path, precision)
        except (MissingExtraError, OptionError, BundleError):
            pass
    return PROVIDERS[provider](path, precision)
