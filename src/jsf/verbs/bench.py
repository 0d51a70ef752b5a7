"""`jsf bench`: how fast a bundle runs here, each backend and precision beside its peers."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jsf.data.extras import require
from jsf.data.files import write_json
from jsf.runtime.bench.candidates import BACKENDS
from jsf.runtime.bench.report import Encoding, Matching, Report
from jsf.runtime.bench.run import bench
from jsf.runtime.bundle import Bundle, default_bundle
from jsf.verbs.bench_chart import draw_chart
from jsf.verbs.facts import print_facts
from jsf.verbs.maps import check_format
from jsf.verbs.output import print_json, print_table


def show_bench(
    devices: Sequence[str],
    precisions: Sequence[str],
    captions: Path | None,
    frames: int,
    ckpt: Path | None,
    rounds: int,
    out: Path | None,
    chart: Path | None,
    bundle: Path | None,
    json: bool,
) -> None:
    """Measures, prints ratios and rates, and writes them as JSON and as a chart where these are asked for.

    Raises:
        JsfError: what was asked for is not here, a table or a checkpoint is not readable, or a file cannot be written.
    """
    if chart:
        require("matplotlib", "analysis")
        check_format(chart)
    opened = Bundle.open(bundle or default_bundle())
    peers = []
    if ckpt:
        require("torch", "train")
        from jsf.export.torch_matcher import torch_peers

        peers = torch_peers(ckpt)
    report = bench(opened, devices, precisions, captions, frames, rounds, peers)
    if json:
        print_json(asdict(report))
    else:
        print_report(report)
    if out:
        write_json(out, asdict(report))
    if chart:
        draw_chart(report, chart)


def print_report(report: Report) -> None:
    """Tables: of matching, ratios first, of its sizes, and of encoding; then what it ran on."""
    if report.workload:
        pairs, frames = report.workload["pairs"], report.workload["frames"]
        title = f"{pairs} pairs: videos of {frames} frames, {report.workload['source']}; x: times {report.baseline}"
        columns = ("matching", "x", "pairs/s", "of the\nfloor", "at\nonce", "differs\nby", "memory\nMB")
        print_table(title, columns, [_matching(row) for row in report.matching])
        _print_sizes([row for row in report.matching if row.buckets])
    answers = (
        ("a pair\np50 ms", "a pair\np95 ms", "of 100\np50 ms", "of 100\np95 ms") if report.workload else ("memory\nMB",)
    )
    title = "32 encoded at once; the answer to one sentence and a video, and of 100 encoded videos"
    columns = ("encoding", "videos\na second", "texts\na second", *answers)
    print_table(title if report.workload else "32 encoded at once", columns, map(_encoding, report.encoding))
    print_facts(_facts(report))


def _matching(row: Matching) -> list[str]:
    most = str(max(size.batch for size in row.sizes))
    differs = "" if row.difference is None else f"{row.difference:.0e}" if row.difference else "0"
    floor = f"{row.floor:.0%}" if row.floor else ""
    speed = row.pairs_per_second
    return [row.name, f"{row.ratio:.2f}", f"{speed:,.1f}", floor, most, differs, _mb(row)]


def _encoding(row: Encoding) -> list[str]:
    times = [f"{ms:,.1f}" for each in (row.pair, row.query) if each for ms in (each.p50_ms, each.p95_ms)]
    return [row.name, f"{row.videos_per_second:,.1f}", f"{row.texts_per_second:,.1f}", *(times or [_mb(row)])]


def _print_sizes(rows: Sequence[Matching]) -> None:
    """A row for each size: the share of the pairs that it takes, and the pairs/s of each way to run it."""
    speeds = {
        (row.name, size.frames, size.words): f"{size.pairs_per_second:,.1f}" for row in rows for size in row.sizes
    }
    shares = {(size.frames, size.words): size.share for row in rows for size in row.sizes}
    cells = [
        [f"{n}x{m}", f"{share:.0%}", *(speeds.get((row.name, n, m), "") for row in rows)]
        for (n, m), share in sorted(shares.items())
    ]
    print_table("pairs/s of each size", ("frames x words", "of the pairs", *(row.name for row in rows)), cells)


def _facts(report: Report) -> dict[str, object]:
    machine, floor = report.machine, report.floor
    backends = dict.fromkeys([*(row.backend for row in report.matching), *(row.backend for row in report.encoding)])
    facts: dict[str, object] = {
        "machine": f"{machine['processor']}, {machine['cores']} cores, load {machine['load']}; {machine['system']}",
        "versions": ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        "ran": "; ".join(backends),
        "rounds": f"{report.rounds}, in turn, after one that is not counted: medians; {report.date}",
    }
    if floor:
        rates = {kind: max(each.items(), key=lambda rate: rate[1]) for kind, each in floor.rates.items()}
        fastest = ", ".join(
            f"{kind} {rate / 1e9:,.0f} ({BACKENDS.get(name, name)})" for kind, (name, rate) in rates.items()
        )
        needed = f"{floor.operations / 1e9:.2f} GFLOP a pair ({floor.full_operations / 1e9:.2f} at 40x40)"
        facts["floor"] = f"{needed}; billion operations a second of a large product: {fastest}"
    return facts | {f"not here: {name}": why for name, why in report.absent.items()}


def _mb(row: Matching | Encoding) -> str:
    return f"{row.memory_bytes / 1e6:,.0f}" if row.memory_bytes is not None else ""
