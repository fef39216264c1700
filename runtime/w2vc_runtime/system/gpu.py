"""The NVIDIA GPU of this machine, asked of its driver alone: providers need to know before they load anything."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from w2vc_runtime.errors import OptionError

DRIVER = "libcuda.so.1"
NAME_LENGTH = 256
# CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR, and _MULTIPROCESSOR_COUNT.
MAJOR, MINOR, MULTIPROCESSORS = 75, 76, 16


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    name: as NVIDIA has it, such as ``NVIDIA H200``. capability: what it is to compilers, such as ``sm90``.
    multiprocessors: how many it has.
    """

    name: str
    capability: str
    multiprocessors: int

    @property
    def number(self) -> int:
        """The capability as a number, such as 90."""
        return int(self.capability[2:])

    @property
    def model(self) -> str:
        """What tells it from other models: every Jetson Orin calls itself Orin, whatever its size."""
        return f"{self.name}, {self.multiprocessors} multiprocessors"


def find_gpu() -> Gpu:
    """The first GPU that ``CUDA_VISIBLE_DEVICES`` leaves; raise `OptionError` without a driver or a GPU.

    Source: CUDA driver API, ``cuInit``, ``cuDeviceGet``, ``cuDeviceGetName``, ``cuDeviceGetAttribute``.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError as error:
        raise OptionError(
            f"there is no NVIDIA driver here ({DRIVER} cannot be loaded); install one, or take another provider"
        ) from error
    device, major, minor, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(NAME_LENGTH)
    failed = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, NAME_LENGTH, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(count), MULTIPROCESSORS, device)
    )
    if failed:
        raise OptionError(
            f"NVIDIA's driver finds no GPU here (CUDA error {failed}); "
            "check nvidia-smi and CUDA_VISIBLE_DEVICES, or take another provider"
        )
    return Gpu(name.value.decode(errors="replace"), f"sm{major.value}{minor.value}", count.value)
