"""Whether an engine is for this machine: which GPU and version it was compiled for, and which are here."""

from __future__ import annotations

import platform
from importlib import import_module
from pathlib import Path
from typing import Any

from w2vc_runtime.bundle import LEAST_CAPABILITY, Bundle, Engine
from w2vc_runtime.errors import MissingExtraError, OptionError
from w2vc_runtime.system.gpu import Gpu, find_gpu

from .backends import BACKENDS

# One processor has several names.
PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}


def this_platform() -> str:
    """Operating system and processor: a plan of one does not load on another; see `Backend.any_system`."""
    return f"{platform.system()}-{platform.machine()}".lower()


def find_engine(bundle: Bundle, precision: str, backend: str) -> Engine:
    """The engine of the graph in a precision that this machine runs; among several one for its very GPU.

    Reads no plan. Raises `OptionError` where there is none, with what compiles it, `MissingExtraError` without the
    backend, and what `find_gpu` does.
    """
    engines = [each for each in bundle.manifest.engines if (each.backend, each.precision) == (backend, precision)]
    if not engines:
        command = compile_command(bundle.path, backend, precision, _target(backend))
        raise OptionError(f"{bundle.path} has no {backend} engine in {precision}; compile one with: {command}")
    module, gpu = module_of(backend), find_gpu()
    if problem := unsupported(backend, gpu):
        raise OptionError(problem)
    named = BACKENDS[backend].names_targets and hasattr(module.ComputeCapability, gpu.capability.upper())
    command = compile_command(bundle.path, backend, precision, gpu.capability if named else None)
    problems = []
    for engine in sorted(engines, key=lambda each: not each.targets):
        problem = mismatch(engine, module.__version__, gpu)
        if problem is None:
            return engine
        problems.append(f"{bundle.path / engine.file} {problem}; compile it again with: {command}")
    raise OptionError(problems[0])


def _target(backend: str) -> str | None:
    """The GPU here as a target; None where there is none, or where the backend takes it without its name."""
    if not BACKENDS[backend].names_targets:
        return None
    try:
        gpu = find_gpu()
    except OptionError:
        return None
    if problem := unsupported(backend, gpu):
        raise OptionError(problem)
    return gpu.capability


def mismatch(engine: Engine, version: str, gpu: Gpu) -> str | None:
    """Why an engine does not run here, or None. version: of the backend that is here."""
    if _platform(engine.platform, engine.backend) != _platform(this_platform(), engine.backend):
        return f"was compiled for {engine.platform}, and this is {this_platform()}"
    if engine.version != version:
        return f"was compiled by {engine.backend} {engine.version}, and {version} is here"
    here = f"and {gpu.name} ({gpu.capability}) is here"
    portable = not engine.targets and gpu.number >= LEAST_CAPABILITY
    if not (portable or gpu.capability in engine.targets) or engine.gpu not in (None, gpu.model):
        return f"was compiled for {engine.gpus}, {here}"
    return None


def unsupported(backend: str, gpu: Gpu) -> str | None:
    """Why a backend runs no engine at all on a GPU, or None."""
    known = BACKENDS[backend].capabilities
    if known is None or gpu.number in known:
        return None
    names = ", ".join(f"sm{number}" for number in known)
    others = " or ".join(repr(name) for name in (*(set(BACKENDS) - {backend}), "cuda"))
    return f"{backend} runs on {names}, and {gpu.name} ({gpu.capability}) is here; take provider {others}"


def _platform(name: str, backend: str) -> str:
    """A platform as far as it matters to plans of a backend."""
    system, _, processor = name.partition("-")
    processor = PROCESSORS.get(processor, processor)
    return processor if BACKENDS[backend].any_system else f"{system}-{processor}"


def module_of(backend: str) -> Any:
    """The Python module of a backend; raise `MissingExtraError` without it."""
    entry = BACKENDS[backend]
    try:
        return import_module(entry.module)
    except ImportError as error:
        raise MissingExtraError(f"provider {backend!r}", backend, entry.extra) from error


def compile_command(bundle: Path, backend: str, precision: str, target: str | None = None) -> str:
    """What a user types to compile a graph."""
    named = f" --target {target}" if target else ""
    return f"w2vc compile {bundle} --backend {backend} --precision {precision}{named}"
