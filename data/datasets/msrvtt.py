"""MSR-VTT: the 1k-A list, its 9k and 7k training lists, and the 2,990 multiple-choice questions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsf.data.datasets.dataset import Dataset, state_protocol
from jsf.data.datasets.files import locate_features
from jsf.data.datasets.msrvtt_lists import read_sentences, read_test_list, read_test_questions, training_list
from jsf.data.datasets.tasks import as_blanks, as_questions, first_captions, known_words
from jsf.data.errors import JsfError
from jsf.data.split import Split, hold_out
from jsf.data.store import FeatureStore
from jsf.data.tables import Row
from jsf.data.task_names import FILLS

FEATURES = "MSR_RESNET_pool5.hdf5"
"""ResNet-152 pool5, `msr<number>` or `video<number>` -> [T, 2048]."""


def open_msrvtt(root: Path, task: str, training: str | None = None) -> Dataset:
    """Opens the published lists and the sentences of the original JSON, each in `root` or a folder of it.

    Retrieval and fill-in-the-blank are tested on the 1k-A list, multiple choice on its 2,990 questions. A tenth of
    the training videos, at most 500, is held out with one caption each and chooses the epoch. Blanks are made: one
    content word a caption, and of training captions each in turn.

    Raises:
        JsfError: see `open_dataset`.
    """
    choice = task == "multiple-choice"
    training = training or ("7k" if choice else "9k")
    if choice and training == "9k":
        raise JsfError("the 9k list holds videos of the 2,990 test questions.", "Train on the others: --training 7k")
    store, sentences = locate_features(root, FEATURES), read_sentences(root)
    test: Sequence[Row] = read_test_questions(root) if choice else read_test_list(root)
    videos = training_list(root, training, sentences, {row.video_id for row in test})
    train: Sequence[Row]
    train, held = hold_out([caption for video in videos for caption in sentences[video]])
    val: Sequence[Row] = first_captions(held)
    if choice:
        val = as_questions(val, "val")
    if task == FILLS:
        known = known_words(train, "train")
        val, test = (as_blanks(rows, known, task) for rows in (val, test))
    title = {"retrieval": "1k-A", "multiple-choice": "MSR-VTT multiple choice"}.get(task, "1k-A fill-in-the-blank")
    protocol = state_protocol(title, (f"the {training} list", train), ("held-out training videos", val), test)
    return Dataset("msrvtt", task, _split(store, train), _split(store, val), _split(store, test), protocol)


def _split(store: FeatureStore, rows: Sequence[Row]) -> Split:
    """A split whose ids are written as the store's keys are: the authors' have `msr7020` for `video7020`."""
    prefix = "msr" if store.ids()[0].startswith("msr") else "video"
    return Split(store, [replace(row, video_id=row.video_id.replace("video", prefix, 1)) for row in rows])
