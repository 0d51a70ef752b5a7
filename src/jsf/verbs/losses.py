"""What each precision of a bundle costs, as its manifest says: error of scores, ranks, and what was measured."""

from typing import Any

from jsf.data.errors import JsfError
from jsf.runtime.bundle import EXPORT_AGAIN, Bundle
from jsf.runtime.graph_folder import CPU_INT8
from jsf.verbs.output import print_table

COLUMNS = ("precision", "mean error", "largest", "rank corr.", "pairs")


def print_losses(bundle: Bundle, precision: str = "") -> None:
    """Prints a table of the precision's variants, or of all, and below it the metrics and the layers that stay in FP16.

    Raises:
        JsfError: the manifest says it in another form.
    """
    losses = {name: loss for name, loss in bundle.manifest.losses.items() if name.startswith(precision)}
    if not losses:
        return
    try:
        rows = [_row(variant, loss) for variant, loss in losses.items()]
        lines = [line for variant, loss in losses.items() for line in _lines(variant, loss)]
    except (AttributeError, TypeError, ValueError) as error:
        raise JsfError(f"{bundle.root}/manifest.json: 'losses' cannot be read ({error}).", EXPORT_AGAIN) from error
    print_table("what a precision costs: errors of scores in % of their range", COLUMNS, rows)
    print(*lines, sep="\n")


def _row(variant: str, loss: dict[str, Any]) -> tuple[str, ...]:
    errors = (_share(loss.get(f"score_error_{which}"), loss.get("score_range")) for which in ("mean", "max"))
    return (variant, *errors, *(_number(loss.get(name)) for name in ("rank_correlation", "pairs")))


def _lines(variant: str, loss: dict[str, Any]) -> list[str]:
    lines = [f"{variant} accuracy: {loss.get('accuracy', 'not measured')}; samples: {loss.get('samples', 'not named')}"]
    for name, (fp32, reduced, *interval) in loss.get("metrics", {}).items():
        within = " to ".join(_number(end) for end in interval if end is not None)
        line = f"{variant} {name}: {_number(fp32)} in FP32, {_number(reduced)} reduced"
        lines.append(line + (f"; 95% interval of the difference {within}" if within else ""))
    if calibration := loss.get("calibration"):
        lines.append(f"{variant} calibration: {calibration}")
    if kept := loss.get("layers_fp16"):
        lines.append(f"{variant} keeps in {'FP32' if variant == CPU_INT8 else 'FP16'}: {', '.join(kept)}")
    for graph, nodes in loss.get("fp32_nodes", {}).items():
        if nodes:
            lines.append(f"{variant} keeps in FP32, of {graph}: {', '.join(nodes)}")
    return lines


def _share(error: Any, whole: Any) -> str:
    return f"{100 * error / whole:.2g}%" if error is not None and whole else ""


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
