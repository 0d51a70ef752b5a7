"""Trains JSFusion and the paper's ablations, several seeds each, and prints the paper's table beside what they reach.

    python benchmarks/ablations.py --features grid/train.h5 --captions grid/train.csv \
        --val-features grid/val.h5 --val-captions grid/val.csv --audio-width 160 --word-vectors vectors.txt -o runs

The epoch is not chosen: each run is validated once, at its end. A model whose run is there is not trained again.
`fse` names the flat embedding, with settings of its own: --fse-set KEY=VALUE ... What is measured beside retrieval:
--questions FILE.jsonl ...
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from seeds import print_seeds, recalls

from jsf.data.blanks import every_blank
from jsf.data.captions import Caption
from jsf.data.files import replacing
from jsf.data.questions import read_questions
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.data.tables import read_rows
from jsf.data.task_names import FILLS
from jsf.evaluation.fill_in_the_blank import evaluate_fill_in_the_blank
from jsf.evaluation.multiple_choice import evaluate_multiple_choice
from jsf.evaluation.retrieval import score_retrieval
from jsf.models.presets import ABLATIONS
from jsf.training.hse.embedder import CheckpointEmbedder
from jsf.training.hse.train import train_embedding
from jsf.training.scorer import CheckpointScorer
from jsf.training.train import train
from jsf.verbs.train import key_value

PAPER = {
    "lstm-fusion": ("17.1", "38.3", ""),
    "jst-fc": ("29.1", "68.7", "42.9"),
    "jst-lstm": ("41.1", "79.7", "43.7"),
    "jst-max": ("41.0", "74.4", "41.3"),
    "jst-mean": ("40.9", "80.0", "44.2"),
    "no-attention": ("39.5", "79.2", "44.5"),
    "vgg-no-audio": ("", "75.6", "44.2"),
    "no-audio": ("41.3", "82.9", "45.26"),
    "jsfusion": ("43.2", "83.4", "45.52"),
}
"""The paper's R@10 and multiple choice on MSR-VTT, and fill-in-the-blank on LSMDC (Tables 2 and 3)."""


def main() -> None:
    """Trains what is missing, and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("features", "captions", "val-features", "val-captions", "word-vectors"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--questions", type=Path, nargs="*", default=[])
    options.add_argument("--task", default="retrieval")
    options.add_argument("--preset", default="small")
    options.add_argument("--models", nargs="+", default=["jsfusion", *ABLATIONS])
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--audio-width", type=int, default=128)
    options.add_argument("--set", dest="settings", nargs="*", default=[], help="settings of the recipe, KEY=VALUE")
    options.add_argument("--fse-set", dest="fse_settings", nargs="*", default=[], help="those of the flat embedding")
    options.add_argument("-o", "--out", type=Path, required=True)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    split = Split(open_features(chosen.features), read_rows(chosen.captions))
    val = Split(open_features(chosen.val_features), read_rows(chosen.val_captions))
    results = {model: [run(model, seed, split, val, chosen) for seed in chosen.seeds] for model in chosen.models}
    print_seeds(
        f"{chosen.task}, {chosen.preset}, {chosen.val_captions}",
        results,
        PAPER,
        [f"paper {name}" for name in ("R@10", "MC", "FIB")],
    )


def run(model: str, seed: int, split: Split, val: Split, chosen: argparse.Namespace) -> dict[str, Any]:
    """What one trained model reaches on val, read from its folder where it is there already."""
    folder = chosen.out / f"{model}-{seed}"
    path = folder / "reached.json"
    if path.is_file():
        return dict(json.loads(path.read_text()))
    common: dict[str, Any] = {
        "preset": chosen.preset,
        "word_vectors": chosen.word_vectors,
        "seed": seed,
        "resume": (folder / "last.ckpt").exists(),
    }
    settings = dict(map(key_value, chosen.fse_settings if model == "fse" else chosen.settings))
    settings |= {"validate_every": 10_000, "patience": 10_000}
    if model == "fse":
        checkpoint = train_embedding(split, val, folder, model=model, settings=settings, **common)
        scorer: Any = CheckpointEmbedder(checkpoint.hse, checkpoint.vocabulary)
    else:
        checkpoint = train(
            split,
            val,
            folder,
            task=chosen.task,
            model="jsfusion" if model == "text-only" else model,
            unseen=unseen(model, split, chosen.audio_width),
            settings=settings,
            **common,
        )
        scorer = CheckpointScorer(checkpoint.jsfusion, checkpoint.vocabulary)
    found = measure(scorer, val, chosen)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(found))
    return found


def unseen(model: str, split: Split, audio_width: int) -> int:
    """How many of a frame's last numbers a model does not look at."""
    if model == "text-only":
        return split.store.width(split.video_ids)
    return audio_width if "no-audio" in model else 0


def measure(scorer: Any, val: Split, chosen: argparse.Namespace) -> dict[str, Any]:
    """The measures of a task, and what each query reached, for paired comparisons.

    For fill-in-the-blank each content word of each caption is left out in turn.
    """
    if chosen.task == FILLS:
        known = set(scorer.vocabulary.words)
        blanks = [blank for row in val.rows if isinstance(row, Caption) for blank in every_blank(row, known)]
        filled = evaluate_fill_in_the_blank(scorer, blanks, val.store)
        return {"accuracy": filled.accuracy, "top5": filled.top5, "hits": filled.correct}
    captions = [row for row in val.rows if isinstance(row, Caption)]
    scores, relevant = score_retrieval(scorer, captions, val.store)
    found = recalls(scores, relevant, ks=(1, 5, 10))
    for path in chosen.questions:
        found[path.stem] = asdict(evaluate_multiple_choice(scorer, read_questions(path), val.store))["accuracy"]
    return found


if __name__ == "__main__":
    main()
