"""Lanes: each has memory, a stream and execution contexts that take turns on them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import Any

import numpy as np

from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.sessions.base import closed

from . import cuda
from .cuda import Buffer, Memory, Stream
from .program import Execution, Program

# As many calls run at once.
LANES = 2
# CUDA graphs of one lane. Each is of one shape.
GRAPHS = 8
# Shapes that a lane remembers to have met.
SHAPES = 10_000

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Recorded:
    """A CUDA graph of one shape. execution: what it was recorded of, which meets no other shape as long as it lives."""

    graph: Any
    execution: Execution
    shapes: Shapes


class Lane:
    """Runs one call at a time, on any profile.

    Memory for every tensor and scratch memory are the lane's, and grow to the largest that came. Of a shape that comes
    again a CUDA graph is recorded, on an execution context of its own: TensorRT changes what a context has inside when
    its shapes change, and what was recorded before would be of something else (NVIDIA/TensorRT#3798).
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._stream = Stream()
        self._buffers = {name: Buffer() for name in program.tensors}
        self._scratch = Memory()
        self._records = program.records
        self._executions: dict[int, Execution] = {}
        self._recorded: OrderedDict[Any, Recorded] = OrderedDict()
        self._seen: set[Any] = set()

    def run(self, profile: int, inputs: Arrays, outputs: list[str]) -> Arrays:
        """Compute; the inputs fit the profile."""
        moved = [self._buffers[name].reserve(value.nbytes) for name, value in inputs.items()]
        if any(moved):
            self._forget()
        for name, value in inputs.items():
            self._buffers[name].view(value.shape, value.dtype)[...] = value
            self._stream.upload(self._buffers[name], value.nbytes)
        shapes = self._compute(profile, inputs, outputs)
        for name, shape in shapes.items():
            self._stream.download(self._buffers[name], self._size(name, shape))
        self._stream.wait()
        self._program.save(profile)
        return {name: self._buffers[name].view(shapes[name], self._program.tensors[name]).copy() for name in outputs}

    def close(self) -> None:
        """Give the memory back, of what still can be."""
        self._executions.clear()  # first: they know the stream and the memory
        buffers = (*self._buffers.values(), self._scratch)
        for free in (self._forget, *(buffer.free for buffer in buffers), self._stream.free):
            try:
                free()
            except cuda.CudaError:
                return  # the GPU is gone for this process

    def _compute(self, profile: int, inputs: Arrays, outputs: list[str]) -> Shapes:
        """Queue the work, by the CUDA graph of the shape where there is one; return the shapes of the outputs."""
        key = profile, tuple(value.shape for value in inputs.values())
        if key in self._recorded:
            self._recorded.move_to_end(key)
            self._stream.launch(self._recorded[key].graph)
            return self._recorded[key].shapes
        if self._records and key in self._seen:
            return self._record(key, inputs, outputs)
        if len(self._seen) == SHAPES:
            self._seen.clear()
        self._seen.add(key)
        if profile not in self._executions:
            self._executions[profile] = Execution(self._program, profile, self._stream)
        return self._queue(self._executions[profile], profile, inputs, outputs)

    def _queue(self, execution: Execution, profile: int, inputs: Arrays, outputs: list[str]) -> Shapes:
        shapes = execution.shape(inputs, outputs)
        grown = [self._buffers[name].reserve(self._size(name, shape)) for name, shape in shapes.items()]
        grown.append(self._scratch.reserve(self._program.scratch_bytes(profile)))
        if any(grown):
            self._forget()
        execution.place({name: buffer.address for name, buffer in self._buffers.items()}, self._scratch)
        if not execution.queue(self._stream):
            raise self._program.failure(inputs)
        return shapes

    def _record(self, key: Any, inputs: Arrays, outputs: list[str]) -> Shapes:
        """Queue the work, and record it for the next time."""
        profile, _ = key
        execution = Execution(self._program, profile, self._stream)
        shapes = self._queue(execution, profile, inputs, outputs)
        self._stream.wait()
        self._stream.begin_capture()
        done = execution.queue(self._stream)
        try:
            graph = self._stream.end_capture()
        except cuda.CudaError:
            graph = None
        self._records = done and graph is not None  # not all that TensorRT queues can be recorded
        if self._records:
            self._recorded[key] = Recorded(graph, execution, shapes)
            if len(self._recorded) > GRAPHS:
                cuda.free_graph(self._recorded.popitem(last=False)[1].graph)
        return shapes

    def _forget(self) -> None:
        """Give up what was recorded: its addresses are no longer those of the memory."""
        while self._recorded:
            cuda.free_graph(self._recorded.popitem()[1].graph)

    def _size(self, name: str, shape: tuple[int, ...]) -> int:
        return int(np.prod(shape)) * np.dtype(self._program.tensors[name]).itemsize


class Lanes:
    """The lanes of a session, made when they are needed."""

    def __init__(self, make: Callable[[], Lane], provider: str) -> None:
        self._make: Callable[[], Lane] | None = make  # None once they are closed
        self._provider = provider
        self._free: list[Lane] = []
        self._count = 0
        self._change = Condition()

    def take(self) -> Lane:
        """A lane that is nobody else's; waits where all are taken. Raises `InferenceError` once they are closed."""
        with self._change:
            self._change.wait_for(lambda: self._make is None or self._free or self._count < LANES)
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

    def give(self, lane: Lane) -> None:
        """Put a lane back; where they were closed meanwhile, give it up."""
        with self._change:
            if self._make is not None:
                self._free.append(lane)
                self._change.notify()
                return
        lane.close()

    def drop(self, lane: Lane) -> None:
        """Give up a lane that failed."""
        lane.close()
        self._forget()

    def close(self) -> None:
        """Give up all lanes; those that are taken when they are put back."""
        with self._change:
            self._make = None
            free, self._free = self._free, []
            self._change.notify_all()
        for lane in free:
            lane.close()

    def _forget(self) -> None:
        with self._change:
            self._count -= 1
            self._change.notify()
