"""What a session is, and what it is of. No backend is imported here, so that whatever runs graphs can import this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from w2vc_runtime.bundle import Bundle, Graph
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.errors import InferenceError

if TYPE_CHECKING:
    from typing_extensions import Self


# Values of one clip's input, 25 s of samples at 16 kHz, from where on giving memory back costs no time to speak of.
LONG_CLIP = 400_000


def long_clips(inputs: Arrays) -> bool:
    """Whether what a run takes is to be given back after it: by default a session holds it until its end."""
    values = next(iter(inputs.values()))
    return bool(values.size >= LONG_CLIP * len(values))


class Session(Protocol):
    """Runs a graph. Safe to call from several threads at once; a context manager, which closes it.

    provider: what runs the graph, as w2vc calls it.
    """

    provider: str

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name from the inputs by name; raise `InferenceError` where that fails."""
        ...

    def warm_up(self) -> None:
        """Do beforehand what would be done for the first clips; nothing where lengths make no difference."""
        return None

    def close(self) -> None:
        """Let go of the graph and its memory; of what runs at the time, when that is done. Closing twice is fine.

        A run after it raises `InferenceError`.
        """
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def closed(provider: str) -> InferenceError:
    """What a run after `Session.close` raises."""
    return InferenceError(f"the session of provider {provider!r} is closed; open another one")


@dataclass(frozen=True)
class GraphFile:
    """A graph to run.

    written_for: the provider that it is written for; None for nothing in particular. bundle: the bundle that it belongs
    to; None for a standalone file, which has no engines. cuda_graphs: whether provider ``cuda`` records small batches.
    """

    path: Path
    precision: str
    written_for: str | None
    bundle: Bundle | None = None
    cuda_graphs: bool = False

    @classmethod
    def of(cls, bundle: Bundle, graph: Graph, cuda_graphs: bool = False) -> GraphFile:
        """A graph of a bundle."""
        return cls(bundle.file(graph), graph.precision, graph.provider, bundle, cuda_graphs)
