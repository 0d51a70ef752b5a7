"""What a measurement was made on."""

import os
import platform
import re
from typing import Any

from jsf.runtime.host import Host

PACKAGES = ("jsf", "numpy", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx", "torch")


def describe_machine(host: Host) -> dict[str, Any]:
    """Processor, cores that this process may use, GPU, system, the load before the measurement, and versions."""
    named = re.search(r"^model name\s*:\s*(.+)$", host.read("/proc/cpuinfo"), re.MULTILINE)
    gpu = host.gpu()
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": named[1] if named else platform.processor() or host.processor,
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "gpu": gpu.name if gpu else None,
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := host.version(name))},
    }
