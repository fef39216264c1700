"""What compiles engines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backend:
    """One build of TensorRT. Their Python modules have the same names; what differs between versions goes by name.

    module: of Python. extra: of w2vc that brings it. names_targets: whether it compiles for GPUs by name, where there
    need be none; otherwise it compiles for the GPU of this machine.
    """

    name: str
    module: str
    extra: str
    names_targets: bool


BACKENDS = {
    each.name: each
    for each in (
        Backend("tensorrt-rtx", "tensorrt_rtx", "trt-rtx", names_targets=True),
        Backend("tensorrt", "tensorrt", "trt", names_targets=False),
    )
}
