"""As standin_tensorrt, with what TensorRT for RTX has besides."""

from __future__ import annotations

import enum

import standin_tensorrt
from standin_tensorrt import (
    ComputeCapability,
    EngineInvalidityDiagnostics,
    ExecutionContextAllocationStrategy,
    ILogger,
)

__all__ = ["ComputeCapability", "EngineInvalidityDiagnostics", "ExecutionContextAllocationStrategy", "ILogger"]

__version__ = "1.0"
caches: list[IRuntimeCache] = []
strategies: list[tuple[CudaGraphStrategy, DynamicShapesKernelSpecializationStrategy]] = []


class CudaGraphStrategy(enum.Enum):
    DISABLED, WHOLE_GRAPH_CAPTURE = 0, 1


class DynamicShapesKernelSpecializationStrategy(enum.Enum):
    LAZY, EAGER, NONE = 0, 1, 2


class IRuntimeCache:
    def __init__(self):
        self.kept = b"none"
        caches.append(self)

    def deserialize(self, content):
        self.kept = content
        return True

    def serialize(self):
        return self.kept + b"+"


class IRuntimeConfig:
    cuda_graph_strategy = CudaGraphStrategy.DISABLED
    dynamic_shapes_kernel_specialization_strategy = DynamicShapesKernelSpecializationStrategy.LAZY

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy

    def create_runtime_cache(self):
        return IRuntimeCache()

    def set_runtime_cache(self, cache):
        self.cache = cache
        return True


class ICudaEngine(standin_tensorrt.ICudaEngine):
    def create_runtime_config(self):
        return IRuntimeConfig()

    def create_execution_context(self, config):
        strategies.append((config.cuda_graph_strategy, config.dynamic_shapes_kernel_specialization_strategy))
        assert config.cache in caches
        return super().create_execution_context(config.strategy)


class Runtime(standin_tensorrt.Runtime):
    _engine = ICudaEngine
