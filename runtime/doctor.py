"""`jsf doctor`: whether a machine can do what it is meant to, as findings that name their fix."""

from collections.abc import Callable

from jsf.data.progress import track
from jsf.runtime import gpu_checks, machine_checks, package_checks
from jsf.runtime.host import Finding, Host

Check = Callable[[Host], list[Finding]]

CHECKS: tuple[Check, ...] = (
    package_checks.python,
    package_checks.extras,
    package_checks.onnxruntimes,
    package_checks.openvino,
    package_checks.torch,
    gpu_checks.driver,
    gpu_checks.tensorrt,
    gpu_checks.device_memory,
    gpu_checks.engines,
    machine_checks.processor,
    machine_checks.memory,
    machine_checks.jetson,
    machine_checks.power,
    machine_checks.clocks,
)
"""In the order in which they are shown."""


def examine(host: Host, checks: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """The findings of all checks; one that fails is a finding itself."""
    findings = []
    for check in track(checks, "checking this machine", len(checks)):
        try:
            findings += check(host)
        except Exception as error:  # a doctor that breaks on a broken machine is of no use
            found = f"this check failed: {type(error).__name__}: {error}"
            findings.append(Finding(check.__name__.replace("_", " "), "warning", found, "Please report it."))
    return findings
