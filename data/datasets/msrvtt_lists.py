"""MSR-VTT's files: sentences, training lists, the 1k-A test list and the multiple-choice questions.

Videos are named `video<number>` here, whether a file says `video7020` or, as the authors', `msr7020`.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsf.data.captions import Caption, read_captions
from jsf.data.columns import read_table
from jsf.data.datasets.dataset import count
from jsf.data.datasets.files import find, locate
from jsf.data.errors import JsfError
from jsf.data.files import read_json
from jsf.data.questions import Question, read_questions

TEST = ("MSRVTT_JSFUSION_test.csv", "MSRVTT_JSFusion_test.csv")
QUESTIONS = ("msrvtt_mc_test.jsonl", "msrvtt_retrieval_mc_test.jsonl", "mc_test.jsonl", "MSR_MC_test.csv")
ORIGINAL = ("train_val_videodatainfo.json", "test_videodatainfo.json")
LISTS = {"9k": 9_000, "7k": 7_010}
"""Training list -> its number of videos: all but the 1k-A test's; the original training and validation splits."""


def read_sentences(root: Path) -> dict[str, list[Caption]]:
    """Video -> its captions, from `MSRVTT_data.json` or the original files of the challenge.

    Raises:
        JsfError: neither is there, or a sentence in them is damaged.
    """
    path = find(root, "MSRVTT_data.json")
    paths = [path] if path else [path for name in ORIGINAL if (path := find(root, name))]
    if not paths:
        raise JsfError(
            f"{root} and its folders hold no MSRVTT_data.json and no {ORIGINAL[0]}.",
            "Put the published file there, or name another --root.",
        )
    sentences: dict[str, list[Caption]] = {}
    for path in paths:
        items = read_json(path).get("sentences")
        if not isinstance(items, list) or not items:
            raise JsfError(f"{path} has no list 'sentences'.", "Expected the JSON that MSR-VTT is published with.")
        for number, item in enumerate(items):
            caption = _caption(f"{path}, sentence {number}", item)
            sentences.setdefault(caption.video_id, []).append(caption)
    return sentences


def _caption(place: str, item: Any) -> Caption:
    if not isinstance(item, dict) or not all(
        isinstance(item.get(name), str) and item[name].strip() for name in ("video_id", "caption")
    ):
        raise JsfError(f"{place} is {str(item)[:200]}, expected an object with 'video_id' and 'caption'.")
    video_id = _name(item["video_id"])
    if not re.fullmatch(r"video\d{1,9}", video_id):
        raise JsfError(f"{place}: 'video_id' is {video_id[:200]!r}, expected video<number>.")
    return Caption(video_id, " ".join(item["caption"].split()))


def read_test_list(root: Path) -> list[Caption]:
    """The 1k-A test: 1,000 videos with one caption each.

    Raises:
        JsfError: the file is absent, or is another list.
    """
    path = locate(root, *TEST)
    rows = [replace(row, video_id=_name(row.video_id)) for row in read_captions(path)]
    videos = len({row.video_id for row in rows})
    if not len(rows) == videos == 1_000:
        raise JsfError(
            f"{path} has {len(rows):,} captions of {videos:,} videos; the 1k-A test has 1,000 of 1,000.",
            f"Expected the published {TEST[0]}.",
        )
    return rows


def read_test_questions(root: Path) -> list[Question]:
    """The 2,990 multiple-choice questions.

    Raises:
        JsfError: the file is absent, or has another number of them.
    """
    path = locate(root, *QUESTIONS)
    rows = [replace(row, video_id=_name(row.video_id)) for row in read_questions(path)]
    if len(rows) != 2_990:
        raise JsfError(
            f"{path} has {len(rows):,} questions; the MSR-VTT multiple-choice test has 2,990.",
            f"Expected the published {QUESTIONS[0]} or {QUESTIONS[-1]}.",
        )
    return rows


def training_list(root: Path, name: str, sentences: dict[str, list[Caption]], test: set[str]) -> list[str]:
    """The videos of `MSRVTT_train.<name>.csv`; where it is absent, those of `sentences` that the list is made of.

    Raises:
        JsfError: they are not as many as the list has, or some have no sentence.
    """
    path = find(root, f"MSRVTT_train.{name}.csv")
    if path:
        videos = list(dict.fromkeys(_name(row["video_id"]) for _, row in read_table(path, ("video_id|vid_key",))))
    elif name == "9k":
        videos = [video for video in sentences if video not in test]
    else:  # the original splits: train is video0 to video6512, validate to video7009
        videos = [video for video in sentences if int(video.removeprefix("video")) < LISTS["7k"]]
    if len(videos) != LISTS[name]:
        found = path or f"the sentences in {root}"
        raise JsfError(f"{found}: {len(videos):,} training videos; the {name} list has {LISTS[name]:,}.", _COMPLETE)
    if absent := [video for video in videos if video not in sentences]:
        raise JsfError(f"the {name} list has {count(absent)}, of which there is no sentence.", _COMPLETE)
    return videos


_COMPLETE = f"The sentences of all videos are in MSRVTT_data.json, or in {' and '.join(ORIGINAL)} together."


def _name(video_id: str) -> str:
    return re.sub(r"^msr(?=\d+$)", "video", video_id)
