"""A plan in TensorRT's memory, and what executes it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import mmap
import weakref
from pathlib import Path
from threading import Lock
from typing import Any

from w2vc_runtime.bundle import Engine
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.engines.identity import module_of
from w2vc_runtime.engines.worker import Log
from w2vc_runtime.errors import BundleError, InferenceError, OptionError
from w2vc_runtime.system.cache import cache_folder, keep, read_cached

from .cuda import Device, Memory, Stream, driver_version

TYPES = {"FLOAT": "float32", "INT64": "int64", "BOOL": "bool"}
# What TensorRT says of a plan that does not run here, and what that means; see EngineInvalidityDiagnostics.
INVALID = {
    "VERSION_MISMATCH": "it is of another version",
    "UNSUPPORTED_CC": "it is for other GPUs",
    "OLD_CUDA_DRIVER": "the NVIDIA driver is too old for it",
    "OLD_CUDA_RUNTIME": "the CUDA runtime is too old for it",
    "INSUFFICIENT_GPU_MEMORY": "the GPU has too little memory for it",
    "MALFORMED_ENGINE": "it is damaged",
    "CUDA_ERROR": "CUDA failed",
}


class Program:
    """A plan in TensorRT's memory.

    tensors: type by name, as a manifest has it. records: whether CUDA graphs are to be recorded by lanes. repeats:
    whether lengths come again, as those of `Batches` do under ``padding-invariant``: then TensorRT-RTX compiles kernels
    for each, beside the work; otherwise it would never end.
    """

    def __init__(self, path: Path, engine: Engine, device: Device, cuda_graphs: bool, repeats: bool) -> None:
        self.module = module_of(engine.backend)
        self.device = device
        self.engine, self.path = engine, path
        self._lock = Lock()
        self._runtime, self.log = _runtime(engine.backend)
        self.log.lines.clear()
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            self._check(content)
            self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise BundleError(f"{engine.backend} {engine.version} cannot load {path}: {self.log.reason()}")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        kinds = {name: self._engine.get_tensor_dtype(name).name for name in names}
        self.tensors = {name: TYPES.get(kind, kind) for name, kind in kinds.items()}
        # TensorRT-RTX compiles kernels where it runs, keeps them, and records CUDA graphs itself.
        own = hasattr(self.module, "CudaGraphStrategy")
        self.records = cuda_graphs and not own
        self._config = self._configure(cuda_graphs, repeats) if own else None
        self._saved: set[int] = set()

    def create_context(self) -> Any:
        """A new execution context of TensorRT, which is given its scratch memory."""
        with self._lock:
            self.log.lines.clear()
            created = self._engine.create_execution_context(self._config or self._user_managed)
        if created is None:
            raise self.failure()
        return created

    def scratch_bytes(self, profile: int) -> int:
        """Memory that an execution on a profile needs beside the weights and the tensors."""
        return int(self._engine.get_device_memory_size_for_profile_v2(profile))

    def save(self, profile: int) -> None:
        """Keep what was compiled here, the first time that a profile has run."""
        if self._config is not None and profile not in self._saved:
            self._saved.add(profile)
            _keep_kernels(self._cache, self._kernels)

    def failure(self, inputs: Arrays | None = None, reason: str = "") -> InferenceError:
        """What TensorRT said last, as an error."""
        what = "" if inputs is None else f" on an input of shape {list(next(iter(inputs.values())).shape)}"
        reason = reason or self.log.reason()
        self.log.lines.clear()
        return InferenceError(f"provider {self.engine.backend!r} failed{what}: {reason}")

    @property
    def _user_managed(self) -> Any:
        return self.module.ExecutionContextAllocationStrategy.USER_MANAGED

    def _check(self, plan: mmap.mmap) -> None:
        """Ask TensorRT about the plan's header, where it has the question."""
        if not hasattr(self._runtime, "get_engine_validity"):
            return
        validity, diagnostics = self._runtime.get_engine_validity(plan[: self._runtime.engine_header_size])
        if validity.name == "INVALID":
            kinds = self.module.EngineInvalidityDiagnostics.__members__
            found = [INVALID.get(name, name) for name, kind in kinds.items() if int(diagnostics) & kind.value]
            why = ", ".join(found) or "it does not say why"
            raise BundleError(f"{self.engine.backend} does not run {self.path} here: {why}; compile the bundle again")

    def _configure(self, cuda_graphs: bool, repeats: bool) -> Any:
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(self._user_managed)
        graphs = self.module.CudaGraphStrategy
        config.cuda_graph_strategy = graphs.WHOLE_GRAPH_CAPTURE if cuda_graphs else graphs.DISABLED
        kernels = self.module.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = kernels.LAZY if repeats else kernels.NONE
        # What is compiled here is of the GPU model and the driver; a home may be shared by several of both.
        machine = hashlib.sha256(f"{self.device.gpu.model} {driver_version()}".encode()).hexdigest()[:12]
        name = "-".join((self.engine.sha256[:16], self.engine.version, self.device.gpu.capability, machine))
        self._kernels = cache_folder("tensorrt-rtx") / name
        self._cache = config.create_runtime_cache()
        if (kept := read_cached(self._kernels)) is not None:
            self._cache.deserialize(kept)  # which turns down what it cannot use
        config.set_runtime_cache(self._cache)
        weakref.finalize(self, _keep_kernels, self._cache, self._kernels)  # shapes that came later have theirs
        return config


class Execution:
    """An execution context on one profile, which it never changes. Its scratch memory is its lane's."""

    def __init__(self, program: Program, profile: int, stream: Stream) -> None:
        self._program, self._profile = program, profile
        self._context: Any = program.create_context()
        self._scratch = 0
        if not self._context.set_optimization_profile_async(profile, stream.handle):
            raise program.failure()
        stream.wait()

    def shape(self, inputs: Arrays, outputs: list[str]) -> dict[str, tuple[int, ...]]:
        """Take the shapes of the inputs; return those of the outputs."""
        for name, value in inputs.items():
            if not self._context.set_input_shape(name, value.shape):
                raise self._program.failure(inputs)
        try:
            missing = self._context.infer_shapes()
        except Exception as error:  # pybind11 has its own kinds
            raise self._program.failure(inputs, str(error)) from error
        if missing:
            raise self._program.failure(inputs)
        return {name: tuple(self._context.get_tensor_shape(name)) for name in outputs}

    def place(self, addresses: dict[str, int], scratch: Memory) -> None:
        """Say where the tensors and the scratch memory are."""
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise self._program.failure()
        if scratch.capacity and self._scratch != scratch.address:
            self._context.set_device_memory(scratch.address, scratch.capacity)
            self._scratch = scratch.address

    def queue(self, stream: Stream) -> bool:
        """Queue the work; return whether TensorRT did."""
        return bool(self._context.execute_async_v3(stream.handle))


def _keep_kernels(cache: Any, path: Path) -> None:
    # Whatever goes wrong, an answer that was computed is not lost for it.
    with contextlib.suppress(Exception):
        content = cache.serialize()
        if content is not None:
            keep(path, bytes(content))


@functools.cache
def _runtime(backend: str) -> tuple[Any, Log]:
    """One runtime and one logger for all engines of a backend: TensorRT wants no second one."""
    module = module_of(backend)
    log = Log(module)
    try:
        runtime = module.Runtime(log.logger)
    except TypeError as error:  # from pybind11, where the constructor gave nothing
        raise OptionError(f"{backend} {module.__version__} cannot start here: {log.reason()}") from error
    if runtime is None:
        raise OptionError(f"{backend} {module.__version__} cannot start here: {log.reason()}")
    return runtime, log
