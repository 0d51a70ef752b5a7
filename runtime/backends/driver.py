"""The NVIDIA driver, asked through its own library: needs no package, and loads nothing that crashes without a GPU."""

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

from jsf.data.errors import JsfError

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

JETSON_RELEASE = Path("/etc/nv_tegra_release")
BOARD = Path("/proc/device-tree/model")

_INTEGRATED, _MAJOR, _MINOR = 18, 75, 76
"""CU_DEVICE_ATTRIBUTE_INTEGRATED, _COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, its compute capability as NVIDIA writes it ("8.7"), and whether the CPU's memory is its own."""

    name: str
    compute_capability: str
    integrated: bool = False


def find_gpu() -> Gpu | None:
    """The first GPU that the driver offers (`CUDA_VISIBLE_DEVICES` applies), or None without a driver or a GPU."""
    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    device = ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    # Each call returns 0 on success; a driver without a usable GPU fails in the first or the second.
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    cuda.cuDeviceGetName(name, len(name), device)
    major, minor, integrated = (_attribute(cuda, device, number) for number in (_MAJOR, _MINOR, _INTEGRATED))
    return Gpu(name.value.decode(errors="replace"), f"{major}.{minor}", bool(integrated))


def require_gpu() -> Gpu:
    """`find_gpu`, or JsfError where there is none."""
    if (gpu := find_gpu()) is None:
        raise JsfError(
            f"this machine has no usable NVIDIA GPU: the driver ({LIBRARY}) is missing or offers no device.",
            "Check it with `nvidia-smi` (on a Jetson: `jetson_release`), or run with --device cpu.",
        )
    return gpu


def is_jetson() -> bool:
    """Whether this is a Jetson; the board's name is there in a container too."""
    return JETSON_RELEASE.is_file() or (BOARD.is_file() and b"NVIDIA Jetson" in BOARD.read_bytes())


def _attribute(cuda: ctypes.CDLL, device: ctypes.c_int, number: int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device)
    return value.value
