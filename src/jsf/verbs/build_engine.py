"""`jsf build-engine`: reduced graphs, what they cost, and engines."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsf.calibration.fp16 import add_fp16
from jsf.calibration.gate import Comparison
from jsf.calibration.publish import Choices, add_int8, add_measured_fp16
from jsf.calibration.report import GateError, Report
from jsf.calibration.table import Table
from jsf.data.errors import JsfError
from jsf.data.task_names import EMBEDDINGS
from jsf.export.engine import Choice, build_engines, choose_backend
from jsf.export.options import BuildOptions
from jsf.runtime.backends.driver import find_gpu
from jsf.runtime.bundle import Bundle, default_bundle
from jsf.runtime.graph_folder import CPU_INT8, GraphFolder
from jsf.runtime.load import load_scorer
from jsf.verbs.losses import print_losses
from jsf.verbs.output import note, print_json, print_table
from jsf.verbs.splits import evaluation_split


def show_engines(
    precision: str,
    backend: str,
    root: Path | None,
    features: Path | None,
    captions: Path | None,
    choices: Choices,
    options: BuildOptions,
    json: bool,
) -> None:
    """Reduces, measures, builds, and prints what was built and what the precision costs.

    Raises:
        JsfError: bad input, the backend that was asked for cannot be had, or the precision costs more than allowed.
    """
    choice = announced(backend, options)
    bundle = Bundle.open(root or default_bundle())
    table = find_table(bundle, features, captions)

    def show(reports: Sequence[Report]) -> None:
        if reports:
            print_reports(reports, table)
        else:
            print_losses(bundle, precision)

    with shown_refusal(show, lambda report: report.loss(table.name if table else ""), json):
        reports = reduce(bundle, precision, table, choices)
    engines = build_engines(bundle, precision, choice.backend, options)
    show_built(bundle, precision, choice, engines, lambda: show(reports), json)
    if not (engines or json):
        print(f"{bundle.root / precision}: graphs for ONNX Runtime, no engines")


def announced(backend: str, options: BuildOptions) -> Choice:
    """The backend to build for, which is told; raises JsfError where it or an option cannot be had."""
    choice = choose_backend(backend)
    options.check(choice.backend, find_gpu())
    note(f"backend {choice.backend}: {choice.reason}")
    return choice


@contextmanager
def shown_refusal(
    show: Callable[[Sequence[Any]], None], loss: Callable[[Any], dict[str, Any]], json: bool
) -> Iterator[None]:
    """Shows what the variants cost that the gate refuses in here, before its error is told."""
    try:
        yield
    except GateError as error:
        if json:
            print_json({"published": False, "losses": {found.variant: loss(found) for found in error.reports}})
        else:
            show(error.reports)
        raise


def show_built(
    folder: GraphFolder, precision: str, choice: Choice, engines: list[Path], show: Callable[[], None], json: bool
) -> None:
    """Prints what was built; before it, `show` prints what the precision costs."""
    if json:
        losses = {name: loss for name, loss in folder.losses.items() if name.startswith(precision)}
        built = [str(path) for path in engines]
        print_json({"backend": choice.backend, "reason": choice.reason, "engines": built, "losses": losses})
        return
    show()
    if engines:
        rows = [(str(path.relative_to(folder.root)), f"{path.stat().st_size / 1e6:.1f}") for path in engines]
        print_table(str(folder.root), ("engine", "MB"), rows)


def named_precision(fp16: bool, int8: bool) -> str:
    """The precision that the flags name; raises JsfError where they name two."""
    if fp16 and int8:
        raise JsfError("--fp16 and --int8 were both given.", "Give --int8: its graphs are FP16 elsewhere.")
    return "int8" if int8 else "fp16" if fp16 else "fp32"


def find_table(bundle: Bundle, features: Path | None, captions: Path | None) -> Table | None:
    """The table to calibrate and to measure on; None where none is named.

    Raises:
        JsfError: one of the two is not given, or they do not go together with the model.
    """
    if not (features or captions):
        return None
    if not (features and captions):
        raise JsfError("--features and --captions go together.", "Give both: of videos, and of what describes them.")
    scorer = load_scorer(bundle.root, "cpu", "fp32")
    split, _, _ = evaluation_split(features, captions, None, None, None, "given", scorer)
    return Table.draw(split, captions.name, bundle.vocabulary)


def reduce(bundle: Bundle, precision: str, table: Table | None, choices: Choices) -> list[Report]:
    """Makes the graphs of a precision where the bundle has none, or data to measure them on is given.

    Raises:
        GateError: they cost more than the limits.
        JsfError: INT8 was asked for without data, or a choice is not one of this precision.
    """
    if precision == "int8" and bundle.manifest.model in EMBEDDINGS:
        raise JsfError(
            f"{bundle.manifest.model} consists of GRUs, which no backend computes in INT8.", bundle.remake("int8")
        )
    if precision != "int8" and (choices.keep or choices.auto):
        raise JsfError("--keep-fp16 and --auto are choices of --int8.", "Give --int8, or leave them out.")
    if table is None and choices != Choices():
        raise JsfError(
            "what INT8 keeps, its method and its limits need data to calibrate and to measure on.",
            "Give --features and --captions, or leave the other options out.",
        )
    if precision == "fp32":
        if table:
            raise JsfError("--features and --captions measure --fp16 or --int8.", "Give one, or leave them out.")
        return []
    if precision == "fp16":
        if table:
            return add_measured_fp16(bundle, table, choices.limits)
        if not _whole(bundle, "fp16"):
            add_fp16(bundle)
        return []
    if table:
        return add_int8(bundle, table, choices, note)
    if not _whole(bundle, "int8"):
        raise JsfError(
            "--int8 needs pairs to calibrate on, and the bundle has no whole INT8 graphs yet.",
            f"jsf build-engine --int8 --features FEATURES --captions TABLE --bundle {bundle.root}",
        )
    return []


def _whole(bundle: Bundle, variant: str) -> bool:
    """Whether all of a variant's graphs are there, and as they were written."""
    try:
        return all(bundle.graph(variant, name) for name in bundle.manifest.graphs)
    except JsfError:
        return False


def print_reports(reports: Sequence[Report], table: Table | None) -> None:
    """What each variant costs, on all rows and on those of videos that calibration did not see."""
    for report in reports:
        found, held = report.whole, report.held_out
        rows = []
        for name, change in found.metrics.items():
            within = f"{change.interval[0]:+.1f} to {change.interval[1]:+.1f}" if change.interval else ""
            alone = f"{held.metrics[name].fp32:.1f} -> {held.metrics[name].reduced:.1f}" if held else ""
            rows.append((name, f"{change.fp32:.1f}", f"{change.reduced:.1f}", within, alone))
        rows += [(name, "", of(found), "", of(held) if held else "") for name, of in MEASURES.items()]
        rows.append(("MB", f"{report.fp32_bytes / 1e6:.1f}", f"{report.bytes / 1e6:.1f}", "", ""))
        seen = f"; calibrated on {report.calibrated} videos" if report.calibrated else ""
        title = f"{report.variant}: {found.queries} queries of {table.name if table else ''}{seen}"
        print_table(title, ("", "fp32", report.variant, "change, 95%", "held out"), rows)
        print(f"{report.variant} accuracy: {report.accuracy}")
        wide = [node for nodes in report.fp32_nodes.values() for node in nodes]
        higher = "FP32" if report.variant == CPU_INT8 else "FP16"
        kept = ((f"{higher} instead of INT8", report.layers_fp16), ("FP32, which FP16 does not hold", wide))
        for what, names in kept:
            if names:
                print(f"{report.variant} keeps in {what}: {', '.join(names)}")


MEASURES: dict[str, Callable[[Comparison], str]] = {
    "rank correlation": lambda found: f"{found.rank_correlation:.4f}",
    "mean score error": lambda found: f"{found.share(found.score_error_mean):.2f}%",
    "largest": lambda found: f"{found.share(found.score_error_max):.2f}%",
}
