"""LSMDC 2016 as the authors' tables have it, with their features of frames and sound."""

from collections.abc import Callable, Sequence
from pathlib import Path

from jsf.data.blanks import read_blanks
from jsf.data.captions import read_captions
from jsf.data.datasets.dataset import Dataset, state_protocol
from jsf.data.datasets.files import locate, locate_features
from jsf.data.datasets.tasks import as_questions
from jsf.data.questions import read_questions
from jsf.data.split import Split, hold_out
from jsf.data.tables import Row

FEATURES = "RESNET_pool5wav.hdf5"
"""ResNet-152 pool5 and VGGish, `<vid_key>` -> [T, 2176]."""

GALLERY = 1_000
"""Validation videos at most, as many as the test's: all 7,408 of CAP_val would be 55 million pairs an epoch."""

_TABLES = {
    "retrieval": (("CAP_train",), ("RET_val", "CAP_val"), ("RET_test",)),
    "multiple-choice": (("MC_train", "CAP_train"), ("MC_val", "CAP_val"), ("MC_test",)),
    "fill-in-the-blank": (("FIB_train",), ("FIB_val",), ("FIB_test",)),
}
"""Task -> the tables of train, val and test, the preferred first."""

_READERS: dict[str, Callable[[Path], Sequence[Row]]] = {
    "CAP": read_captions,
    "RET": read_captions,
    "MC": read_questions,
    "FIB": read_blanks,
}


def open_lsmdc(root: Path, task: str) -> Dataset:
    """Opens `LSMDC16_{CAP,FIB,MC,RET}_{train,val,test}.csv`, each in `root` or a folder of it.

    Retrieval trains on CAP, as the authors do; where RET_val is absent, 1,000 videos of CAP_val choose the epoch.
    Multiple choice trains on the captions of CAP where there is no MC_train, and samples questions from CAP_val where
    there is no MC_val.

    Raises:
        JsfError: see `open_dataset`.
    """
    store = locate_features(root, FEATURES)
    paths = [locate(root, *(f"LSMDC16_{name}.csv" for name in names)) for names in _TABLES[task]]
    train, val, test = (_READERS[path.stem.split("_")[1]](path) for path in paths)
    if task == "retrieval" and len({row.video_id for row in val}) > GALLERY:
        _, val = hold_out(val, share=1.0, most=GALLERY)
    if task == "multiple-choice":
        val = as_questions(val, paths[1].name)
    protocol = state_protocol(f"LSMDC {task}", (paths[0].stem, train), (paths[1].stem, val), test)
    return Dataset("lsmdc", task, Split(store, train), Split(store, val), Split(store, test), protocol)
