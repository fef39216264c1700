"""Runs an engine of a bundle on a GPU."""

from __future__ import annotations

import functools
import mmap
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Lock
from typing import Any

import numpy as np

from w2vc_runtime.bundle import Bundle, Engine
from w2vc_runtime.engines.identity import find_engine, module_of
from w2vc_runtime.engines.worker import Log
from w2vc_runtime.errors import BundleError, InferenceError
from w2vc_runtime.sessions.base import Arrays, Session, closed

from . import cuda
from .batches import Batches
from .cache import cache_folder, keep, read_cached
from .cuda import Buffer, Device, Stream

# Execution contexts of one profile, each with its own scratch memory on the GPU: as many calls run at once.
CONTEXTS = 2
# CUDA graphs of one context. Each is of one shape.
GRAPHS = 8
# Shapes that a context remembers to have met: speech has no end of lengths.
SHAPES = 10_000
TYPES = {"FLOAT": "float32", "INT64": "int64", "BOOL": "bool"}


def open_engine(bundle: Bundle, precision: str, backend: str) -> EngineSession:
    """Load the engine of a graph; raises what `find_engine` does, and `BundleError` on a plan that does not load."""
    return EngineSession(bundle, find_engine(bundle, precision, backend))


class EngineSession(Session):
    """An engine on the first GPU. Safe to call from several threads at once, `CONTEXTS` of which it runs together.

    What fits no profile is handled as `Batches` says. Of shapes that repeat a CUDA graph is replayed: TensorRT-RTX
    makes its own, of TensorRT they are recorded here. What TensorRT-RTX compiles for the GPU at hand is kept in the
    user's cache. cuda_graphs: False to queue every call anew, for comparison.
    """

    def __init__(self, bundle: Bundle, engine: Engine, cuda_graphs: bool = True) -> None:
        path, manifest = bundle.path / engine.file, bundle.manifest
        self.provider = engine.backend
        self._batches = Batches(engine, manifest.interface)
        self._inputs = {tensor.name: tensor.dtype for tensor in manifest.inputs}
        self._outputs = [tensor.name for tensor in manifest.outputs]
        self._engine = engine
        self._device = Device.open()
        program = Program(path, engine, self._device, cuda_graphs)
        if program.tensors != self._inputs | {tensor.name: tensor.dtype for tensor in manifest.outputs}:
            raise BundleError(f"{path} has other tensors than its manifest says; compile it again")
        # The contexts have the program, and nothing else does: when they are gone, it is.
        self._pools = [Pool(functools.partial(Context, program, i), self.provider) for i in range(len(engine.profiles))]
        self._finalize = weakref.finalize(self, _close, self._device, self._pools)
        self._finalize.atexit = False  # the process ends with them

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name from the inputs by name; raise `InferenceError` where the GPU does not."""
        given = {name: value.dtype.name for name, value in inputs.items()}
        if given != self._inputs:
            takes, has = (", ".join(f"{name} of {kind}" for name, kind in e.items()) for e in (self._inputs, given))
            raise InferenceError(f"engine {self._engine.file} takes {takes}, and not {has}")
        self._device.use()
        plan = self._batches.plan(inputs)
        pool = self._pools[plan.profile]
        results = []
        context = pool.take()
        try:
            for part, rows in self._batches.parts(inputs, plan):
                outputs = context.run(part, self._outputs)
                results.append({name: value[:rows] if value.ndim else value for name, value in outputs.items()})
        except BaseException:
            pool.drop(context)  # it may be in any state
            raise
        pool.give(context)
        if len(results) == 1:
            return results[0]
        return {name: np.concatenate([result[name] for result in results]) for name in self._outputs}

    def close(self) -> None:
        self._finalize()


class Pool:
    """Execution contexts of one profile, made when they are needed."""

    def __init__(self, make: Callable[[], Context], provider: str) -> None:
        self._make: Callable[[], Context] | None = make  # None once the pool is closed
        self._provider = provider
        self._free: list[Context] = []
        self._count = 0
        self._change = Condition()

    def take(self) -> Context:
        """A context that is nobody else's; waits where all are taken. Raises `InferenceError` once it is closed."""
        with self._change:
            self._change.wait_for(lambda: self._make is None or self._free or self._count < CONTEXTS)
            make = self._make
            if make is None:
                raise closed(self._provider)
            if self._free:
                return self._free.pop()
            self._count += 1
        try:
            return make()
        except BaseException:
            self._forget()
            raise

    def give(self, context: Context) -> None:
        """Put a context back; where the pool was closed meanwhile, give it up."""
        with self._change:
            if self._make is not None:
                self._free.append(context)
                self._change.notify()
                return
        context.close()

    def drop(self, context: Context) -> None:
        """Give up a context that failed."""
        context.close()
        self._forget()

    def close(self) -> None:
        """Give up all contexts; those that are taken when they are put back."""
        with self._change:
            self._make = None
            free, self._free = self._free, []
            self._change.notify_all()
        for context in free:
            context.close()

    def _forget(self) -> None:
        with self._change:
            self._count -= 1
            self._change.notify()


class Program:
    """A plan in TensorRT's memory.

    tensors: type by name, as a manifest has it. records: whether CUDA graphs are to be recorded by contexts.
    """

    def __init__(self, path: Path, engine: Engine, device: Device, cuda_graphs: bool) -> None:
        self.module = module_of(engine.backend)
        self.device = device
        self.engine, self.path = engine, path
        self._lock = Lock()
        self._runtime, self.log = _runtime(engine.backend)
        device.use()
        self.log.lines.clear()
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise BundleError(f"{engine.backend} {engine.version} cannot load {path}: {self.log.reason()}")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        kinds = {name: self._engine.get_tensor_dtype(name).name for name in names}
        self.tensors = {name: TYPES.get(kind, kind) for name, kind in kinds.items()}
        # TensorRT-RTX compiles kernels where it runs, keeps them, and records CUDA graphs itself.
        own = hasattr(self.module, "CudaGraphStrategy")
        self.records = cuda_graphs and not own
        self._config = self._configure("WHOLE_GRAPH_CAPTURE" if cuda_graphs else "DISABLED") if own else None
        self._saved: set[int] = set()

    def create_context(self) -> Any:
        """A new execution context, with memory for the profile that it is given."""
        strategy = self.module.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        with self._lock:
            self.log.lines.clear()
            created = self._engine.create_execution_context(self._config or strategy)
        if created is None:
            raise InferenceError(f"{self.engine.backend} has no execution context for {self.path}: {self.log.reason()}")
        return created

    def save(self, profile: int) -> None:
        """Keep what was compiled here, the first time that a profile has run."""
        if self._config is not None and profile not in self._saved:
            self._saved.add(profile)
            _keep_kernels(self._cache, self._kernels)

    def _configure(self, strategy: str) -> Any:
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(
            self.module.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        )
        config.cuda_graph_strategy = getattr(self.module.CudaGraphStrategy, strategy)
        name = "-".join((self.engine.sha256[:16], self.engine.version, self.device.gpu.capability))
        self._kernels = cache_folder("tensorrt-rtx") / name
        self._cache = config.create_runtime_cache()
        if (kept := read_cached(self._kernels)) is not None:
            self._cache.deserialize(kept)  # which turns down what is of another driver or GPU
        config.set_runtime_cache(self._cache)
        weakref.finalize(self, _keep_kernels, self._cache, self._kernels)  # shapes that came later have theirs
        return config


class Context:
    """An execution context on one profile, with a stream and memory for every tensor of its own."""

    def __init__(self, program: Program, profile: int) -> None:
        self._program, self._profile = program, profile
        self._context = program.create_context()
        self._stream = Stream()
        self._buffers = {name: Buffer() for name in program.tensors}
        self._records = program.records
        self._seen: set[Any] = set()
        self._graphs: OrderedDict[Any, tuple[Any, dict[str, tuple[int, ...]]]] = OrderedDict()
        if not self._context.set_optimization_profile_async(profile, self._stream.handle):
            self.close()
            self._fail()
        self._stream.wait()

    def run(self, inputs: Arrays, outputs: list[str]) -> Arrays:
        """Compute; the inputs fit the profile."""
        moved = [self._buffers[name].reserve(value.nbytes) for name, value in inputs.items()]
        for name, value in inputs.items():
            self._buffers[name].view(value.shape, value.dtype)[...] = value
            self._stream.upload(self._buffers[name], value.nbytes)
        shapes = self._replay(inputs, any(moved)) or self._execute(inputs, outputs)
        sizes = {name: self._size(name, shape) for name, shape in shapes.items()}
        for name, size in sizes.items():
            self._stream.download(self._buffers[name], size)
        self._stream.wait()
        self._program.save(self._profile)
        return {name: self._buffers[name].view(shapes[name], self._program.tensors[name]).copy() for name in outputs}

    def close(self) -> None:
        """Give the memory back, of what still can be."""
        self._context = None  # first: it knows the stream and the tensors
        for free in (self._forget_graphs, *(buffer.free for buffer in self._buffers.values()), self._stream.free):
            try:
                free()
            except cuda.CudaError:
                return  # the GPU is gone for this process

    def _replay(self, inputs: Arrays, moved: bool) -> dict[str, tuple[int, ...]] | None:
        """Queue the CUDA graph of a shape that has one; return the shapes of the outputs."""
        if moved:
            self._forget_graphs()
        key = _key(inputs)
        if key not in self._graphs:
            return None
        self._graphs.move_to_end(key)
        graph, shapes = self._graphs[key]
        self._stream.launch(graph)
        return shapes

    def _execute(self, inputs: Arrays, outputs: list[str]) -> dict[str, tuple[int, ...]]:
        """Queue the engine, and record it where the shape comes again; return the shapes of the outputs."""
        for name, value in inputs.items():
            if not self._context.set_input_shape(name, value.shape):
                self._fail(inputs)
        if self._context.infer_shapes():
            self._fail(inputs)
        shapes = {name: tuple(self._context.get_tensor_shape(name)) for name in outputs}
        moved = [self._buffers[name].reserve(self._size(name, shape)) for name, shape in shapes.items()]
        if any(moved):
            self._forget_graphs()
        for name, buffer in self._buffers.items():
            if not self._context.set_tensor_address(name, buffer.address):
                self._fail(inputs)
        if not self._context.execute_async_v3(self._stream.handle):
            self._fail(inputs)
        if self._records:
            self._record(_key(inputs), shapes)
        return shapes

    def _record(self, key: Any, shapes: dict[str, tuple[int, ...]]) -> None:
        """Record a CUDA graph of a shape when it has come for the second time: many come only once."""
        if key not in self._seen:
            if len(self._seen) == SHAPES:
                self._seen.clear()
            self._seen.add(key)
            return
        self._stream.wait()
        self._stream.begin_capture()
        done = self._context.execute_async_v3(self._stream.handle)
        try:
            graph = self._stream.end_capture()
        except cuda.CudaError:
            graph = None
        self._records = done and graph is not None  # not all that TensorRT queues can be recorded
        if self._records:
            self._graphs[key] = graph, shapes
            if len(self._graphs) > GRAPHS:
                cuda.free_graph(self._graphs.popitem(last=False)[1][0])

    def _forget_graphs(self) -> None:
        """Their addresses are no longer those of the tensors."""
        while self._graphs:
            cuda.free_graph(self._graphs.popitem()[1][0])

    def _size(self, name: str, shape: tuple[int, ...]) -> int:
        return int(np.prod(shape)) * np.dtype(self._program.tensors[name]).itemsize

    def _fail(self, inputs: Arrays | None = None) -> None:
        what = "" if inputs is None else f" on an input of shape {list(next(iter(inputs.values())).shape)}"
        reason = self._program.log.reason()
        self._program.log.lines.clear()
        raise InferenceError(f"provider {self._program.engine.backend!r} failed{what}: {reason}")


def _close(device: Device, pools: list[Pool]) -> None:
    device.use()
    for pool in pools:
        pool.close()


def _key(inputs: Arrays) -> Any:
    return tuple(value.shape for value in inputs.values())


def _keep_kernels(cache: Any, path: Path) -> None:
    keep(path, bytes(cache.serialize()))


@functools.cache
def _runtime(backend: str) -> tuple[Any, Log]:
    """One runtime and one logger for all engines of a backend: TensorRT wants no second one."""
    module = module_of(backend)
    log = Log(module)
    return module.Runtime(log.logger), log
