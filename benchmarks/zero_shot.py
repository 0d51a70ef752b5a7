"""Trains an FSE on labelled videos without some of the labels, and asks for those: zero-shot recognition.

    python benchmarks/zero_shot.py --features train.h5 --captions train.csv --word-vectors vectors.txt -o runs

The videos of a fifth of the labels, drawn from the seed, are neither trained nor validated on; each is then asked for
its label among all that were held out. The words of a label are its text.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from jsf.data.captions import Caption, read_captions
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.evaluation.recognition import evaluate_recognition
from jsf.training.hse.embedder import CheckpointEmbedder
from jsf.training.hse.train import train_embedding
from jsf.verbs.train import key_value

SHARE = 0.2


def main() -> None:
    """Trains one model a seed, and prints what each reaches."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("features", "captions", "word-vectors"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--set", dest="settings", nargs="*", default=[], help="settings of the recipe, KEY=VALUE")
    options.add_argument("-o", "--out", type=Path, required=True)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    store, rows, reached = open_features(chosen.features), read_captions(chosen.captions), []
    settings = {**dict(map(key_value, chosen.settings)), "validate_every": 10_000, "patience": 10_000}
    for seed in chosen.seeds:
        seen, unseen = without_labels(rows, seed)
        checkpoint = train_embedding(
            Split(store, seen),
            Split(store, seen),  # no epoch is chosen
            chosen.out / f"fse-{seed}",
            preset="small",
            model="fse",
            word_vectors=chosen.word_vectors,
            settings=settings,
            seed=seed,
        )
        found = evaluate_recognition(CheckpointEmbedder(checkpoint.hse, checkpoint.vocabulary), unseen, store)
        reached.append(found)
        names = ("questions", "labels", "accuracy", "interval", "chance", "top5", "top5_interval", "top5_chance")
        print(json.dumps({"seed": seed, **{name: getattr(found, name) for name in names}}))
    top1, top5 = (np.mean([getattr(found, name) for found in reached]) for name in ("accuracy", "top5"))
    print(f"mean of {len(reached)} seeds: top-1 {top1:.1f}, top-5 {top5:.1f}")


def without_labels(rows: Sequence[Caption], seed: int) -> tuple[list[Caption], list[Caption]]:
    """The rows of four fifths of the labels, and those of the others whose videos have no other label."""
    labels = sorted({row.sentence for row in rows})
    held = set(random.Random(seed).sample(labels, round(SHARE * len(labels))))
    seen = [row for row in rows if row.sentence not in held]
    trained = {row.video_id for row in seen}
    return seen, [row for row in rows if row.sentence in held and row.video_id not in trained]


if __name__ == "__main__":
    main()
