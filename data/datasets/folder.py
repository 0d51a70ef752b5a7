"""Any folder with features and a table a split: `train.csv`, `val.csv` where there is one, and `test.csv`."""

from collections.abc import Sequence
from pathlib import Path

from jsf.data.datasets.dataset import Dataset, state_protocol
from jsf.data.datasets.files import locate_features
from jsf.data.datasets.tasks import as_blanks, as_captions, as_questions, known_words
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.split import Split, hold_out
from jsf.data.tables import Row, read_rows


def open_folder(root: Path, task: str) -> Dataset:
    """Opens a folder of `features/` or `features.h5` and the tables of its splits.

    A table holds captions, questions or blanks; from captions the rows of any task are made. Multiple choice prefers
    `.jsonl` to `.csv`. Without a `val` table a tenth of the training videos, at most 500, is held out.

    Raises:
        JsfError: see `open_dataset`.
    """
    store = locate_features(root)
    train, test = _read(root, "train", task), _read(root, "test", task)
    held = "val" if _table(root, "val", task) else "held-out training videos"
    train, val = (train, _read(root, "val", task)) if held == "val" else hold_out(train)
    if task == "retrieval":
        train, val, test = as_captions(train, "train"), as_captions(val, "val"), as_captions(test, "test")
    elif task == "multiple-choice":
        train = train if isinstance(train[0], Question) else as_captions(train, "train")
        val, test = as_questions(val, "val"), as_questions(test, "test")
    else:
        known = known_words(train, "train")
        val, test = as_blanks(val, known, "val"), as_blanks(test, known, "test")
    protocol = state_protocol(f"{root.name} {task}", ("train", train), (held, val), test)
    return Dataset("folder", task, Split(store, train), Split(store, val), Split(store, test), protocol)


def _table(root: Path, split: str, task: str) -> Path | None:
    names = [f"{split}.jsonl"] * (task == "multiple-choice") + [f"{split}.csv"]
    return next((root / name for name in names if (root / name).exists()), None)


def _read(root: Path, split: str, task: str) -> Sequence[Row]:
    if path := _table(root, split, task):
        return read_rows(path)
    raise JsfError(f"{root} has no {split}.csv.", "Expected a table with the columns video_id,sentence.")
