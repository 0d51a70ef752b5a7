"""Memory for a build on a machine whose GPU has none of its own: what is free, and what the build needs.

A GPU with its own memory needs none of this: a tactic that does not fit there is skipped, and no program is killed.
"""

from pathlib import Path

from jsf.data.errors import JsfError
from jsf.runtime.meminfo import meminfo

BASE = 3 << 29
"""Bytes of CUDA and TensorRT's builder, whose library of kernels alone is 1.4 GB."""

COPIES = 3
"""Of a graph's weights: as parsed, as the builder folds them, and on the GPU to be timed. Each profile has one more."""

ACTIVATIONS = {"fp32": 1 << 30, "fp16": 1 << 29, "int8": 1 << 29}
"""Bytes of a run in the largest profile, in which all others run too: TensorRT-RTX plans 1.07 GB for the matcher of 64
pairs of 40 x 40 at width 512 in FP32, and half in FP16.
"""


def workspace(graph: Path, precision: str, profiles: int) -> int:
    """Bytes of free memory that TensorRT may plan a run with, where CPU and GPU share one memory.

    Args:
        graph: the .onnx file.
        precision: the engine's, "fp32", "fp16" or "int8".
        profiles: how many the engine has.

    Raises:
        JsfError: the build does not fit, which would end this program or another one in the middle of it.
    """
    available, swap = (meminfo(name) or 0 for name in ("MemAvailable", "SwapFree"))
    builder = BASE + (COPIES + profiles) * graph.stat().st_size
    needed = builder + ACTIVATIONS[precision]
    if available + swap < needed:
        smaller = "; or build with --fp16 or --int8" if precision == "fp32" else ""
        raise JsfError(
            f"the {precision} engine of {graph} needs about {_gb(needed)} to build, and this machine, whose GPU shares "
            f"the CPU's memory, has {_gb(available)} free and {_gb(swap)} of swap.",
            f"Close programs (the desktop: sudo systemctl isolate multi-user), add swap or zram{smaller}.",
        )
    return max(available - builder, ACTIVATIONS[precision])


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
