"""ActivityNet Captions: 10,009 paragraphs to train on, and the 4,917 of val_1 as the gallery."""

from pathlib import Path

from jsf.data.datasets.dataset import Dataset, state_protocol
from jsf.data.datasets.files import find, locate_features, locate_paragraphs
from jsf.data.split import Split, hold_out

TRAIN, VAL_1, VAL_2 = ("train.json", 10_009), ("val_1.json", 4_917), ("val_2.json", 4_885)
"""The published files and their numbers of paragraphs."""


def open_activitynet(root: Path) -> Dataset:
    """Opens `train.json` and `val_1.json`, each in `root` or a folder of it, and features of one's own.

    A tenth of the training videos, at most 500, is held out and chooses the epoch: val_2 tells of val_1's videos in
    other words, so it can neither train nor choose. Where it is there, it is checked with the others.

    Raises:
        JsfError: see `open_dataset`.
    """
    store = locate_features(root)
    rows, test = locate_paragraphs(root, *TRAIN), locate_paragraphs(root, *VAL_1)
    if find(root, VAL_2[0]):
        locate_paragraphs(root, *VAL_2)
    train, val = hold_out(rows)
    protocol = state_protocol("ActivityNet val_1", ("train", train), ("held-out training videos", val), test)
    return Dataset("activitynet", "retrieval", Split(store, train), Split(store, val), Split(store, test), protocol)
