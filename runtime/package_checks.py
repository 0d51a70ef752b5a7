"""Checks of `jsf doctor` on Python packages: what is installed, what loads for real, and what fits the driver."""

import io
import platform
import re
import sys
from collections import defaultdict
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from jsf.runtime.backends.openvino import without_telemetry
from jsf.runtime.backends.sidecar import MODULES, numbers, this_platform
from jsf.runtime.host import Finding, Host

ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-rocm")
"""Distributions that write into the same folder."""

RELU = bytes.fromhex(
    "08083a360a0c0a0178120179220452656c75120472656c755a0f0a0178120a0a08080112040a02080262"
    "0f0a0179120a0a08080112040a02080242040a00100d"
)
"""An ONNX file of one node, Relu of `x` [2] f32 (IR 8, opset 13): `onnx.helper.make_model(...).SerializeToString()`."""


def python(host: Host) -> list[Finding]:
    """Which jsf and which Python run, and where."""
    where = f"the virtual environment {sys.prefix}" if host.in_venv else sys.prefix
    found = f"jsf {host.version('jsf')}, Python {platform.python_version()} on {this_platform()}, in {where}"
    return [Finding("jsf", "ok", found)]


def extras(host: Host) -> list[Finding]:
    """Which extras of jsf are complete, and which packages are older than jsf needs."""
    absent: dict[str, list[str]] = defaultdict(list)
    old: dict[str, str] = {}
    for line in host.requirements():
        parsed = re.match(r"([\w.-]+)\s*(?:>=\s*([\w.]+))?.*extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if not parsed or parsed[3] == "dev":
            continue
        name, least, extra = parsed.groups()
        missing = absent[extra]
        if (version := host.version(name)) is None:
            missing.append(name)
        elif least and numbers(version) < numbers(least):
            old[name] = f"{name} is {version}, jsf needs {least} or newer"
    complete = ", ".join(sorted(extra for extra, missing in absent.items() if not missing)) or "none"
    lacking = [f"{extra} lacks {', '.join(missing)}" for extra, missing in sorted(absent.items()) if missing]
    findings = [Finding("extras", "ok", "; ".join([f"complete: {complete}", *lacking]))]
    return findings + [Finding("extras", "warning", why, f"pip install --upgrade {name}") for name, why in old.items()]


def onnxruntimes(host: Host) -> list[Finding]:
    """ONNX Runtime: one distribution of it, and providers that run a graph and do not only stand in a list."""
    installed = [name for name in ONNXRUNTIMES if host.version(name)]
    if len(installed) > 1:
        extra = "gpu" if host.gpu() else "cpu"
        return [
            Finding(
                "ONNX Runtime",
                "error",
                f"{' and '.join(installed)} are both installed: they overwrite each other's files",
                f"pip uninstall -y {' '.join(installed)} && pip install '.[{extra}]'",
            )
        ]
    if not host.find("onnxruntime"):
        if any(host.find(module) for module in MODULES.values()):
            return [Finding("ONNX Runtime", "ok", "not installed: engines alone can score")]
        if host.find("openvino"):
            return [Finding("ONNX Runtime", "ok", "not installed: --device openvino can score")]
        return [Finding("ONNX Runtime", "error", "not installed: nothing here can score", "pip install '.[cpu]'")]
    name = installed[0] if installed else "onnxruntime"
    try:
        ort = host.load("onnxruntime")
        providers = [each for each in ort.get_available_providers() if each != "AzureExecutionProvider"]  # it is remote
    except Exception as error:
        fix = f"pip install --force-reinstall --no-deps {name}"
        return [Finding("ONNX Runtime", "error", f"{name} does not import: {error}", fix)]
    return [_provider(host, ort, each, f"{name} {ort.__version__}") for each in providers]


def openvino(host: Host) -> list[Finding]:
    """OpenVINO, where it is installed: whether it loads, and its devices."""
    if not (version := host.version("openvino")):
        return []
    try:
        with without_telemetry():
            devices = ", ".join(host.load("openvino").Core().available_devices)
    except Exception as error:
        return [Finding("OpenVINO", "error", f"{version} does not load: {error}", "pip install --upgrade openvino")]
    return [Finding("OpenVINO", "ok", f"{version} on {devices or 'no device'}")]


def torch(host: Host) -> list[Finding]:
    """PyTorch, where it is installed, and its CUDA, read from its files: importing it takes seconds."""
    if not (init := host.find("torch")):
        return [Finding("PyTorch", "ok", "not installed: scoring, building and evaluating need none")]
    version = host.version("torch")
    built = re.search(r"^cuda\b.*?=\s*'([\d.]+)'", host.read(init.with_name("version.py")), re.MULTILINE)
    driver = host.driver_cuda()
    if host.gpu() and not built:
        fix = "For training on the GPU install a build of PyTorch with CUDA."
        return [Finding("PyTorch", "warning", f"{version} is a build for CPUs, and this machine has a GPU", fix)]
    if built and driver and numbers(built[1])[0] > numbers(driver)[0]:
        found = f"{version} is built for CUDA {built[1]}, and the driver runs CUDA {driver}"
        return [Finding("PyTorch", "warning", found, "Update the driver, or install a build for its CUDA.")]
    return [Finding("PyTorch", "ok", f"{version}, " + (f"for CUDA {built[1]}" if built else "for CPUs"))]


def _provider(host: Host, ort: Any, provider: str, name: str) -> Finding:
    """Runs a graph of one node on a provider: one that does not load leaves the CPU in its place, and says nothing."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        with redirect_stdout(io.StringIO()):  # it prints its fallbacks
            session = ort.InferenceSession(RELU, options, providers=[provider])
            result = session.run(None, {"x": np.array([-1, 2], np.float32)})[0]
        why = "" if result.tolist() == [0, 2] else f"it gives {result.tolist()}, expected [0, 2]"
        if (ran := session.get_providers()[0]) != provider:
            why = f"{ran} took its place"
    except Exception as error:  # ONNX Runtime raises its own classes, which have no common base
        why = str(error).splitlines()[0]
    if not why:
        return Finding("ONNX Runtime", "ok", f"{name} runs {provider}")
    serious = provider == "CPUExecutionProvider" or (provider == "CUDAExecutionProvider" and host.gpu() is not None)
    fix = (
        "Install the CUDA and the cuDNN that this release was built for, where the loader finds them; see `nvidia-smi`."
    )
    again = "pip install --force-reinstall --no-deps onnxruntime"
    return Finding(
        "ONNX Runtime",
        "error" if serious else "warning",
        f"{name} lists {provider}, which does not load here: {why}",
        again if provider == "CPUExecutionProvider" else fix,
    )
