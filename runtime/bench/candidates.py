"""What is measured: each backend that is here with each precision that the bundle has, and the peers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS
from jsf.runtime.backends.base import Arrays, Graph
from jsf.runtime.bundle import MATCHER, Bundle
from jsf.runtime.graph_folder import CPU_INT8, PRECISIONS
from jsf.runtime.graphs import DEVICES, Graphs, load_graphs

BACKENDS = {"cpu": "ONNX Runtime", "openvino": "OpenVINO", "cuda": "CUDA"}
"""Device -> what a table calls it."""


@dataclass(frozen=True)
class Candidate:
    """One way to run a model.

    Attributes:
        name: "ONNX Runtime FP32".
        device: as `load_graphs` takes it; precision: "fp32", "fp16" or "int8".
        open: loads the graphs: here, and again in a process of its own, to which it is sent by pickle.
        peer: it has the matcher alone, and runs it at 40 x 40 alone.
    """

    name: str
    device: str
    precision: str
    open: Callable[[], Graphs]
    peer: bool = False


@dataclass(frozen=True)
class Opened:
    """A candidate that runs here."""

    candidate: Candidate
    graphs: Graphs

    @property
    def name(self) -> str:
        """The candidate's."""
        return self.candidate.name

    @property
    def matcher(self) -> Graph | None:
        """The matcher; None of an embedding."""
        return self.graphs.by_name.get(MATCHER)


def bundle_candidates(bundle: Bundle, devices: Sequence[str], precisions: Sequence[str]) -> list[Candidate]:
    """The backends with the precisions of a bundle, those that are named, or all.

    Raises:
        JsfError: a device or a precision is not known.
    """
    known = [device for device in DEVICES if device != "auto"]
    has = [name for name in PRECISIONS if {name, CPU_INT8 if name == "int8" else name} & bundle.manifest.hashes.keys()]
    for asked, names, what in ((devices, known, "device"), (precisions, PRECISIONS, "precision")):
        if wrong := sorted(set(asked) - set(names)):
            raise JsfError(f"{what} '{wrong[0]}' is not known, expected some of: {', '.join(names)}.")
    chosen = product(dict.fromkeys(devices or known), dict.fromkeys(precisions or has))
    return [
        Candidate(f"{BACKENDS[device]} {kind.upper()}", device, kind, partial(load_graphs, bundle, device, kind))
        for device, kind in chosen
    ]


def open_candidates(
    candidates: Sequence[Candidate], devices: Collection[str], precisions: Collection[str]
) -> tuple[list[Opened], dict[str, str]]:
    """Loads what is here.

    Args:
        candidates: those to load.
        devices: those that were asked for by name.
        precisions: likewise.

    Returns:
        What is here, and for what is not its name and why.

    Raises:
        JsfError: what was asked for is not here: a device in no precision, a precision on no device, or one on the
            other where both were named; or nothing is.
    """
    opened, absent = [], []
    for candidate in candidates:
        try:
            opened.append(Opened(candidate, candidate.open()))
        except JsfError as error:
            absent.append((candidate, error))
    here = {name for each in opened for name in (each.candidate.device, each.candidate.precision)}
    for candidate, reason in absent:
        asked = {name for name in (candidate.device, candidate.precision) if name in (*devices, *precisions)}
        if len(asked) == 2 or asked - here or not opened:
            raise reason
    return opened, {candidate.name: reason.line for candidate, reason in absent}


class FullSize(Graph):
    """A matcher of any size as one that takes pairs at 40 x 40 alone.

    Args:
        matcher: with symbolic lengths.
        batch: pairs at once.
    """

    def __init__(self, matcher: Graph, batch: int) -> None:
        self._matcher, self.limits = matcher, {**matcher.limits, "P": batch}
        self.inputs = tuple(
            replace(spec, shape=(spec.shape[0], MAX_STEPS, spec.shape[2])) if len(spec.shape) == 3 else spec
            for spec in matcher.inputs
        )
        self.outputs, self.description = matcher.outputs, matcher.description

    def _run(self, arrays: Arrays) -> Arrays:
        return self._matcher.run(arrays)
