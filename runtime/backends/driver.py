"""The NVIDIA driver, asked through its own library: needs no package, and loads nothing that crashes without a GPU."""

import ctypes
import sys
from dataclasses import dataclass

from jsf.data.errors import JsfError

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, and its compute capability as NVIDIA writes it ("8.7")."""

    name: str
    compute_capability: str


def find_gpu() -> Gpu | None:
    """The first GPU that the driver offers (`CUDA_VISIBLE_DEVICES` applies), or None without a driver or a GPU."""
    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    # Each call returns 0 on success; a driver without a usable GPU fails in the first or the second.
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}")


def require_gpu() -> Gpu:
    """`find_gpu`, or JsfError where there is none."""
    if (gpu := find_gpu()) is None:
        raise JsfError(
            f"this machine has no usable NVIDIA GPU: the driver ({LIBRARY}) is missing or offers no device.",
            "Check it with `nvidia-smi` (on a Jetson: `jetson_release`), or run with --device cpu.",
        )
    return gpu
