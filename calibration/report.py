"""What a reduced precision costs: for the user, for the manifest, and as an error where it is too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsf.calibration.gate import ENOUGH, Comparison, Limits
from jsf.data.errors import JsfError

NAMED = 5
"""Layers that an error names."""


@dataclass(frozen=True)
class Report:
    """What a variant costs.

    Attributes:
        variant: "fp16", "int8" or "int8-cpu".
        whole: on all rows of the table; held_out: on those of videos that calibration did not see, or None.
        bytes: of the graphs that score, and fp32_bytes: of those in FP32.
        calibration: of what INT8 ranges were taken, in words; "" of FP16. calibrated: on how many videos.
        layers_fp16: layers that could be INT8 and are not.
        fp32_nodes: graph -> nodes that FP16 does not hold.
    """

    variant: str
    whole: Comparison
    held_out: Comparison | None
    bytes: int
    fp32_bytes: int
    calibration: str
    calibrated: int
    layers_fp16: list[str]
    fp32_nodes: dict[str, list[str]]

    @property
    def accuracy(self) -> str:
        """How far the accuracy is known."""
        few = f": too few to tell, {ENOUGH} are needed" if self.whole.queries < ENOUGH else ""
        return f"measured on {self.whole.queries} queries{few}"

    def failures(self, limits: Limits) -> list[str]:
        """What is worse than the limits, on all rows or on those held out."""
        held = limits.failures(self.held_out) if self.held_out else []
        return [*limits.failures(self.whole), *(f"on held-out videos {failure}" for failure in held)]

    def loss(self, table: str) -> dict[str, Any]:
        """What the manifest keeps."""
        held = {"held_out": _numbers(self.held_out)} if self.held_out else {}
        return {
            **_numbers(self.whole),
            **held,
            "samples": table,
            **({"calibration": self.calibration} if self.calibration else {}),
            "accuracy": self.accuracy,
            "layers_fp16": self.layers_fp16,
            "fp32_nodes": self.fp32_nodes,
        }


class GateError(JsfError):
    """Graphs cost more accuracy than allowed.

    Attributes:
        reports: what each variant costs.
    """

    def __init__(
        self,
        reports: Sequence[Any],
        failures: Mapping[str, Sequence[str]],
        costs: Mapping[str, float] | None = None,
        fp32: str = "Score with --precision fp32",
    ) -> None:
        self.reports = reports
        lines = [f"{variant} is worse than allowed: {'; '.join(why)}." for variant, why in failures.items()]
        fix = f"{fp32}, or allow more."
        if costs and max(costs.values()) > 0:
            worst = [name for name, cost in costs.items() if cost > 0][:NAMED]
            shares = ", ".join(f"{name} {100 * costs[name]:.0f}%" for name in worst)
            lines.append(f"Layers that cost most, by the share of the mean error that goes without: {shares}.")
            keep = " ".join(f"--keep-fp16 {name}" for name in worst[:2])
            fix = f"Keep layers in FP16: {keep}, or --auto, which does so until it passes."
        super().__init__("\n".join([*lines, "Nothing was published."]), fix)


def _numbers(found: Comparison) -> dict[str, Any]:
    metrics = {name: [c.fp32, c.reduced, *(c.interval or ())] for name, c in found.metrics.items()}
    errors = {name: getattr(found, name) for name in ("score_error_max", "score_error_mean", "score_range")}
    return {
        **errors,
        "pairs": found.pairs,
        "rank_correlation": found.rank_correlation,
        "queries": found.queries,
        "metrics": metrics,
    }
