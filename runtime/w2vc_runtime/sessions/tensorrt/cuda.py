"""What engines need of CUDA: a device, memory on it and beside it, and streams. Through the driver's interface, which
``cuda-bindings`` of NVIDIA's ``cuda-python`` has; neither PyTorch nor CuPy.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from w2vc_runtime.errors import InferenceError, MissingExtraError
from w2vc_runtime.system.gpu import Gpu, find_gpu

EXTRA = "trt-rtx"


class CudaError(InferenceError):
    """A call of the driver failed."""


def call(name: str, *arguments: Any) -> Any:
    """Call the driver by the name of its function; return what it gives beside its status, or raise `CudaError`."""
    driver = _driver()
    status, *values = getattr(driver, name)(*arguments)
    if status != driver.CUresult.CUDA_SUCCESS:
        raise CudaError(f"CUDA: {name} failed with {status.name}")
    return values[0] if values else None


def _driver() -> Any:
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise MissingExtraError("running engines", "cuda-bindings", EXTRA) from error
    return driver


@dataclass(frozen=True)
class Device:
    """A GPU. context: its primary context, the one that TensorRT uses too."""

    gpu: Gpu
    context: Any

    @classmethod
    @functools.cache
    def open(cls) -> Device:
        """The GPU that `find_gpu` finds; raises what that does, and `MissingExtraError` without ``cuda-bindings``."""
        _driver()
        gpu = find_gpu()
        call("cuInit", 0)
        return cls(gpu, call("cuDevicePrimaryCtxRetain", call("cuDeviceGet", 0)))

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make the device that of the calling thread for a while; then it has the one again that it had before."""
        call("cuCtxPushCurrent", self.context)
        try:
            yield
        finally:
            call("cuCtxPopCurrent")


def driver_version() -> int:
    """Of NVIDIA's driver: 1000 times the major version of CUDA that it knows, and 10 times the minor one."""
    return int(call("cuDriverGetVersion"))


class Memory:
    """Memory on the device. Grows to the most that was asked for. From one thread at a time."""

    def __init__(self) -> None:
        self.capacity = 0
        self._device: Any = None

    @property
    def address(self) -> int:
        """Where it is on the device."""
        return int(self._device)

    def reserve(self, size: int) -> bool:
        """Make room for so many bytes; return whether it moved."""
        if size <= self.capacity:
            return False
        self.free()
        self._device = call("cuMemAlloc", size)
        self.capacity = size
        return True

    def free(self) -> None:
        """Give the memory back."""
        self.capacity = 0
        if self._device is not None:
            device, self._device = self._device, None
            call("cuMemFree", device)


class Buffer(Memory):
    """Memory for one tensor, and as much beside the device that is page-locked, which makes copies asynchronous."""

    def __init__(self) -> None:
        super().__init__()
        self._host: Any = None

    def reserve(self, size: int) -> bool:
        """Make room for so many bytes; return whether the tensor moved."""
        if not super().reserve(size):
            return False
        self.capacity = 0  # until both are had
        self._host = int(call("cuMemHostAlloc", size, 0))
        self.capacity = size
        return True

    def view(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray:
        """The memory beside the device as a tensor; it lives until the buffer grows."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = memoryview((ctypes.c_byte * size).from_address(self._host)).cast("B")
        return np.frombuffer(memory, dtype=dtype).reshape(shape)

    def free(self) -> None:
        """Give the memory back; each by itself: where one is short, the other may have been had."""
        super().free()
        if self._host is not None:
            host, self._host = self._host, None
            call("cuMemFreeHost", host)


class Stream:
    """A queue of work for the device. From one thread at a time."""

    def __init__(self) -> None:
        kind = _driver().CUstream_flags.CU_STREAM_NON_BLOCKING
        self._stream = call("cuStreamCreate", kind)

    @property
    def handle(self) -> int:
        """What TensorRT takes it by."""
        return int(self._stream)

    def upload(self, buffer: Buffer, size: int) -> None:
        """Queue a copy of so many bytes to the device."""
        call("cuMemcpyHtoDAsync", buffer._device, buffer._host, size, self._stream)

    def download(self, buffer: Buffer, size: int) -> None:
        """Queue a copy of so many bytes from the device."""
        call("cuMemcpyDtoHAsync", buffer._host, buffer._device, size, self._stream)

    def wait(self) -> None:
        """Return when all queued work is done."""
        call("cuStreamSynchronize", self._stream)

    def begin_capture(self) -> None:
        """Record what is queued from here on instead of doing it."""
        mode = _driver().CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        call("cuStreamBeginCapture", self._stream, mode)

    def end_capture(self) -> Any:
        """What was recorded, as a CUDA graph that can be launched; None where the recording broke."""
        graph = call("cuStreamEndCapture", self._stream)
        if not int(graph):
            return None
        try:
            return call("cuGraphInstantiate", graph, 0)
        finally:
            call("cuGraphDestroy", graph)

    def launch(self, graph: Any) -> None:
        """Queue a CUDA graph."""
        call("cuGraphLaunch", graph, self._stream)

    def free(self) -> None:
        """Give the queue back."""
        call("cuStreamDestroy", self._stream)


def free_graph(graph: Any) -> None:
    """Give a CUDA graph back."""
    call("cuGraphExecDestroy", graph)
