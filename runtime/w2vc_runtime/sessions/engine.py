"""Providers named after a backend of ``w2vc compile``: they run the engines of a bundle.

What compiles and runs engines is imported where it is called: it is half of the time that importing the runtime takes.
"""

from __future__ import annotations

from w2vc_runtime.bundle import Bundle
from w2vc_runtime.errors import OptionError

from .base import GraphFile, Session


def check(backend: str, graph: GraphFile) -> None:
    """Raise `OptionError` where the bundle has no engine of a graph that runs here, with what compiles one.

    Raises `MissingExtraError` without the backend. Reads no plan.
    """
    from w2vc_runtime.engines.identity import find_engine

    find_engine(_bundle(backend, graph), graph.precision, backend)


def open_graph(backend: str, graph: GraphFile) -> Session:
    """Load the engine of a graph; raise what `check` does, and `BundleError` on a plan that does not load."""
    from .tensorrt.session import open_engine

    return open_engine(_bundle(backend, graph), graph.precision, backend)


def _bundle(backend: str, graph: GraphFile) -> Bundle:
    """The bundle of a graph that can have engines."""
    from w2vc_runtime.engines import check_graph

    if graph.bundle is None:
        raise OptionError(
            f"provider {backend!r} runs the engines of a bundle, and {graph.path} is a graph by itself; "
            "load its bundle, or take another provider"
        )
    check_graph(graph.precision, graph.written_for)  # lest the advice be to compile what cannot be compiled
    return graph.bundle
