"""`jsf evaluate`: the retrieval metrics of a checkpoint or a bundle."""

from dataclasses import asdict
from pathlib import Path

from jsf.data.captions import read_captions, video_ids
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.store import open_features
from jsf.evaluation.metrics import RECALLS, Ranking, chance
from jsf.evaluation.retrieval import MatrixScorer, Retrieval, evaluate_retrieval
from jsf.runtime.scorer import Scorer
from jsf.verbs.output import note, print_json, print_table


def show_evaluation(
    features: Path, captions: Path, ckpt: Path | None, bundle: Path | None, device: str, precision: str, json: bool
) -> None:
    """Evaluates retrieval in both directions, and prints it beside chance.

    Raises:
        JsfError: bad input.
    """
    if ckpt and bundle:
        raise JsfError("--ckpt and --bundle were both given.", "Evaluate one at a time.")
    scorer = _checkpoint(ckpt, device, precision) if ckpt else Scorer.load(bundle, device, precision)
    note(f"scoring with {scorer.description}")
    table = read_captions(captions)
    result = evaluate_retrieval(scorer, table, open_features(features))
    protocol = f"{len(video_ids(table)):,} videos, {len(table):,} sentences, ties averaged"
    if json:
        print_json({"protocol": protocol, "backend": scorer.description, **asdict(result)})
    else:
        print_retrieval(result, protocol)


def print_retrieval(result: Retrieval, title: str) -> None:
    """Both directions, each beside what chance reaches."""
    rows = []
    for name, found in (("sentence -> video", result.text_to_video), ("video -> sentence", result.video_to_text)):
        rows += [_row(name, found), _row("  chance", chance(found.queries, found.gallery))]
    print_table(title, ("", *(f"R@{k}" for k in RECALLS), "MedR", "MeanR"), rows)


def _row(name: str, ranking: Ranking) -> list[str]:
    recalls = [f"{ranking.recall[k]:.1f}" if k in ranking.recall else "" for k in RECALLS]
    return [name, *recalls, f"{ranking.median_rank:g}", f"{ranking.mean_rank:.1f}"]


def _checkpoint(path: Path, device: str, precision: str) -> MatrixScorer:
    require("torch", "train")
    from jsf.training.scorer import CheckpointScorer

    return CheckpointScorer.load(path, device, precision)
