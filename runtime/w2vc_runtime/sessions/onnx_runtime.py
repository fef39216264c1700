"""ONNX Runtime, and its CPU provider. docs/providers.md has the reason of every setting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2vc_runtime.errors import BundleError, InferenceError, MissingExtraError, OptionError

from .base import Arrays, GraphFile, Session, closed, long_clips

CPU = "CPUExecutionProvider"
EXTRAS = {"cpu": "cpu", "cuda": "gpu"}  # of w2vc, that bring an ONNX Runtime with the provider
FATAL = 4  # of ONNX Runtime's levels of logging; its errors are raised as well
# With several threads, 1.22 to 1.24 were seen to compute clips of 2 to 4 frames wrong on a CPU with AMX, and those
# before 1.23 to round convolutions by the length of the batch, of which bytes make much; see docs/providers.md.
INT8_SINCE = (1, 25)


class OnnxRuntimeSession(Session):
    """A graph in ONNX Runtime, on one execution provider.

    provider: what w2vc calls it. settings: entries of the session's configuration. options: of the execution provider.
    """

    def __init__(
        self,
        path: Path,
        provider: str,
        execution_provider: str,
        settings: Mapping[str, str] | None = None,
        *,
        options: Mapping[str, str] | None = None,
    ) -> None:
        onnxruntime = import_onnxruntime(provider)
        configuration = onnxruntime.SessionOptions()
        configuration.log_severity_level = FATAL
        for name, value in (settings or {}).items():
            configuration.add_session_config_entry(name, value)
        providers = [(execution_provider, dict(options or {}))]
        try:
            # Without the fallback, ONNX Runtime prints what failed and takes other providers.
            session = onnxruntime.InferenceSession(path, configuration, providers=providers, enable_fallback=0)
        except Exception as error:  # onnxruntime raises its own classes, outside any common root
            reason = str(error).splitlines()[0]
            raise BundleError(f"onnxruntime {onnxruntime.__version__} cannot load {path}: {reason}") from error
        # ONNX Runtime warns and falls back to the CPU when CUDA cannot start; a caller who asked for it must know.
        if execution_provider not in session.get_providers()[:1]:
            raise OptionError(
                f"provider {provider!r} could not be started here; check the driver, install the CUDA and cuDNN "
                "that this onnxruntime wants (pip install 'onnxruntime-gpu[cuda,cudnn]'), or use provider 'cpu'"
            )
        self.provider = provider
        self._session: Any = session
        self._outputs = [output.name for output in session.get_outputs()]
        self._short, self._long = onnxruntime.RunOptions(), onnxruntime.RunOptions()
        for each in (self._short, self._long):
            each.log_severity_level = FATAL
        if execution_provider == CPU:
            # What the longest clip took would be held until the end.
            self._long.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, inputs: Arrays) -> Arrays:
        session = self._session
        if session is None:
            raise closed(self.provider)
        try:
            return self._compute(session, inputs)
        except Exception as error:  # see above
            shape = list(next(iter(inputs.values())).shape)
            reason = str(error).splitlines()[0]
            raise InferenceError(f"provider {self.provider!r} failed on an input of shape {shape}: {reason}") from error

    def _compute(self, session: Any, inputs: Arrays) -> Arrays:
        options = self._long if long_clips(inputs) else self._short
        return dict(zip(self._outputs, session.run(self._outputs, inputs, options)))

    def close(self) -> None:
        self._session = None


def import_onnxruntime(provider: str) -> Any:
    """The module; raise `MissingExtraError` without it."""
    # From version 1.29 on it reports to its makers over the network, and leaves an identifier in the user's cache,
    # unless told so before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(f"provider {provider!r}", "onnxruntime", EXTRAS[provider]) from error
    return onnxruntime


def check_cpu(graph: GraphFile) -> None:
    """Raise `OptionError` or `MissingExtraError` where ONNX Runtime's CPU provider cannot run a graph."""
    if graph.precision == "bf16":
        raise OptionError("provider 'cpu' cannot compute in bf16; take 'openvino' or 'cuda', or another precision")
    import_onnxruntime("cpu")
    if graph.precision == "int8":
        check_int8()


def check_int8() -> None:
    """Raise `OptionError` where this ONNX Runtime's products of bytes are not to be trusted, `MissingExtraError`."""
    version = import_onnxruntime("cpu").__version__
    if tuple(int(part) for part in version.split(".")[:2]) < INT8_SINCE:
        since = ".".join(map(str, INT8_SINCE))
        raise OptionError(
            f"int8 on provider 'cpu' needs onnxruntime {since} or newer, and this is {version}, which computes short "
            "clips wrong on some CPUs; upgrade onnxruntime, or take another precision"
        )


def open_cpu(graph: GraphFile) -> OnnxRuntimeSession:
    return OnnxRuntimeSession(graph.path, "cpu", CPU)
