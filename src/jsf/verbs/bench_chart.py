"""The chart of `jsf bench`: a bar for each way to run the model."""

from pathlib import Path

from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.runtime.bench.report import Report

COLOURS = {"fp32": "C0", "fp16": "C2", "int8": "C1"}
GREY = "0.35"
BAR = 0.34
"""Inches that a bar takes."""


def draw_chart(report: Report, path: Path) -> None:
    """Pairs a second of each way, the fastest on top, pale at 40 x 40; of an embedding what is encoded in a second.

    Raises:
        JsfError: matplotlib is absent, or the file cannot be written.
    """
    bars = [
        (row.name, row.pairs_per_second, f"{row.ratio:.1f}x", row.precision, 0.9 if row.buckets else 0.4)
        for row in report.matching
    ]
    what = f"pairs a second, and how many times {report.baseline}"
    if not bars:
        what = "encoded a second"
        for row in report.encoding:
            bars.append((f"{row.name}, videos", row.videos_per_second, "", row.precision, 0.9))
            bars.append((f"{row.name}, texts", row.texts_per_second, "", row.precision, 0.4))
    size = (8, 0.9 + BAR * len(bars))
    figure = require("matplotlib.figure", "analysis").Figure(size, dpi=150, layout="constrained")
    axes = figure.subplots()
    for place, (name, speed, ratio, precision, strength) in enumerate(bars):
        axes.barh(name, speed, color=COLOURS[precision], alpha=strength)
        axes.annotate(f" {ratio} ({speed:,.0f})", (speed, place), va="center", fontsize=8, color=GREY)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(f"{report.bundle['model']}, preset {report.bundle['preset']}", loc="left", fontsize=10, color=GREY)
    axes.set_xlabel(f"{what}\n{report.machine['processor']}, {report.machine['cores']} cores", fontsize=8, color=GREY)
    axes.tick_params(colors=GREY, length=2, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary)
