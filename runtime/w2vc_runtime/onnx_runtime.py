"""ONNX Runtime, on the CPU and on NVIDIA GPUs. docs/providers.md has the reason of every setting."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from .cache import shared_folder
from .errors import BundleError, InferenceError, MissingExtraError, OptionError
from .gpu import find_gpu

if TYPE_CHECKING:
    from .manifest import Manifest
    from .session import Bundled, GraphFile, Tensors

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
TENSORRT_RTX = "NvTensorRTRTXExecutionProvider"
RTX_PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"
EXTRAS = {"cpu": "cpu", "tensorrt-rtx": "cpu"}  # of w2vc, that bring an ONNX Runtime with the provider; else gpu
WORKSPACE_BYTES = 4 << 30
# With several threads, 1.22 to 1.24 were seen to compute clips of 2 to 4 frames wrong on a CPU with AMX, and those
# before 1.23 to round convolutions by the length of the batch, of which bytes make much; see docs/providers.md.
INT8_SINCE = (1, 25)
CUDA_OPTIONS = {
    "arena_extend_strategy": "kSameAsRequested",
    "cudnn_conv_algo_search": "HEURISTIC",
    "cudnn_conv1d_pad_to_nc1d": "1",
    "use_tf32": "0",
}
TENSORRT_OPTIONS = {
    "trt_engine_cache_enable": "1",
    "trt_timing_cache_enable": "1",
    "trt_max_workspace_size": str(WORKSPACE_BYTES),
}
TENSORRT_RTX_OPTIONS = {"nv_max_workspace_size": str(WORKSPACE_BYTES)}
_registering = Lock()

# Name of an execution provider, and its options.
Choice = tuple[str, dict[str, str]]


class OnnxRuntimeSession:
    """A graph in ONNX Runtime, on one execution provider.

    provider: what w2vc calls it. options: of the execution provider. settings: entries of the session's configuration.
    behind: execution providers for what the first one does not take. devices: of a plug-in; empty for a provider that
    is built in.
    """

    def __init__(
        self,
        path: Path,
        provider: str,
        execution_provider: str,
        settings: Mapping[str, str] | None = None,
        *,
        options: Mapping[str, str] | None = None,
        behind: tuple[Choice, ...] = (),
        devices: tuple[Any, ...] = (),
    ) -> None:
        onnxruntime = import_onnxruntime(provider)
        configuration = onnxruntime.SessionOptions()
        configuration.log_severity_level = 3
        for name, value in (settings or {}).items():
            configuration.add_session_config_entry(name, value)
        arguments: dict[str, Any] = {}
        if devices:
            configuration.add_provider_for_devices(list(devices), dict(options or {}))
        else:
            arguments["providers"] = [(execution_provider, dict(options or {})), *behind]
        try:
            # Without the fallback, ONNX Runtime prints what failed and takes other providers.
            self._session = onnxruntime.InferenceSession(path, configuration, enable_fallback=0, **arguments)
        except Exception as error:  # onnxruntime raises its own classes, outside any common root
            reason = str(error).splitlines()[0]
            raise BundleError(f"onnxruntime {onnxruntime.__version__} cannot load {path}: {reason}") from error
        # ONNX Runtime warns and falls back to the CPU when CUDA cannot start; a caller who asked for it must know.
        if execution_provider not in self._session.get_providers()[:1]:
            raise OptionError(
                f"provider {provider!r} could not be started here; check the driver, install the CUDA and cuDNN "
                "that this onnxruntime wants (pip install 'onnxruntime-gpu[cuda,cudnn]'), or use provider 'cpu'"
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


class BoundedSession:
    """A session that was compiled for some shapes: least, typical and largest of each input."""

    def __init__(self, session: OnnxRuntimeSession, shapes: Mapping[str, list[list[int]]]) -> None:
        self.provider = session.provider
        self._session = session
        self._shapes = shapes

    def run(self, inputs: Tensors) -> Tensors:
        for name, (least, _, most) in self._shapes.items():
            shape = list(inputs[name].shape)
            if not all(low <= size <= high for low, size, high in zip(least, shape, most)):
                raise InferenceError(
                    f"provider {self.provider!r} takes {name} of shapes {least} to {most}, and this batch has {shape}; "
                    "take shorter clips or smaller batches"
                )
        return self._session.run(inputs)


def import_onnxruntime(provider: str) -> Any:
    """The module; raise `MissingExtraError` without it."""
    # From version 1.29 on it reports to its makers over the network, and leaves an identifier in the user's cache,
    # unless told so before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(f"provider {provider!r}", "onnxruntime", EXTRAS.get(provider, "gpu")) from error
    return onnxruntime


def check_cpu(graph: GraphFile) -> None:
    """Raise `OptionError` or `MissingExtraError` where ONNX Runtime's CPU provider cannot run a graph."""
    if graph.precision == "bf16":
        raise OptionError("provider 'cpu' cannot compute in bf16; take 'openvino' or 'cuda', or another precision")
    if graph.precision == "int8":
        check_int8()
    import_onnxruntime("cpu")


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
    return OnnxRuntimeSession(graph.path, "cpu", "CPUExecutionProvider")


def check_cuda(graph: GraphFile) -> None:
    """Raise `OptionError` or `MissingExtraError` where ONNX Runtime has no CUDA here."""
    _check_built_in("cuda", CUDA)


def open_cuda(graph: GraphFile) -> OnnxRuntimeSession:
    _load_cuda_libraries("cuda")
    return OnnxRuntimeSession(graph.path, "cuda", CUDA, options=CUDA_OPTIONS)


def check_tensorrt(graph: GraphFile) -> None:
    """Raise `OptionError` or `MissingExtraError` where ONNX Runtime's TensorRT provider cannot run a graph here."""
    _compilable("tensorrt", graph)
    if graph.precision != "fp32":
        raise OptionError(
            f"provider 'tensorrt' runs {graph.precision} from an engine alone, because ONNX Runtime lets TensorRT take "
            "other types than the graph's; make one with w2vc compile --backend tensorrt, or take provider 'cuda'"
        )
    _check_built_in("tensorrt", TENSORRT)
    _tensorrt_version()


def open_tensorrt(graph: GraphFile) -> BoundedSession:
    bundled = _compilable("tensorrt", graph)
    _load_cuda_libraries("tensorrt")
    shapes, profile = _profile("trt", bundled.manifest)
    options = {**TENSORRT_OPTIONS, **profile}
    with shared_folder(
        "onnxruntime-tensorrt", [*_identity("tensorrt", bundled), _tensorrt_version(), options]
    ) as folder:
        paths = {"trt_engine_cache_path": str(folder), "trt_timing_cache_path": str(folder)}
        session = OnnxRuntimeSession(
            graph.path, "tensorrt", TENSORRT, options={**options, **paths}, behind=((CUDA, CUDA_OPTIONS),)
        )
    return BoundedSession(session, shapes)


def check_tensorrt_rtx(graph: GraphFile) -> None:
    """Raise `OptionError` or `MissingExtraError` where ONNX Runtime's TensorRT-RTX provider cannot run a graph here."""
    _compilable("tensorrt-rtx", graph)
    onnxruntime = import_onnxruntime("tensorrt-rtx")
    if TENSORRT_RTX not in onnxruntime.get_available_providers() and find_spec(RTX_PLUGIN) is None:
        raise OptionError(
            "provider 'tensorrt-rtx' is not in this onnxruntime; pip install onnxruntime-ep-nv-tensorrt-rtx brings it, "
            "or compile the bundle for this GPU with w2vc compile"
        )
    check_gpu("tensorrt-rtx")


def open_tensorrt_rtx(graph: GraphFile) -> BoundedSession:
    bundled = _compilable("tensorrt-rtx", graph)
    shapes, profile = _profile("nv", bundled.manifest)
    options = {**TENSORRT_RTX_OPTIONS, **profile}
    devices = _rtx_devices()
    with shared_folder("onnxruntime-tensorrt-rtx", [*_identity("tensorrt-rtx", bundled), options]) as folder:
        session = OnnxRuntimeSession(
            graph.path,
            "tensorrt-rtx",
            TENSORRT_RTX,
            options={**options, "nv_runtime_cache_path": str(folder)},
            devices=devices,
        )
    return BoundedSession(session, shapes)


def _check_built_in(provider: str, execution_provider: str) -> None:
    if execution_provider not in import_onnxruntime(provider).get_available_providers():
        raise OptionError(f"provider {provider!r} is not in this onnxruntime; pip install 'w2vc[gpu]' has it")
    check_gpu(provider)


def check_gpu(provider: str) -> None:
    """Raise `OptionError` where there is no NVIDIA GPU."""
    try:
        find_gpu()
    except OptionError as error:
        raise OptionError(f"provider {provider!r} cannot start: {error}") from error


def _compilable(provider: str, graph: GraphFile) -> Bundled:
    """Where a graph is from; raise `OptionError` where TensorRT cannot know its shapes, or has no kernels for it."""
    from .engines import check_graph

    if graph.bundled is None:
        raise OptionError(f"provider {provider!r} compiles for the shapes that a manifest gives; load the bundle")
    check_graph(graph.precision, graph.written_for)
    return graph.bundled


def _load_cuda_libraries(provider: str) -> None:
    """Those of NVIDIA's wheels, where they are installed: the loader of libraries does not look there by itself."""
    preload = getattr(import_onnxruntime(provider), "preload_dlls", None)  # from 1.21 on
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints which it does not find
            preload()


def _tensorrt_version() -> int:
    """Of the TensorRT that this ONNX Runtime wants, such as 101600; raise `OptionError` where it is not to be found."""
    linked = Path(import_onnxruntime("tensorrt").__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
    found = re.search(rb"libnvinfer\.so\.\d+", linked.read_bytes())
    library = found[0].decode() if found else "libnvinfer.so"
    with contextlib.suppress(ImportError):
        importlib.import_module("tensorrt")  # which loads the library that its wheel brings
    try:
        return ctypes.CDLL(library).getInferLibVersion()
    except OSError as error:
        raise OptionError(
            f"provider 'tensorrt' needs the {library} that this onnxruntime is made for, and it cannot be loaded; "
            "install that version of TensorRT, or compile the bundle with w2vc compile --backend tensorrt"
        ) from error


def _rtx_devices() -> tuple[Any, ...]:
    """GPUs of the plug-in, which is registered once a process; none where the provider is built in."""
    onnxruntime = import_onnxruntime("tensorrt-rtx")
    if TENSORRT_RTX in onnxruntime.get_available_providers():
        return ()
    with _registering:
        if not _devices(onnxruntime):
            try:
                plugin = importlib.import_module(RTX_PLUGIN)
                onnxruntime.register_execution_provider_library(TENSORRT_RTX, plugin.get_library_path())
            except Exception as error:  # onnxruntime raises its own classes, outside any common root
                reason = str(error).splitlines()[0]
                raise OptionError(f"provider 'tensorrt-rtx' could not be started here: {reason}") from error
    devices = _devices(onnxruntime)
    if not devices:
        raise OptionError("provider 'tensorrt-rtx' takes none of the GPUs here; use provider 'cuda'")
    return devices


def _devices(onnxruntime: Any) -> tuple[Any, ...]:
    return tuple(device for device in onnxruntime.get_ep_devices() if device.ep_name == TENSORRT_RTX)


def _profile(prefix: str, manifest: Manifest) -> tuple[dict[str, list[list[int]]], dict[str, str]]:
    """Least, typical and largest shape of each input, and the same as options of an execution provider."""
    from .engines.profiles import wide_profile

    shapes = wide_profile(manifest.shortest, manifest.features).shapes(manifest)
    options = {
        f"{prefix}_profile_{bound}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, bounds[index]))}" for name, bounds in shapes.items()
        )
        for index, bound in enumerate(("min", "opt", "max"))
    }
    return shapes, options


def _identity(provider: str, bundled: Bundled) -> list[Any]:
    """What a compiled graph depends on besides the options: itself, ONNX Runtime and the GPU."""
    files = {name: bundled.manifest.files[name].sha256 for name in bundled.graph.files}
    return [files, import_onnxruntime(provider).__version__, find_gpu().name]
