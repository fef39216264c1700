"""Runs an engine of a bundle on a GPU."""

from __future__ import annotations

import contextlib
import functools
import weakref

import numpy as np

from w2vc_runtime.bundle import Bundle, Engine
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.engines.identity import find_engine
from w2vc_runtime.engines.worker import LENGTHS, MASK
from w2vc_runtime.errors import BundleError, InferenceError
from w2vc_runtime.sessions.base import Session

from .batches import Batches, lengths_of
from .cuda import CudaError, Device
from .lanes import Lane, Lanes
from .program import Program


def open_engine(bundle: Bundle, precision: str, backend: str) -> EngineSession:
    """Load the engine of a graph; raises what `find_engine` does, and `BundleError` on a plan that does not load."""
    return EngineSession(bundle, find_engine(bundle, precision, backend))


class EngineSession(Session):
    """An engine on the first GPU. Safe to call from several threads at once, `LANES` of which it runs together.

    What fits no profile is handled as `Batches` says. Of shapes that repeat a CUDA graph is replayed: TensorRT-RTX
    makes its own, of TensorRT they are recorded here. What TensorRT-RTX compiles for the GPU at hand is kept in the
    user's cache. cuda_graphs: False to queue every call anew, for comparison.
    """

    def __init__(self, bundle: Bundle, engine: Engine, cuda_graphs: bool = True) -> None:
        path, interface = bundle.path / engine.file, bundle.interface
        self.provider = engine.backend
        self._batches = Batches(engine, interface)
        self._inputs = {tensor.name: tensor.dtype for tensor in interface.inputs}
        self._outputs = [tensor.name for tensor in interface.outputs]
        self._engine = engine
        self._device = Device.open()
        with self._device.current():
            program = Program(path, engine, self._device, cuda_graphs, repeats=self._batches.repeats)
        takes = self._inputs | {tensor.name: tensor.dtype for tensor in interface.outputs}
        self._takes_lengths = LENGTHS in program.tensors
        if self._takes_lengths:  # see `take_lengths`; those that ONNX Runtime runs, too, have the graph's inputs
            takes[LENGTHS] = takes.pop(MASK)
        if program.tensors != takes:
            raise BundleError(f"{path} has other tensors than its manifest says; compile it again")
        # The lanes have the program, and nothing else does: when they are gone, it is.
        self._lanes = Lanes(functools.partial(Lane, program), self.provider)
        # At the end of the process too: TensorRT's threads call Python, which is gone after that.
        self._finalize = weakref.finalize(self, _close, self._device, self._lanes)

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name from the inputs by name; raise `InferenceError` where the GPU does not."""
        given = {name: value.dtype.name for name, value in inputs.items()}
        if given != self._inputs:
            takes, has = (", ".join(f"{name} of {kind}" for name, kind in e.items()) for e in (self._inputs, given))
            raise InferenceError(f"engine {self._engine.file} takes {takes}, and not {has}")
        plan = self._batches.plan(inputs)
        results = []
        with self._device.current():
            lane = self._lanes.take()
            try:
                for part, rows in self._batches.parts(inputs, plan):
                    if self._takes_lengths:
                        part[LENGTHS] = lengths_of(part.pop(MASK))
                    outputs = lane.run(plan.profile, part, self._outputs)
                    results.append({name: value[:rows] if value.ndim else value for name, value in outputs.items()})
            except BaseException:
                self._lanes.drop(lane)  # it may be in any state
                raise
            self._lanes.give(lane)
        whole = results[0]
        if len(results) > 1:
            whole = {name: np.concatenate([result[name] for result in results]) for name in self._outputs}
        return self._batches.cut(whole, inputs)

    def warm_up(self) -> None:
        """Run every length that there is, alone, twice: then it is compiled for, and recorded."""
        for inputs in self._batches.every():
            for _ in range(2):
                self.run(inputs)

    def close(self) -> None:
        self._finalize()


def _close(device: Device, lanes: Lanes) -> None:
    with contextlib.suppress(CudaError), device.current():  # the driver may be gone before the process
        lanes.close()
