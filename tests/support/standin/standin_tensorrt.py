"""A stand-in for the part of TensorRT that runs plans, which needs a GPU. Its plans are JSON: an ONNX file, that ONNX
Runtime computes, and profiles. With it the session is tested, not TensorRT; a test holds that the real module has
every name that this one has. A plan with ``lengths`` takes these in place of a mask.
"""

from __future__ import annotations

import ctypes
import enum
import json
import threading

import numpy as np
import onnxruntime

__version__ = "1.0"
KINDS = {"tensor(float)": "FLOAT", "tensor(int64)": "INT64", "tensor(bool)": "BOOL"}
TYPES = {"FLOAT": np.float32, "INT64": np.int64, "BOOL": np.bool_}
driver = ctypes.CDLL("libcuda.so.1")
recorded: dict[int, object] = {}
launches: list[int] = []
executions: list[tuple[int, tuple[int, ...]]] = []
SCRATCH = 1000  # bytes, of the first profile


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _replay(graph):
    launches.append(graph)
    recorded[graph]()


driver.standin_replay(_replay)


class ComputeCapability(enum.Enum):
    SM86, SM89 = 86, 89


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = 0, 1, 2


class ILogger:
    pass


class Severity(enum.Enum):
    ERROR = 1


class DataType(enum.Enum):
    FLOAT, INT64, BOOL = 0, 1, 2


class EngineValidity(enum.Enum):
    VALID, SUBOPTIMAL, INVALID = 0, 1, 2


class EngineInvalidityDiagnostics(enum.Enum):
    VERSION_MISMATCH, UNSUPPORTED_CC = 1, 2


validity = [EngineValidity.VALID, 0]  # what plans are said to be


class Runtime:
    engine_header_size = 64

    def __init__(self, logger):
        self._logger = logger

    def get_engine_validity(self, header):
        assert len(header) == self.engine_header_size
        return tuple(validity)

    def deserialize_cuda_engine(self, plan):
        try:
            values = json.loads(bytes(plan))
        except ValueError:
            self._logger.log(Severity.ERROR, "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (bad magic)")
            return None
        return self._engine(values, self._logger)


class ICudaEngine:
    def __init__(self, values, logger):
        self._profiles = values["profiles"]
        self._logger = logger
        self._session = onnxruntime.InferenceSession(values["graph"])
        values_of = (*self._session.get_inputs(), *self._session.get_outputs())
        self._kinds = {value.name: KINDS[value.type] for value in values_of}
        if values["lengths"]:
            self._kinds["lengths"] = self._kinds.pop("attention_mask")
            for profile in self._profiles:
                profile["lengths"] = [bound[:1] for bound in profile.pop("attention_mask")]

    @property
    def num_io_tensors(self):
        return len(self._kinds)

    def get_tensor_name(self, index):
        return list(self._kinds)[index]

    def get_tensor_dtype(self, name):
        return DataType[self._kinds[name]]

    def _run(self, given):
        """The outputs by name."""
        given, names = dict(given), [each.name for each in self._session.get_outputs()]
        if "lengths" in given:
            time = np.arange(next(iter(given.values())).shape[1])
            given["attention_mask"] = (time < given.pop("lengths")[:, None]).astype(np.int64)
        return dict(zip(names, self._session.run(names, given)))

    @property
    def _inputs(self):
        return [name for name in self._kinds if name not in {each.name for each in self._session.get_outputs()}]

    def get_device_memory_size_for_profile_v2(self, profile):
        return SCRATCH * (profile + 1)

    def create_execution_context(self, strategy):
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        return IExecutionContext(self)


Runtime._engine = ICudaEngine


class IExecutionContext:
    def __init__(self, engine):
        self._engine = engine
        self._shapes, self._addresses, self._profile, self._scratch = {}, {}, None, None
        self._busy = threading.Lock()

    def set_device_memory(self, memory, size):
        assert size >= SCRATCH * (self._index + 1)
        self._scratch = memory

    def set_optimization_profile_async(self, index, stream):
        assert self._profile is None, "an execution context keeps its profile"
        self._profile = self._engine._profiles[index]
        self._index = index
        return isinstance(stream, int)

    def set_input_shape(self, name, shape):
        least, _, most = self._profile[name]
        if not all(a <= b <= c for a, b, c in zip(least, shape, most)):
            self._engine._logger.log(
                Severity.ERROR, f"IExecutionContext::setInputShape: Error Code 3: {shape} is not in it"
            )
            return False
        self._shapes[name] = tuple(shape)
        return True

    def infer_shapes(self):
        kinds = self._engine._kinds
        blank = {name: np.zeros(self._shapes[name], TYPES[kinds[name]]) for name in self._engine._inputs}
        for name, value in self._engine._run(blank).items():
            self._shapes[name] = value.shape
        return []

    def get_tensor_shape(self, name):
        return list(self._shapes[name])

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        shapes, addresses, scratch = dict(self._shapes), dict(self._addresses), self._scratch
        ctypes.memset(scratch, 1, SCRATCH)  # it is there

        def compute():
            # What TensorRT has inside follows the latest shapes: a graph that was recorded before is of other ones.
            assert shapes == self._shapes, "a CUDA graph is replayed after the shapes of its context have changed"
            assert self._busy.acquire(blocking=False), "two threads in one context"
            views = {name: self._view(name, shapes[name], addresses[name]) for name in shapes}
            for name, value in self._engine._run({name: views[name] for name in self._engine._inputs}).items():
                views[name][...] = value
            self._busy.release()

        if capture := driver.standin_capturing():
            recorded[capture] = compute
        else:
            executions.append((self._index, next(iter(self._shapes.values()))))
            compute()
        return True

    def _view(self, name, shape, address):
        kind = np.dtype(TYPES[self._engine._kinds[name]])
        memory = (ctypes.c_byte * (int(np.prod(shape)) * kind.itemsize)).from_address(address)
        return np.frombuffer(memory, dtype=kind).reshape(shape)
