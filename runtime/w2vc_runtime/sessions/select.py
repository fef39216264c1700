"""Inference sessions: what can run a graph, and which of them does."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from numpy.typing import NDArray

from w2vc_runtime.errors import OptionError, W2vcError
from w2vc_runtime.manifest import Graph, Manifest

from . import onnx_runtime, openvino

Tensors = dict[str, NDArray]
X86 = ("x86_64", "AMD64")
logger = logging.getLogger("w2vc")


class Session(Protocol):
    """Runs a graph. Safe to call from several threads at once."""

    provider: str

    def run(self, inputs: Tensors) -> Tensors:
        """Compute the outputs by name from the inputs by name."""
        ...


@dataclass(frozen=True)
class Bundled:
    """Where a graph is from."""

    bundle: Path
    manifest: Manifest
    graph: Graph


@dataclass(frozen=True)
class GraphFile:
    """A graph to run.

    written_for: the provider that it is written for; None for nothing in particular. bundled: None for a graph by
    itself, which has no engines, and whose shapes nobody knows.
    """

    path: Path
    precision: str
    written_for: str | None
    bundled: Bundled | None = None

    def has_engine(self, backend: str) -> bool:
        """Whether its bundle has an engine of a backend in its precision."""
        engines = self.bundled.manifest.engines if self.bundled else ()
        return any(each.backend == backend and each.precision == self.precision for each in engines)


@dataclass(frozen=True)
class Provider:
    """What can run graphs.

    check: raises `OptionError` or `MissingExtraError` where it cannot run a graph here, as far as that can be told
    without loading it. open: loads it, and raises the same and `BundleError`.
    """

    check: Callable[[GraphFile], None]
    open: Callable[[GraphFile], Session]


def _engine_first(
    backend: str, check: Callable[[GraphFile], None], open_graph: Callable[[GraphFile], Session]
) -> Provider:
    """The bundle's engine where it has one, else ONNX Runtime."""

    def check_either(graph: GraphFile) -> None:
        from w2vc_runtime.engines.identity import find_engine

        if graph.bundled is None or not graph.has_engine(backend):
            check(graph)
        else:
            find_engine(graph.bundled.bundle, graph.bundled.manifest, graph.bundled.graph, backend)

    def open_either(graph: GraphFile) -> Session:
        from w2vc_runtime.engines.session import open_engine

        if graph.bundled is None or not graph.has_engine(backend):
            return open_graph(graph)
        return open_engine(graph.bundled.bundle, graph.bundled.manifest, graph.bundled.graph, backend)

    return Provider(check_either, open_either)


PROVIDERS = {
    "cpu": Provider(onnx_runtime.check_cpu, onnx_runtime.open_cpu),
    "cuda": Provider(onnx_runtime.check_cuda, onnx_runtime.open_cuda),
    "tensorrt": _engine_first("tensorrt", onnx_runtime.check_tensorrt, onnx_runtime.open_tensorrt),
    "tensorrt-rtx": _engine_first("tensorrt-rtx", onnx_runtime.check_tensorrt_rtx, onnx_runtime.open_tensorrt_rtx),
    "openvino": Provider(
        lambda graph: openvino.check(graph.precision, graph.written_for),
        lambda graph: openvino.OpenVinoSession(graph.path, graph.precision),
    ),
}
AUTO = "auto"
NAMES = (AUTO, *PROVIDERS)
ENGINES = ("tensorrt-rtx", "tensorrt")
# From the best to the last resort, after what the graph is written for.
PREFERENCE = (*ENGINES, "cuda", "openvino", "cpu")


def open_session(path: Path, provider: str, precision: str = "fp32", written_for: str | None = None) -> Session:
    """Load a graph by itself on a provider; raise `OptionError` for one that is unknown or not available here.

    precision: of the graph, and written_for: the provider that it is written for, as its manifest has them. ``auto``
    takes the latter where it works. See `open_bundle`.
    """
    return _open(GraphFile(path, precision, written_for), provider)


def open_bundle(bundle: Path, manifest: Manifest, graph: Graph, provider: str) -> Session:
    """Load a graph of a bundle, or the engine that was compiled from it, on a provider.

    provider: ``auto``, or a name of `PROVIDERS`, which then either runs it or raises `OptionError`, `MissingExtraError`
    or `BundleError`. ``auto`` takes the first of `survey` that loads.
    """
    return _open(_bundled(bundle, manifest, graph), provider)


def survey(bundle: Path, manifest: Manifest, graph: Graph) -> dict[str, W2vcError | None]:
    """Providers from the best for a graph to the last resort, and what speaks against each here, without loading it.

    None: nothing does, and the first of these is what ``auto`` takes, if it loads.
    """
    return dict(_survey(_bundled(bundle, manifest, graph)))


def _bundled(bundle: Path, manifest: Manifest, graph: Graph) -> GraphFile:
    return GraphFile(bundle / graph.files[0], graph.precision, graph.provider, Bundled(bundle, manifest, graph))


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
            if name not in first:
                _check_taken(name, graph)
            PROVIDERS[name].check(graph)
        except W2vcError as error:
            yield name, error
        else:
            yield name, None


def _check_taken(name: str, graph: GraphFile) -> None:
    """Raise `OptionError` for what ``auto`` leaves alone unless the graph is written for it."""
    if name in ENGINES and not graph.has_engine(name):
        raise OptionError(f"there is no {graph.precision} engine for it in the bundle; w2vc compile makes one")
    if name == "openvino" and platform.machine() not in X86:
        raise OptionError("this is not an x86 CPU")
