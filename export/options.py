"""What an engine can be asked to run on beside the machine that builds it."""

from dataclasses import dataclass, fields

from jsf.data.errors import JsfError
from jsf.runtime.backends.driver import Gpu, is_jetson
from jsf.runtime.backends.sidecar import AMPERE, numbers

ELSEWHERE = {
    "tensorrt-rtx": "its engines run on many GPUs already, and only with the version that built them",
    "onnxruntime": "it runs the graphs themselves, on any machine",
}
"""Backend without these options -> why."""


@dataclass(frozen=True)
class BuildOptions:
    """How far from its builder an engine runs; either way it may be slower, and it is larger.

    Attributes:
        hardware_compatible: on every GPU from compute capability 8.0, on the same platform; on no Jetson.
        version_compatible: with later versions of TensorRT of the same major one.
    """

    hardware_compatible: bool = False
    version_compatible: bool = False

    def check(self, backend: str, gpu: Gpu | None) -> None:
        """Raises JsfError where the backend or the GPU cannot build what was asked for."""
        asked = [f"--{f.name.replace('_', '-')}" for f in fields(self) if getattr(self, f.name)]
        if asked and backend in ELSEWHERE:
            raise JsfError(
                f"{backend} does not build with {' and '.join(asked)}: {ELSEWHERE[backend]}.",
                f"Leave out {' and '.join(asked)}, or name --backend tensorrt.",
            )
        if self.hardware_compatible and is_jetson():
            raise JsfError(
                "NVIDIA supports hardware-compatible engines on no Jetson.", "Leave out --hardware-compatible."
            )
        if self.hardware_compatible and gpu and numbers(gpu.compute_capability) < AMPERE:
            raise JsfError(
                "hardware-compatible engines are built on GPUs from compute capability 8.0; "
                f"this one ({gpu.name}) has {gpu.compute_capability}.",
                "Leave out --hardware-compatible, or build on a newer GPU.",
            )


HERE = BuildOptions()
"""Engines for the machine that builds them."""
