"""What a graph gives, held to its manifest: nothing else has said that the two belong together."""

from __future__ import annotations

from numpy.typing import NDArray

from w2vc_runtime.bundle import Interface, Tensor
from w2vc_runtime.errors import InferenceError

from .base import Arrays, Session


class CheckedSession(Session):
    """A session whose outputs are those of the manifest, by name, type and shape."""

    def __init__(self, session: Session, interface: Interface) -> None:
        self.provider = session.provider
        self._session = session
        self._inputs, self._outputs = interface.inputs, interface.outputs

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name from the inputs by name; raise `InferenceError` on outputs that do not fit."""
        results = self._session.run(inputs)
        sizes = {axis: size for each in self._inputs for axis, size in zip(each.shape, inputs[each.name].shape)}
        for tensor in self._outputs:
            value = results.get(tensor.name)
            if value is None or not _fits(value, tensor, sizes):
                found = f"{value.dtype.name} {list(value.shape)}" if value is not None else "nothing"
                raise InferenceError(
                    f"the graph gives {found} as {tensor.name}, and its manifest says {tensor.dtype} "
                    f"[{', '.join(map(str, tensor.shape))}]; export the bundle again"
                )
        return results

    def warm_up(self) -> None:
        self._session.warm_up()

    def close(self) -> None:
        self._session.close()


def _fits(value: NDArray, tensor: Tensor, sizes: dict[str | int, int]) -> bool:
    """sizes: of the dimensions that vary, as far as the inputs give them."""
    if value.dtype.name != tensor.dtype or value.ndim != len(tensor.shape):
        return False
    return all(
        size == (sizes.get(axis, size) if isinstance(axis, str) else axis)
        for axis, size in zip(tensor.shape, value.shape)
    )
