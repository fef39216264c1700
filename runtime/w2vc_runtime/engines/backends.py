"""What compiles engines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backend:
    """One build of TensorRT. Their Python modules have the same names; what differs between versions goes by name.

    module: of Python. extra: of w2vc that brings it. names_targets: whether it compiles for GPUs by name, where there
    need be none; otherwise it compiles for the GPU of this machine. capabilities: of the GPUs that it runs on; None for
    all. any_system: whether its plans go from one operating system to another.
    """

    name: str
    module: str
    extra: str
    names_targets: bool
    capabilities: tuple[int, ...] | None = None
    any_system: bool = False


BACKENDS = {
    each.name: each
    for each in (
        # TensorRT for RTX 1.7: its support matrix, and all of 0 to 399 that it was asked to compile for.
        Backend("tensorrt-rtx", "tensorrt_rtx", "trt-rtx", True, (75, 80, 86, 89, 120, 121), any_system=True),
        Backend("tensorrt", "tensorrt", "trt", names_targets=False),
    )
}
