"""A machine as `jsf doctor` sees it: all that the checks ask goes through `Host`, so that a test can be any machine."""

import ctypes
import importlib
import importlib.metadata
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from jsf.runtime.backends.driver import LIBRARY, Gpu, find_gpu, is_jetson

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: what was looked at.
        level: "ok"; "warning", something is slower or less than it could be; "error", something is broken.
        found: in words; fix: the command that mends it, "" where nothing needs it.
    """

    check: str
    level: Level
    found: str
    fix: str = ""


class Host:
    """This machine.

    Attributes:
        processor: "x86_64", "aarch64".
        in_venv: Python runs in a virtual environment.
    """

    processor = platform.machine()
    in_venv = sys.prefix != sys.base_prefix

    def version(self, distribution: str) -> str | None:
        """The version of an installed distribution; None where it is absent."""
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def requirements(self) -> list[str]:
        """What jsf requires, extras included: "onnx>=1.17; extra == 'quantize'"."""
        return importlib.metadata.requires("jsf") or []

    def find(self, module: str) -> Path | None:
        """The file of a top-level module, found without importing it."""
        spec = find_spec(module)
        return Path(spec.origin or "") if spec else None

    def load(self, module: str) -> Any:
        """Imports a module; raises whatever the import raises."""
        return importlib.import_module(module)

    def read(self, path: Path | str) -> str:
        """The text of a system's file; "" where it is absent or not ours to read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n")
        except OSError:
            return ""

    def glob(self, pattern: str) -> list[Path]:
        """The paths below / that match."""
        return sorted(Path("/").glob(pattern))

    def run(self, *command: str) -> str:
        """What a program prints; "" where it is absent or fails."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout

    def is_jetson(self) -> bool:
        """Whether this is a Jetson."""
        return is_jetson()

    def gpu(self) -> Gpu | None:
        """The first GPU that the driver offers."""
        return find_gpu()

    def driver_cuda(self) -> str | None:
        """The newest CUDA that the driver runs, "12.6"; None without a driver."""
        try:
            driver = ctypes.CDLL(LIBRARY)
        except OSError:
            return None
        number = ctypes.c_int()
        driver.cuDriverGetVersion(ctypes.byref(number))  # needs no cuInit, and no GPU
        return f"{number.value // 1000}.{number.value % 1000 // 10}"
