"""Checks of `jsf doctor` on the GPU's stack: the driver, TensorRT, what reaches the GPU's memory, and engines."""

import re

from jsf.data.errors import JsfError
from jsf.runtime.backends.sidecar import LEAST_TENSORRT, MODULES, numbers
from jsf.runtime.bundle import default_bundle
from jsf.runtime.host import Finding, Host
from jsf.runtime.inspect import inspect_bundle

NVIDIA = "0x10de"
"""The PCI vendor."""


def driver(host: Host) -> list[Finding]:
    """The NVIDIA driver, asked through its library alone, and the GPU."""
    kernel = re.search(r"\d+\.[\d.]+", host.read("/proc/driver/nvidia/version"))
    cuda, gpu = host.driver_cuda(), host.gpu()
    if cuda and gpu:
        version = f"{kernel[0]}, " if kernel else ""
        return [
            Finding("NVIDIA driver", "ok", f"{version}runs CUDA up to {cuda}"),
            Finding("GPU", "ok", f"{gpu.name}, compute capability {gpu.compute_capability}"),
        ]
    if cuda:
        found = f"its library is here (CUDA up to {cuda}), and it offers no GPU"
        fix = "Compare `nvidia-smi` and $CUDA_VISIBLE_DEVICES; start a container with --gpus all."
        return [Finding("NVIDIA driver", "warning", found, fix)]
    if kernel or any(host.read(path) == NVIDIA for path in host.glob("sys/bus/pci/devices/*/vendor")):
        found = "this machine has NVIDIA hardware, and no driver library (libcuda)"
        fix = "Install the driver; start a container with --gpus all (on a Jetson: --runtime nvidia)."
        return [Finding("NVIDIA driver", "warning", found, fix)]
    return [Finding("NVIDIA driver", "ok", "none, and no NVIDIA hardware: scoring runs on the CPU")]


def tensorrt(host: Host) -> list[Finding]:
    """TensorRT and TensorRT-RTX: whether they import, and their versions. It makes no runtime: without a driver one
    can crash the process."""
    findings = []
    for backend, module in MODULES.items():
        if not host.find(module):
            continue
        try:
            version = host.load(module).__version__
        except Exception as error:
            fix = f"pip install --force-reinstall '.[{backend}]'; on a Jetson install JetPack's own: docs/jetson.md"
            findings.append(Finding(backend, "error", f"it is installed and does not import: {error}", fix))
            continue
        if backend == "tensorrt" and numbers(version) < numbers(LEAST_TENSORRT):
            fix = "pip install --upgrade tensorrt; on a Jetson move to JetPack 6.1 or newer"
            findings.append(Finding(backend, "error", f"{version} is older than {LEAST_TENSORRT}", fix))
        else:
            findings.append(Finding(backend, "ok", version))
    return findings or [_no_tensorrt(host)]


def device_memory(host: Host) -> list[Finding]:
    """What engines reach the GPU's memory through, cuda-python or pycuda, and whether the driver runs it."""
    gpu, cuda = host.gpu(), host.driver_cuda()
    if not gpu or not cuda or not any(host.find(module) for module in MODULES.values()):
        return []
    install = f"pip install 'cuda-python>=12.6.1,<{numbers(cuda)[0] + 1}'"
    if host.find("pycuda"):  # the runtime takes it where it is installed
        name, module = f"pycuda {host.version('pycuda')}", "pycuda.driver"
    else:
        version = host.version("cuda-bindings") or "0"
        name, module = f"cuda-python {version}", "cuda.bindings.runtime"
        if numbers(version)[0] > numbers(cuda)[0]:
            found = f"{name} is for CUDA {numbers(version)[0]}, and the driver runs CUDA up to {cuda}"
            return [Finding("CUDA for Python", "error", found, install)]
    try:
        host.load(module)
    except Exception as error:
        found = f"{module} does not import, and engines need it: {error}"
        return [Finding("CUDA for Python", "error", found, install)]
    return [Finding("CUDA for Python", "ok", name)]


def engines(host: Host) -> list[Finding]:
    """The engines of the default bundle against this machine's TensorRT and GPU."""
    root = default_bundle()
    if not (root / "manifest.json").is_file():
        return []
    try:
        report = inspect_bundle(root)
    except JsfError as error:
        return [Finding(f"bundle {root}", "error", error.message, error.fix)]
    broken = [Finding(f"bundle {root}", "error", problem.message, problem.fix) for problem in report.problems]
    here = [engine for engine in report.engines if engine.runs_here]
    if broken or not report.engines:
        return broken
    found = f"{len(here)} of {len(report.engines)} engines run on this machine"
    if here or not host.gpu():
        return [Finding(f"bundle {root}", "ok", found)]
    last = report.engines[-1]
    return [Finding(f"bundle {root}", "warning", f"{found}: {last.path.name}: {last.obstacle}", last.fix)]


def _no_tensorrt(host: Host) -> Finding:
    """Where there is no TensorRT: whether the system has one that this virtual environment does not see."""
    hidden = host.glob("usr/lib/python3*/dist-packages/tensorrt") if host.in_venv else []
    if hidden:
        found = f"the system has it ({hidden[-1]}), and this virtual environment does not see it"
        return Finding("tensorrt", "warning", found, "python3 -m venv --system-site-packages .venv, and install again")
    if host.gpu():
        fix = "pip install '.[tensorrt]'; on a Jetson install JetPack's own: docs/jetson.md"
        return Finding("tensorrt", "warning", "not installed: this GPU could run engines", fix)
    return Finding("tensorrt", "ok", "not installed: only a GPU needs it")
