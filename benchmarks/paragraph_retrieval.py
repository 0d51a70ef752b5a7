"""Trains FSE, HSE and HSE without some of its terms on paragraphs, several seeds each, and compares them.

    python benchmarks/paragraph_retrieval.py --train P/train --val P/val --word-vectors vectors.txt -o runs

`--train` and `--val` are folders that benchmarks/paragraphs.py wrote. The epoch is not chosen: each run is validated
once, at its end. A model whose run is there is not trained again. `--figure` draws recall against the share observed.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seeds import print_seeds, recalls

from jsf.data.files import replacing
from jsf.data.paragraphs import Paragraph, uniform
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.data.tables import read_rows
from jsf.evaluation.incomplete import evaluate_incomplete
from jsf.evaluation.intervals import paired_bootstrap
from jsf.evaluation.paragraphs import score_paragraphs
from jsf.training.hse.embedder import CheckpointEmbedder
from jsf.training.hse.train import train_embedding
from jsf.verbs.train import key_value


@dataclass(frozen=True)
class Variant:
    """A model, what its recipe lacks, and the clips it sees."""

    model: str
    settings: dict[str, Any]
    clips: int = 0


VARIANTS = {
    "fse": Variant("fse", {}),
    "fse, more frames": Variant("fse", {"frames": 160, "text_words": 160}),
    "hse": Variant("hse", {}),
    "hse, tau = 0": Variant("hse", {"reconstruct_high": 0.0, "reconstruct_low": 0.0}),
    "hse, no low level": Variant("hse", {"low": 0.0}),
    "hse, neither": Variant("hse", {"low": 0.0, "reconstruct_high": 0.0, "reconstruct_low": 0.0}),
    "hse, weak": Variant("hse", {"weak": True}),
    "hse, uniform clips": Variant("hse", {}, clips=4),
}


def main() -> None:
    """Trains what is missing, and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "val", "word-vectors"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--preset", default="small")
    options.add_argument("--models", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--set", dest="settings", nargs="*", default=[], help="settings of every model, KEY=VALUE")
    options.add_argument("--figure", type=Path)
    options.add_argument("-o", "--out", type=Path, required=True)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    results = {name: [run(name, seed, chosen) for seed in chosen.seeds] for name in chosen.models}
    print_seeds(
        "paragraph retrieval",
        results,
        {model: [gain(runs, results.get("fse", []))] for model, runs in results.items()},
        ["R@1 above fse (95%)"],
    )
    if chosen.figure:
        draw(results, chosen.figure)


def read_split(folder: Path, clips: int) -> Split:
    """A folder of paragraphs, with as many equal clips, or their own where 0."""
    rows = [row for row in read_rows(folder / "paragraphs.json") if isinstance(row, Paragraph)]
    return Split(open_features(folder / "features.h5"), [uniform(row, clips) for row in rows] if clips else rows)


def run(name: str, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """What one trained model reaches on val, read from its folder where it is there already."""
    variant, folder = VARIANTS[name], chosen.out / f"{name.replace(', ', '-').replace(' ', '')}-{seed}"
    path = folder / "reached.json"
    if path.is_file():
        return dict(json.loads(path.read_text()))
    split, val = (read_split(part, variant.clips) for part in (chosen.train, chosen.val))
    checkpoint = train_embedding(
        split,
        val,
        folder,
        preset=chosen.preset,
        model=variant.model,
        word_vectors=chosen.word_vectors,
        settings={
            **dict(map(key_value, chosen.settings)),
            **variant.settings,
            "validate_every": 10_000,
            "patience": 10_000,
        },
        seed=seed,
        resume=(folder / "last.ckpt").exists(),
    )
    found = measure(CheckpointEmbedder(checkpoint.hse, checkpoint.vocabulary), val)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(found))
    return found


def measure(embedder: CheckpointEmbedder, val: Split) -> dict[str, Any]:
    """Both directions, the rank of each query, and recall@1 of incomplete videos and paragraphs."""
    rows = [row for row in val.rows if isinstance(row, Paragraph)]
    scores, relevant = score_paragraphs(embedder, rows, val.store)
    found = recalls(scores, relevant, ks=(1, 5, 50))
    curve = evaluate_incomplete(embedder, rows, val.store)
    found["observed"] = {str(each.share): each.retrieval.text_to_video.recall[1] for each in curve}
    return found


def gain(runs: list[dict[str, Any]], flat: list[dict[str, Any]]) -> str:
    """The difference in R@1 of both directions from FSE's, each query's mean over seeds, by a paired bootstrap."""
    if not flat or runs is flat:
        return ""
    cells = []
    for way in ("t2v", "v2t"):
        ours, theirs = ([np.array(found[f"{way} ranks"]) <= 1 for found in each] for each in (runs, flat))
        found = paired_bootstrap(100.0 * np.mean(ours, axis=0), 100.0 * np.mean(theirs, axis=0))
        cells.append(f"{found.difference:+.1f} ({found.interval[0]:.1f} to {found.interval[1]:.1f})")
    return ", ".join(cells)


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Recall@1 against the share of clips and sentences that is observed, a line a model."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for model, runs in results.items():
        shares = [float(share) for share in runs[0]["observed"]]
        values = np.array([list(found["observed"].values()) for found in runs])
        axes.plot([100 * share for share in shares], values.mean(0), marker="o", label=model)
        axes.fill_between([100 * share for share in shares], values.min(0), values.max(0), alpha=0.15)
    axes.set(xlabel="observed clips and sentences, %", ylabel="paragraph -> video R@1, %")
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, bbox_inches="tight", dpi=150)


if __name__ == "__main__":
    main()
