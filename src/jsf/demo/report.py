"""The demo's report as tables."""

from pathlib import Path

from jsf.demo.run import Report
from jsf.evaluation.metrics import Ranking, chance
from jsf.verbs.output import print_table

RECALLS = (1, 5, 10)
SCORERS = {"matcher": "JSFusion", "control": "order-blind control"}
KINDS = {"order": "scenes swapped", "attribute": "one attribute changed", "sound": "another sound"}


def print_report(report: Report, out: Path) -> None:
    """Prints what was measured on the held-out clips, what was built, and how long each stage took."""
    _print_retrieval(report)
    rates = [
        [SCORERS[name], *(f"{rates[kind]:.0f}%" for kind in KINDS)] for name, rates in report.hard_negatives.items()
    ]
    print_table("The true caption beats its hard negative (a tie counts half)", ("", *KINDS.values()), rates)
    for sentence, hits in report.search.items():
        rows = [(hit.caption, hit.clip, f"{hit.score:.2f}", "right" if hit.right else "") for hit in hits]
        print_table(f'Search: "{sentence}"', ("caption of the clip found", "clip", "score", ""), rows)
    parity = [(name, f"{error:.1e}") for name, error in report.parity.items()]
    print_table("ONNX against PyTorch", ("graph", "difference, of the output's range"), parity)
    _print_engines(report)
    total = sum(report.seconds.values())
    seconds = [(stage, f"{spent:.1f}") for stage, spent in [*report.seconds.items(), ("total", total)]]
    print_table("Time of this run", ("stage", "seconds"), seconds)
    print(f"All of it is in {out}: clips/, features/, run/best.pt, bundle/ and report.json.")


def _print_retrieval(report: Report) -> None:
    rows = []
    for way, title in (("text_to_video", "sentence -> video"), ("video_to_text", "video -> sentence")):
        found = {name: getattr(report.retrieval[scorer], way) for scorer, name in SCORERS.items()}
        any_ranking = next(iter(found.values()))
        found["chance"] = chance(any_ranking.queries, any_ranking.gallery)
        rows += [_row(f"{title}: {name}", ranking) for name, ranking in found.items()]
    title = f"Retrieval among {report.clips['test']} held-out clips, whose combinations training never saw"
    print_table(title, ("", *(f"R@{k}" for k in RECALLS), "median rank"), rows)


def _row(name: str, ranking: Ranking) -> list[str]:
    return [name, *(f"{ranking.recall[k]:.1f}" for k in RECALLS), f"{ranking.median_rank:g}"]


def _print_engines(report: Report) -> None:
    engine = report.engine
    print(f"Engines by {engine['backend']}: {engine['reason']}.")
    print_table("Engines", ("file", "MB"), [(path, f"{size / 1e6:.1f}") for path, size in engine["bytes"].items()])
    loss = engine["fp16"]
    print(f"FP16 moves a score by at most {loss['score_error_max']:.2g} (range of scores {loss['score_range']:.2g}).")
    print(f"Scored here with {engine['scored by']}.")
