"""How long `jsf` takes to answer in a process of its own: `--help`, and a score of one feature file.

    python benchmarks/startup.py --bundle bundle

The feature file is made up: 40 steps of the width that the bundle takes, and the sentence is of its own words.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS, FeatureSequence
from jsf.runtime.bundle import Bundle

JSF = str(Path(sys.executable).with_name("jsf"))
HELP_TARGET, SCORE_TARGET = 0.3, 1.2  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="also time `jsf score` with this bundle")
    parser.add_argument("--runs", type=int, default=11, help="processes a command (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        commands = [("jsf --help", [JSF, "--help"], HELP_TARGET)]
        if arguments.bundle:
            commands.append(
                ("jsf score VIDEO.npz SENTENCE", score_command(arguments.bundle, Path(folder)), SCORE_TARGET)
            )
        results = [
            {"command": name, "target_s": target, "runs": arguments.runs, **measure(command, arguments.runs)}
            for name, command, target in commands
        ]
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        Console().print(table(results))


def score_command(bundle: Path, folder: Path) -> list[str]:
    opened = Bundle.open(bundle)
    features = np.random.default_rng(0).random((MAX_STEPS, opened.manifest.feature_width), np.float32)
    video = folder / "video.npz"
    FeatureSequence(features, fps=5, extractor=opened.manifest.extractor).save(video)
    return [JSF, "score", str(video), " ".join(opened.vocabulary.words[:8]), "--bundle", str(bundle)]


def measure(command: list[str], runs: int) -> dict[str, float]:
    """Seconds of `runs` processes, one after another, after one that fills the file cache."""
    seconds = [timed(command) for _ in range(runs + 1)][1:]
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "max_s": max(seconds)}


def timed(command: list[str]) -> float:
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if result.returncode:
        sys.exit(result.stderr)
    return seconds


def table(results: list[dict[str, Any]]) -> Table:
    shown = Table("command", "median", "fastest", "slowest", "target", title="Seconds from start to exit")
    for result in results:
        times = (result[key] for key in ("median_s", "min_s", "max_s", "target_s"))
        shown.add_row(str(result["command"]), *(f"{seconds:.2f}" for seconds in times))
    return shown


if __name__ == "__main__":
    try:
        main()
    except JsfError as error:
        sys.exit(str(error))
