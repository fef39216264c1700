"""Which session runs a graph: the providers, and which of them ``auto`` takes."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from w2vc_runtime.bundle import Bundle, Graph
from w2vc_runtime.errors import OptionError, W2vcError

from . import engine, onnx_runtime, onnx_runtime_cuda, openvino
from .base import GraphFile, Session

X86 = ("x86_64", "AMD64")
logger = logging.getLogger("w2vc")


@dataclass(frozen=True)
class Provider:
    """What can run graphs.

    check: raises `OptionError` or `MissingExtraError` where it cannot run a graph here, as far as that can be told
    without loading it. open: loads it, and raises the same and `BundleError`.
    """

    check: Callable[[GraphFile], None]
    open: Callable[[GraphFile], Session]


PROVIDERS = {
    "cpu": Provider(onnx_runtime.check_cpu, onnx_runtime.open_cpu),
    "cuda": Provider(onnx_runtime_cuda.check, onnx_runtime_cuda.open_graph),
    "tensorrt": Provider(partial(engine.check, "tensorrt"), partial(engine.open_graph, "tensorrt")),
    "tensorrt-rtx": Provider(partial(engine.check, "tensorrt-rtx"), partial(engine.open_graph, "tensorrt-rtx")),
    "openvino": Provider(openvino.check, openvino.open_graph),
}
# Those whose processor is the machine's own.
CPU_PROVIDERS = ("cpu", "openvino")
AUTO = "auto"
NAMES = (AUTO, *PROVIDERS)
# From the best to the last resort, after what the graph is written for.
PREFERENCE = ("tensorrt-rtx", "tensorrt", "cuda", "openvino", "cpu")


def open_session(path: Path, provider: str, precision: str = "fp32", written_for: str | None = None) -> Session:
    """Load a graph by itself on a provider; raise `OptionError` for one that is unknown or not available here.

    precision: of the graph, and written_for: the provider that it is written for, as its manifest has them. ``auto``
    takes the latter where it works. See `open_bundle`.
    """
    return _open(GraphFile(path, precision, written_for), provider)


def open_bundle(bundle: Bundle, graph: Graph, provider: str, cuda_graphs: bool = False) -> Session:
    """Load a graph of a bundle, or the engine that was compiled from it, on a provider.

    provider: ``auto``, or a name of `PROVIDERS`, which then either runs it or raises `OptionError`, `MissingExtraError`
    or `BundleError`. ``auto`` takes the first of `survey` that loads. cuda_graphs: see `load`.
    """
    return _open(GraphFile.of(bundle, graph, cuda_graphs), provider)


def survey(bundle: Bundle, graph: Graph) -> dict[str, W2vcError | None]:
    """Providers from the best for a graph to the last resort, and what speaks against each here, without loading it.

    None: nothing does, and the first of these is what ``auto`` takes, if it loads.
    """
    return dict(_survey(GraphFile.of(bundle, graph)))


def _open(graph: GraphFile, provider: str) -> Session:
    if provider == AUTO:
        return _open_best(graph)
    if provider not in PROVIDERS:
        raise OptionError(f"unknown provider {provider!r}; known: {', '.join(NAMES)}")
    PROVIDERS[provider].check(graph)
    return PROVIDERS[provider].open(graph)


def _open_best(graph: GraphFile) -> Session:
    passed: dict[str, W2vcError] = {}
    failed = []
    for name, problem in _survey(graph):
        if problem is None:
            try:
                session = PROVIDERS[name].open(graph)
            except W2vcError as error:
                problem = error
                failed.append(name)
            else:
                for other, reason in passed.items():
                    level = logging.WARNING if other in failed else logging.INFO
                    logger.log(level, "provider %r is passed over for %r: %s", other, name, reason)
                return session
        passed[name] = problem
    raise passed[PREFERENCE[-1]]


def _survey(graph: GraphFile) -> Iterator[tuple[str, W2vcError | None]]:
    first = [graph.written_for] if graph.written_for in PROVIDERS else []
    for name in dict.fromkeys([*first, *PREFERENCE]):
        try:
            if name == "openvino" and name not in first and platform.machine() not in X86:
                raise OptionError("this is not an x86 CPU")
            PROVIDERS[name].check(graph)
        except W2vcError as error:
            yield name, error
        else:
            yield name, None
