"""`calibration.json`: the ranges of activations, and which graphs and which pairs they are of."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from jsf.calibration.histogram import Range
from jsf.data.errors import JsfError
from jsf.data.files import read_json, write_json

Ranges = dict[str, dict[str, Range]]
"""Graph -> layer -> the range (lowest, highest) of an activation."""


@dataclass(frozen=True)
class Calibration:
    """`calibration.json`: which ranges, and of what.

    Attributes:
        graphs: graph -> SHA-256 of the FP32 file that was run.
        data: the digest of the pairs; pairs: how many they are.
        method: of `METHODS`.
        inputs, outputs: of each layer's activations.
    """

    graphs: dict[str, str]
    data: str
    pairs: int
    method: str
    inputs: Ranges
    outputs: Ranges

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """Reads a calibration.

        Raises:
            JsfError: it is missing or damaged.
        """
        value = read_json(path)
        try:
            if not all(isinstance(text, str) for text in (*value["graphs"].values(), value["data"], value["method"])):
                raise ValueError("a hash or the method is no text")
            kept = {field.name: value[field.name] for field in fields(cls)}
            return cls(**{**kept, "inputs": _ranges(value["inputs"]), "outputs": _ranges(value["outputs"])})
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise JsfError(f"{path} is not a calibration of this jsf: {error}.", f"Delete it: rm {path}") from error

    def __str__(self) -> str:
        """In words, for reports."""
        return f"{self.method}, {self.pairs} pairs, data {self.data[:12]}"

    def write(self, path: Path) -> None:
        """Writes it, whole or not at all."""
        write_json(path, asdict(self))

    def mismatch(self, graphs: dict[str, str], layers: dict[str, list[str]], data: str, method: str) -> str | None:
        """What it was made of, where that is something else; None where it fits exactly."""
        for ranges in (self.inputs, self.outputs):
            if {name: sorted(found) for name, found in ranges.items()} != {
                n: sorted(each) for n, each in layers.items()
            }:
                return "it is of other layers"
        for name, sha in graphs.items():
            if (found := self.graphs.get(name, "none")) != sha:
                return f"it is of another {name} (SHA-256 {found[:12]}..., the bundle's is {sha[:12]}...)"
        if self.data != data:
            return f"it is of other pairs (digest {self.data[:12]}..., these have {data[:12]}...)"
        if self.method != method:
            return f"its method is {self.method}, {method} was asked for"
        return None


def _ranges(value: Any) -> Ranges:
    """From JSON; raises ValueError where a range is none."""
    ranges = {
        graph: {layer: (float(low), float(high)) for layer, (low, high) in layers.items()}
        for graph, layers in value.items()
    }
    with np.errstate(over="ignore"):  # what float32 does not hold is infinite, and refused
        bounds = np.array([bound for layers in ranges.values() for bound in layers.values()], np.float32).reshape(-1, 2)
    if not np.isfinite(bounds).all() or (bounds[:, 0] > bounds[:, 1]).any():
        raise ValueError("a range is not finite, or ends before it begins")
    return ranges
