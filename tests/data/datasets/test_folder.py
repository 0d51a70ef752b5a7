from pathlib import Path

import numpy as np
import pytest

from jsf.data.blanks import Blank
from jsf.data.captions import Caption
from jsf.data.datasets import Dataset, open_dataset
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.sequence import FeatureSequence

VAL, TEST = range(60, 70), range(70, 90)


def write(root: Path, split: str, numbers: range, captions: int = 2) -> None:
    lines = [f"v{n},a dog and cat number{n} run{i}" for n in numbers for i in range(captions)]
    (root / f"{split}.csv").write_text("\n".join(["video_id,sentence", *lines]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "clips"
    for n in range(90):
        FeatureSequence(np.ones((2, 3), np.float32), extractor="toy 1").save(root / f"features/v{n}.npz")
    write(root, "train", range(60))
    write(root, "val", VAL)
    write(root, "test", TEST, captions=1)
    return root


def kinds(found: Dataset) -> list[type]:
    return [type(split.rows[0]) for split in (found.train, found.val, found.test)]


def test_retrieval(root: Path) -> None:
    found = open_dataset("folder", root, "retrieval")
    assert found.protocol == (
        "clips retrieval: 20 videos, 1 caption each; trained on train (60 videos, 2 captions each), "
        "epoch chosen on val (10 videos, 2 captions each)"
    )
    assert (found.name, found.task, kinds(found)) == ("folder", "retrieval", [Caption] * 3)
    assert found.val.video_ids == [f"v{n}" for n in VAL]


def test_without_a_val_table_training_videos_are_held_out(root: Path) -> None:
    (root / "val.csv").unlink()
    found = open_dataset("folder", root, "retrieval")
    assert (
        "trained on train (54 videos, 2 captions each), epoch chosen on held-out training videos (6" in found.protocol
    )


def test_captions_become_questions_and_blanks(root: Path) -> None:
    assert kinds(open_dataset("folder", root, "multiple-choice")) == [Caption, Question, Question]
    found = open_dataset("folder", root, "fill-in-the-blank")
    assert kinds(found) == [Caption, Blank, Blank]
    assert {row.answer for row in found.test.rows if isinstance(row, Blank)} == {"dog", "cat"}


def test_questions_and_blanks_are_taken_as_they_are(root: Path) -> None:
    lines = [f'{{"video_id": "v{n}", "options": ["a", "b", "c"], "answer": 2}}' for n in TEST]
    (root / "test.jsonl").write_text("\n".join(lines))
    assert "20 questions of 3 options" in open_dataset("folder", root, "multiple-choice").protocol
    assert kinds(open_dataset("folder", root, "retrieval")) == [Caption] * 3
    (root / "test.csv").write_text("video_id,blank_sentence,answer\nv70,a __ runs,dog\n")
    assert open_dataset("folder", root, "fill-in-the-blank").test.rows == [Blank("v70", "a _____ runs", "dog")]
    with pytest.raises(JsfError, match="test holds blanks; this task needs captions"):
        open_dataset("folder", root, "retrieval")


def test_training_questions_are_used(root: Path) -> None:
    (root / "train.jsonl").write_text('{"video_id": "v0", "options": ["a", "b"], "answer": 0}')
    assert kinds(open_dataset("folder", root, "multiple-choice")) == [Question] * 3


QUESTIONS = "vid_key\ta1\ta2\tanswer\nv70\tx\ty\t0\n"


@pytest.mark.parametrize(
    ("task", "split", "message"),
    [
        ("retrieval", "train", "train holds questions; this task needs captions"),
        ("retrieval", "test", "test holds questions; this task needs captions"),
        ("fill-in-the-blank", "train", "train holds questions; this task needs blanks or captions"),
        ("fill-in-the-blank", "test", "test holds questions; this task needs blanks or captions"),
    ],
)
def test_rows_of_another_task_are_refused(task: str, split: str, message: str, root: Path) -> None:
    (root / f"{split}.csv").write_text(QUESTIONS)
    with pytest.raises(JsfError, match=message):
        open_dataset("folder", root, task)


def test_blanks_are_no_questions(root: Path) -> None:
    (root / "test.csv").write_text("video_id,blank_sentence,answer\nv70,a __ runs,dog\n")
    with pytest.raises(JsfError, match="test holds blanks; this task needs questions or captions"):
        open_dataset("folder", root, "multiple-choice")


@pytest.mark.parametrize(("split", "other"), [("train", "val"), ("train", "test"), ("val", "test")])
def test_a_video_in_two_splits_is_refused(split: str, other: str, root: Path) -> None:
    with (root / f"{other}.csv").open("a") as file:
        file.write("\n" + (root / f"{split}.csv").read_text().splitlines()[1])
    with pytest.raises(JsfError, match=f"{split} and {other} share 1 video: v"):
        open_dataset("folder", root, "retrieval")


def test_widths_that_differ_are_refused(root: Path) -> None:
    FeatureSequence(np.ones((2, 4), np.float32), extractor="toy 1").save(root / "features/v75.npz")
    with pytest.raises(JsfError, match=r"differ in width: 3 \(v0\), 4 \(v75\)"):
        open_dataset("folder", root, "retrieval")


def test_missing_features_are_counted_and_named(root: Path) -> None:
    for n in (3, 61, 70, 71):
        (root / f"features/v{n}.npz").unlink()
    with pytest.raises(JsfError, match=r"features of 4 videos: v3, v61, v70, \.\.\. \(of 90 that") as caught:
        open_dataset("folder", root, "retrieval")
    assert "jsf extract" in caught.value.fix


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_table_is_refused(split: str, root: Path) -> None:
    (root / f"{split}.csv").unlink()
    with pytest.raises(JsfError, match=f"has no {split}.csv"):
        open_dataset("folder", root, "retrieval")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("coco", "retrieval", None), "no data set 'coco'"),
        (("folder", "captioning", None), "no task 'captioning'"),
        (("msrvtt", "retrieval", "10k"), "no training list '10k'"),
    ],
)
def test_an_unknown_name_is_refused(arguments: tuple[str, str, str | None], message: str, root: Path) -> None:
    name, task, training = arguments
    with pytest.raises(JsfError, match=message) as caught:
        open_dataset(name, root, task, training)
    assert caught.value.fix.startswith("Choose one of: ")


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match="does not exist"):
        open_dataset("folder", tmp_path / "absent", "retrieval")
    (tmp_path / "file").touch()
    with pytest.raises(JsfError, match="is a file"):
        open_dataset("folder", tmp_path / "file", "retrieval")
    with pytest.raises(JsfError, match=r"hold no features.h5 or features.hdf5 or features"):
        open_dataset("folder", tmp_path, "retrieval")
