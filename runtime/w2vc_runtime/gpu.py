"""The NVIDIA GPU of this machine, asked of its driver alone: providers need to know before they load anything."""

from __future__ import annotations

import ctypes

from .errors import OptionError

DRIVER = "libcuda.so.1"
NAME_LENGTH = 256


def find_gpu() -> str:
    """Name of the first NVIDIA GPU, such as ``NVIDIA H200``; raise `OptionError` without a driver or a GPU.

    Source: CUDA driver API, ``cuInit``, ``cuDeviceGet``, ``cuDeviceGetName``.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError as error:
        raise OptionError(f"there is no NVIDIA driver here ({DRIVER} cannot be loaded)") from error
    device = ctypes.c_int()
    name = ctypes.create_string_buffer(NAME_LENGTH)
    failed = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, NAME_LENGTH, device)
    )
    if failed:
        raise OptionError(f"NVIDIA's driver finds no GPU here (CUDA error {failed})")
    return name.value.decode(errors="replace")
