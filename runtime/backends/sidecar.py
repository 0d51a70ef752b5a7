"""The sidecar of an engine: what built it, for which machine and shapes, from which graph. An engine has none."""

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_origin

import numpy as np

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import read_json, sha256, write_json
from jsf.runtime.backends.base import TensorSpec
from jsf.runtime.backends.driver import Gpu, is_jetson

SCHEMA = 3
REBUILD = "Build the engine again: jsf build-engine"
LEAST_TENSORRT = "10.3"
"""The oldest that builds what these graphs ask for: JetPack 6's."""

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Backend -> the Python module that builds and runs its engines; the extra of jsf has the backend's name."""

AMPERE = (8, 0)
"""The compute capability from which a hardware-compatible engine runs."""


@dataclass(frozen=True)
class Machine:
    """Where an engine is to run: the exact version of its backend, the platform and the GPU's compute capability."""

    version: str
    platform: str
    compute_capability: str


@dataclass(frozen=True)
class EngineSidecar:
    """`<graph>.json` beside `<graph>.engine`.

    Attributes:
        graph: the graph's name; precision: the bundle's precision that it belongs to.
        backend: "tensorrt" or "tensorrt-rtx"; version: the exact one that built it.
        platform: operating system and processor, "linux-x86_64".
        compute_capabilities: the GPUs it was built for, "8.7".
        hardware_compatible: it runs on every GPU from compute capability 8.0 too.
        version_compatible: it runs on later versions of the same major one too, and carries code for the CPU.
        graph_sha256: of the ONNX file it was built from; engine_sha256: of the engine.
        inputs: name -> {"dtype": "float16", "shape": ["V", 40, 512]}; outputs: likewise.
        profiles: of each, symbolic length -> [least, usual, greatest]; it runs at lengths that lie within one of them.
        layers: type -> the number of layers of all profiles that read or write it, as the builder reports them.
        types: layer with weights -> the type that it multiplies in; those that the builder names.
        built: the tools and the device that built it.
    """

    graph: str
    precision: str
    backend: str
    version: str
    platform: str
    compute_capabilities: list[str]
    hardware_compatible: bool
    version_compatible: bool
    graph_sha256: str
    engine_sha256: str
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    profiles: list[dict[str, list[int]]]
    layers: dict[str, int]
    types: dict[str, str]
    built: dict[str, str]
    schema: int = SCHEMA

    @classmethod
    def read(cls, path: Path) -> "EngineSidecar":
        """Reads a sidecar.

        Raises:
            JsfError: it is missing, damaged, or of another version of jsf.
        """
        if not path.is_file():
            raise JsfError(f"{path} is missing: an engine is of no use without its sidecar.", REBUILD)
        value = read_json(path)
        if value.get("schema") != SCHEMA:
            raise JsfError(f"{path} has schema {value.get('schema')!r}; this jsf reads schema {SCHEMA}.", REBUILD)
        for field in fields(cls):
            kind: Any = get_origin(field.type) or field.type
            if not isinstance(found := value.get(field.name), kind):
                raise JsfError(f"{path}: '{field.name}' is {found!r}, expected a {kind.__name__}.", REBUILD)
        if not all(isinstance(capability, str) for capability in value["compute_capabilities"]):
            raise JsfError(
                f"{path}: 'compute_capabilities' are {value['compute_capabilities']}, expected text.", REBUILD
            )
        sidecar = cls(**{field.name: value[field.name] for field in fields(cls)})
        if sidecar.backend not in MODULES:
            raise JsfError(f"{path}: backend '{sidecar.backend}' is not known, expected one of: {', '.join(MODULES)}.")
        _check_tensors(path, sidecar)
        return sidecar

    def write(self, path: Path) -> None:
        """Writes the sidecar, whole or not at all."""
        write_json(path, asdict(self))

    def mismatch(self, machine: Machine) -> str | None:
        """Why the engine does not run on a machine, both sides named; None where it runs."""
        built, here = numbers(self.version), numbers(machine.version)
        later = self.version_compatible and here[:1] == built[:1] and here >= built
        if machine.version != self.version and not later:
            kept = f" for {built[0]}.x from there" if self.version_compatible else ""
            return (
                f"it was built by {self.backend} {self.version}{kept}, "
                f"this machine has {self.backend} {machine.version}"
            )
        if machine.platform != self.platform:
            return f"it was built for {self.platform}, this machine is {machine.platform}"
        any_gpu = self.hardware_compatible and numbers(machine.compute_capability) >= AMPERE
        if machine.compute_capability not in self.compute_capabilities and not any_gpu:
            listed = "8.0 and newer" if self.hardware_compatible else ", ".join(self.compute_capabilities)
            return f"it was built for compute capability {listed}, this GPU has {machine.compute_capability}"
        return None

    def check_files(self, engine: Path, graph_sha256: str) -> None:
        """Raises JsfError unless the engine is the file that was built, from the graph that the bundle holds now."""
        if self.graph != engine.stem:
            raise JsfError(
                f"{engine} was renamed: its sidecar is of '{self.graph}', not of '{engine.stem}'.", self.rebuild(engine)
            )
        if self.graph_sha256 != graph_sha256:
            raise JsfError(
                f"{engine} was built from another graph: its SHA-256 was {self.graph_sha256[:12]}..., "
                f"the bundle's {self.precision} graph is {graph_sha256[:12]}...",
                self.rebuild(engine),
            )
        if not engine.is_file():
            raise JsfError(f"{engine} is missing; its sidecar is there.", self.rebuild(engine))
        if (found := sha256(engine)) != self.engine_sha256:
            raise JsfError(
                f"{engine} is damaged or another engine: its SHA-256 is {found[:12]}..., "
                f"its sidecar says {self.engine_sha256[:12]}...",
                self.rebuild(engine),
            )

    def rebuild(self, engine: Path) -> str:
        """The command that builds the engine again, from its path in a bundle or in an extractor."""
        flag = "" if self.precision == "fp32" else f" --{self.precision}"
        flag += " --hardware-compatible" if self.hardware_compatible else ""
        flag += " --version-compatible" if self.version_compatible else ""
        options = {"manifest.json": "--bundle", "extractor.json": "--extractor"}
        roots = engine.absolute().parents[3:4]
        found = [f"{option} {root}" for root in roots for name, option in options.items() if (root / name).is_file()]
        folder = found[0] if found else "--bundle BUNDLE"
        return f"Build it where it will run: jsf build-engine{flag} --backend {self.backend} {folder}"


def obstacle(sidecar: EngineSidecar, gpu: Gpu | None) -> str:
    """Why an engine does not run on this machine; "" where it does. It touches CUDA only where there is a GPU."""
    if gpu is None:
        return "this machine has no NVIDIA GPU"
    module = MODULES[sidecar.backend]
    if find_spec(module) is None:
        return f"it needs {sidecar.backend}, which is not installed"
    try:
        version = require(module, sidecar.backend).__version__
    except JsfError as error:  # it is there, and a library that it needs is not
        return error.message.removesuffix(".")
    return sidecar.mismatch(Machine(version, this_platform(), gpu.compute_capability)) or ""


def specs(tensors: Mapping[str, Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    """A sidecar's inputs or outputs as the graph's."""
    return tuple(TensorSpec(name, np.dtype(t["dtype"]), tuple(t["shape"])) for name, t in tensors.items())


def buckets(profiles: Sequence[Mapping[str, Sequence[int]]]) -> list[tuple[int, int]]:
    """The (frames, words) of each of a matcher's profiles; none of another graph's."""
    return [
        (profile["frames"][-1], profile["words"][-1]) for profile in profiles if {"frames", "words"} <= set(profile)
    ]


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version or of a compute capability, in order: "10.3.0" -> (10, 3, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _check_tensors(path: Path, sidecar: EngineSidecar) -> None:
    try:
        specs(sidecar.outputs)
        named = {length for spec in specs(sidecar.inputs) for length in spec.shape if isinstance(length, str)}
        given = [{name for name, lengths in profile.items() if _rising(*lengths)} for profile in sidecar.profiles]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise JsfError(f"{path}: its tensors are not described as they should be ({error}).", REBUILD) from error
    if not given or any(names != named for names in given):
        raise JsfError(f"{path}: each of 'profiles' must give {sorted(named)}, and there must be one.", REBUILD)


def _rising(least: object, usual: object, greatest: object) -> bool:
    """Whether these are lengths; raises ValueError otherwise."""
    found = least, usual, greatest
    numbers = [length for length in found if type(length) is int]
    if len(numbers) < 3 or not 0 < numbers[0] <= numbers[1] <= numbers[2]:
        raise ValueError(f"{list(found)} are not three lengths, the least first")
    return True


def this_platform() -> str:
    """Operating system and processor: "linux-x86_64"; "linux-aarch64-jetson", which takes no server's engines."""
    return f"{platform.system()}-{platform.machine()}".lower() + ("-jetson" if is_jetson() else "")
