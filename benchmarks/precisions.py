"""What each precision and each way to calibrate costs on a trained model: recall, score error, rank correlation, size.

    python benchmarks/precisions.py --bundle bundle --features F.h5 --captions C.csv -o precisions.json

Up to 1,000 rows are queries, and all their videos the gallery, as for `jsf build-engine`. FP16 and INT8 for engines
are simulated on the CPU: every result is rounded where the graph says so.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table as Grid

from jsf.calibration.accuracy import score_split
from jsf.calibration.candidate import measure
from jsf.calibration.collect import calibrate
from jsf.calibration.fp16 import write_fp16
from jsf.calibration.gate import Limits
from jsf.calibration.histogram import METHODS
from jsf.calibration.inputs import draw_pairs
from jsf.calibration.int8 import Int8Writer
from jsf.calibration.overflow import overflowing
from jsf.calibration.report import Report
from jsf.calibration.table import Table
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.data.tables import read_rows
from jsf.runtime.bundle import Bundle
from jsf.runtime.graph_folder import CPU_INT8
from jsf.runtime.scorer import Scorer


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", type=Path, required=True)
    options.add_argument("--features", type=Path, required=True)
    options.add_argument("--captions", type=Path, required=True)
    options.add_argument("-o", "--out", type=Path, required=True)
    chosen = options.parse_args()
    bundle = Bundle.open(chosen.bundle)
    split = Split(open_features(chosen.features), read_rows(chosen.captions))
    table = Table.draw(split, chosen.captions.name, bundle.vocabulary)
    reports = measure_all(bundle, table)
    chosen.out.write_text(json.dumps({name: asdict(report) for name, report in reports.items()}, indent=1))
    show(reports)


def measure_all(bundle: Bundle, table: Table) -> dict[str, Report]:
    scorer = Scorer.load(bundle.root, "cpu", "fp32")
    fp32, pairs = score_split(scorer, table.split), draw_pairs(scorer, table.calibration)
    nodes = overflowing(bundle, pairs)
    with TemporaryDirectory() as folder:
        paths = write_fp16(bundle, Path(folder), nodes)
        reports = {"fp16": measure(bundle, "fp16", paths, table, fp32, (), nodes)}
        for method in METHODS:
            calibration = calibrate(bundle, pairs, method)
            for variant in ("int8", CPU_INT8):
                writer = Int8Writer(bundle, calibration, variant, nodes)
                for name, path in paths.items():
                    writer.write(name, path)
                reports[f"{variant} {method}"] = measure(bundle, variant, paths, table, fp32, (), nodes)
                print(f"measured {variant} {method}", flush=True)
    return reports


def show(reports: dict[str, Report]) -> None:
    grid = Grid(title=f"{next(iter(reports.values())).whole.queries} queries", title_justify="left")
    names = list(next(iter(reports.values())).whole.metrics)
    for column in ("precision", *names, "R@1 95%", "error %", "max %", "rank corr.", "held out", "MB", "gate"):
        grid.add_column(column, justify="left" if column == "precision" else "right")
    first = next(iter(reports.values()))
    grid.add_row(
        "fp32", *(f"{c.fp32:.1f}" for c in first.whole.metrics.values()), *[""] * 5, f"{first.fp32_bytes / 1e6:.1f}"
    )
    for name, report in reports.items():
        found = report.whole
        low, high = next(iter(found.metrics.values())).interval or (0, 0)
        grid.add_row(
            name,
            *(f"{change.reduced:.1f}" for change in found.metrics.values()),
            f"{low:+.1f} to {high:+.1f}",
            f"{100 * found.score_error_mean / found.score_range:.2f}",
            f"{100 * found.score_error_max / found.score_range:.1f}",
            f"{found.rank_correlation:.4f}",
            f"{report.held_out.rank_correlation:.4f}" if report.held_out else "",
            f"{report.bytes / 1e6:.1f}",
            "refused" if report.failures(Limits()) else "passed",
        )
    Console(width=160).print(grid)


if __name__ == "__main__":
    main()
