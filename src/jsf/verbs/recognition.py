"""`jsf evaluate --task recognition`: the labels of videos, by their words or by a classifier of the embeddings."""

from pathlib import Path
from typing import Any

from jsf.data.datasets.dataset import count, describe
from jsf.data.datasets.tasks import as_captions
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.data.tables import read_rows
from jsf.data.task_names import RECOGNITION
from jsf.evaluation.recognition import embed_labelled, evaluate_classifier, evaluate_recognition, train_classifier
from jsf.verbs.evaluate import check_embeds, numbers, print_accuracy
from jsf.verbs.output import note, print_json
from jsf.verbs.videos import note_unknown


def show_recognition(embedder: Any, split: Split, train: Split | None, protocol: str, json: bool) -> None:
    """Recognises labels by their words and, where there are videos to train on, by a classifier of the embeddings.

    Raises:
        JsfError: the model scores pairs, the rows are not captions, a video has no features, or scikit-learn is absent.
    """
    check_embeds(embedder)
    captions = as_captions(split.rows, "the table")
    if train:
        require("sklearn", "analysis")
    note(f"embedding with {embedder.description}")
    note_unknown(embedder.vocabulary, list(dict.fromkeys(caption.sentence for caption in captions)))
    trained = ""
    results = {"zero-shot": evaluate_recognition(embedder, captions, split.store)}
    if train:
        labelled = as_captions(train.rows, "the table of --train-captions")
        videos, rows = embed_labelled(embedder, labelled, train.store)
        classifier = train_classifier(videos[rows], [caption.sentence for caption in labelled])
        trained = f", trained on {describe(labelled)}"
        results["classifier"] = evaluate_classifier(classifier, embedder, captions, split.store)
    if json:
        found = {name: numbers(result) for name, result in results.items()}
        about = {"protocol": protocol + (trained and f"; classifier{trained}")}
        print_json({"task": RECOGNITION, **about, "backend": embedder.description, **found})
        return
    for name, result in results.items():
        how = name + (trained if name == "classifier" else "")
        print_accuracy(result, f"{RECOGNITION}, {how}: {protocol}; {result.labels:,} labels")


def classifier_split(features: Path | None, captions: Path | None, task: str, split: Split) -> Split | None:
    """The labelled videos that train the classifier of recognition, with the features of `split` where none are named.

    Raises:
        JsfError: the task is another, the table cannot be read, or it shares a video with the one that is measured.
    """
    if not captions and not features:
        return None
    if not captions or task != RECOGNITION:
        raise JsfError(
            "--train-captions and --train-features are what the classifier of recognition is trained on.",
            "For example: --task recognition --captions test.csv --train-captions train.csv",
        )
    store = open_features(features) if features else split.store
    train = Split(store, as_captions(read_rows(captions), str(captions)))
    if shared := set(train.video_ids) & set(split.video_ids):
        raise JsfError(f"{captions} shares {count(sorted(shared))} with what is measured.", "Train on other videos.")
    return train
