import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from jsf.data.blanks import BLANK, Blank
from jsf.data.captions import Caption
from jsf.data.datasets import open_dataset
from jsf.data.datasets.msrvtt_lists import read_sentences, read_test_list, training_list
from jsf.data.errors import JsfError
from jsf.data.questions import Question

Edit = Callable[[str, Callable[[list[str]], list[str]]], None]


def test_retrieval_on_the_9k_list(published: Path) -> None:
    found = open_dataset("msrvtt", published, "retrieval")
    assert found.protocol == (
        "1k-A: 1,000 videos, 1 caption each; trained on the 9k list (8,500 videos, 2 captions each), "
        "epoch chosen on held-out training videos (500 videos, 1 caption each)"
    )
    assert found.test.rows[0] == Caption("msr7010", "a dog and the jumps of clip 7010 take 0")
    assert [len(split.rows) for split in (found.train, found.val, found.test)] == [17_000, 500, 1_000]
    assert found.test.store.read("msr7010").shape == (1, 2)
    assert {row.video_id for row in found.val.rows}.isdisjoint(found.train.video_ids)


def test_the_lists_are_made_where_the_originals_alone_are_there(msrvtt: Path, published: Path) -> None:
    test = {row.video_id for row in read_test_list(published)}
    expected = {name: training_list(published, name, read_sentences(published), test) for name in ("9k", "7k")}
    whole = json.loads((msrvtt / "MSRVTT_data.json").read_text())["sentences"]
    for split, sentences in (("train_val", whole[: 2 * 7_010]), ("test", whole[2 * 7_010 :])):
        (msrvtt / f"{split}_videodatainfo.json").write_text(json.dumps({"sentences": sentences}))
    for file in ("MSRVTT_data.json", "MSRVTT_train.7k.csv", "MSRVTT_train.9k.csv"):
        (msrvtt / file).unlink()
    found = read_sentences(msrvtt)
    assert found == read_sentences(published)
    assert {name: training_list(msrvtt, name, found, test) for name in expected} == expected

    (msrvtt / "test_videodatainfo.json").unlink()
    assert "trained on the 7k list (6,510 videos" in open_dataset("msrvtt", msrvtt, "retrieval", "7k").protocol
    with pytest.raises(JsfError, match="7,010 training videos; the 9k list has 9,000") as caught:
        open_dataset("msrvtt", msrvtt, "retrieval")
    assert "test_videodatainfo.json" in caught.value.fix


@pytest.mark.parametrize("name", ["msrvtt_mc_test.jsonl", "MSR_MC_test.csv"])
def test_multiple_choice_trains_on_the_7k_list(name: str, msrvtt: Path) -> None:
    if name == "MSR_MC_test.csv":
        lines = map(json.loads, (msrvtt / "msrvtt_mc_test.jsonl").read_text().splitlines())
        rows = [["k", x["clip_name"].replace("video", "msr"), *x["options"], x["answer"]] for x in lines]
        header = ["key", "vid_key", "a1", "a2", "a3", "a4", "a5", "answer"]
        (msrvtt / name).write_text("\n".join("\t".join(row) for row in [header, *rows]))
        (msrvtt / "msrvtt_mc_test.jsonl").unlink()
    (msrvtt / "MSRVTT_JSFUSION_test.csv").unlink()
    found = open_dataset("msrvtt", msrvtt, "multiple-choice")
    assert found.protocol == (
        "MSR-VTT multiple choice: 2,990 questions of 5 options; trained on the 7k list (6,510 videos, 2 captions "
        "each), epoch chosen on held-out training videos (500 questions of 5 options)"
    )
    assert isinstance(found.train.rows[0], Caption)
    assert isinstance(found.val.rows[0], Question)
    first = found.test.rows[0]
    assert isinstance(first, Question)
    assert (first.video_id, first.answer, first.options[0]) == ("msr7010", 1, "a dog and the jumps of clip 7010 take 0")
    with pytest.raises(JsfError, match="9k list holds videos of the 2,990 test questions") as caught:
        open_dataset("msrvtt", msrvtt, "multiple-choice", "9k")
    assert "--training 7k" in caught.value.fix


def test_fill_in_the_blank_is_made_of_the_captions(published: Path) -> None:
    found = open_dataset("msrvtt", published, "fill-in-the-blank")
    assert found.protocol == (
        "1k-A fill-in-the-blank: 1,000 sentences with one blank, 1,000 videos; trained on the 9k list (8,500 "
        "videos, 2 captions each), epoch chosen on held-out training videos (500 sentences with one "
        "blank, 500 videos)"
    )
    assert all(isinstance(row, Caption) for row in found.train.rows), "each word of which is left out in turn"
    for split in (found.val, found.test):
        first = split.rows[0]
        assert isinstance(first, Blank)
        assert BLANK in first.sentence
        assert not first.answer.isdigit()


def test_features_under_video_ids(msrvtt: Path) -> None:
    with h5py.File(msrvtt / "features.h5", "w") as file:
        for n in range(10_000):
            file[f"video{n}"] = np.ones((1, 3), np.float16)
    (msrvtt / "features_of_frames").unlink()
    found = open_dataset("msrvtt", msrvtt, "retrieval")
    assert found.test.rows[0].video_id == "video7010"
    assert found.test.store.read("video7010").shape == (1, 3)


def test_missing_features_are_counted_and_named(msrvtt: Path) -> None:
    with h5py.File(msrvtt / "features.h5", "w") as file:
        for n in range(9_995):
            file[f"video{n}"] = np.ones((1, 3), np.float16)
    (msrvtt / "features_of_frames").unlink()
    with pytest.raises(JsfError, match=r"lacks the features of 5 videos: .*, \.\.\. \(of 10,000 that msrvtt needs"):
        open_dataset("msrvtt", msrvtt, "retrieval")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "999 captions of 999 videos; the 1k-A test has 1,000 of 1,000"),
        (lambda lines: [*lines, lines[-1]], "1,001 captions of 1,000 videos"),
        (lambda lines: [*lines[:-1], lines[1]], "1,000 captions of 999 videos"),
        (lambda lines: [*lines[:-1], lines[-1].replace("8009", "3")], "share 1 video: video3"),
        (
            lambda lines: [line.replace("sentence", "text") for line in lines],
            r"no column \['sentence or description or label'\]",
        ),
    ],
    ids=["one fewer", "one more", "one twice", "one of training", "no sentence"],
)
def test_another_test_list_is_refused(
    change: Callable[[list[str]], list[str]], message: str, msrvtt: Path, edit: Edit
) -> None:
    edit("MSRVTT_JSFUSION_test.csv", change)
    with pytest.raises(JsfError, match=message.replace("video3", "msr3")):
        open_dataset("msrvtt", msrvtt, "retrieval")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-2], r"MSRVTT_train.9k.csv: 8,998 training videos; the 9k list has 9,000"),
        (lambda lines: [*lines[:-1], lines[1]], "8,999 training videos"),
        (lambda lines: [*lines[:-1], "video12000"], "has 1 video: video12000, of which there is no sentence"),
        (lambda lines: [*lines[:-1], "video7010"], "(train|val) and test share 1 video: msr7010"),
    ],
    ids=["two fewer", "one twice", "an unknown one", "one of the test"],
)
def test_another_training_list_is_refused(
    change: Callable[[list[str]], list[str]], message: str, msrvtt: Path, edit: Edit
) -> None:
    edit("MSRVTT_train.9k.csv", change)
    with pytest.raises(JsfError, match=message):
        open_dataset("msrvtt", msrvtt, "retrieval")


def test_another_number_of_questions_is_refused(msrvtt: Path, edit: Edit) -> None:
    edit("msrvtt_mc_test.jsonl", lambda lines: lines[:-1])
    with pytest.raises(JsfError, match="has 2,989 questions; the MSR-VTT multiple-choice test has 2,990"):
        open_dataset("msrvtt", msrvtt, "multiple-choice")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"annotations": []}, "has no list 'sentences'"),
        ({"sentences": []}, "has no list 'sentences'"),
        (
            {"sentences": [{"caption": "a dog", "video_id": "video0"}, {"caption": "a"}]},
            "sentence 1 is {'caption': 'a'}",
        ),
        ({"sentences": [{"caption": " ", "video_id": "video0"}]}, "sentence 0 is"),
        ({"sentences": [{"caption": "a dog", "video_id": "clip"}]}, "'video_id' is 'clip', expected video<number>"),
        ({"sentences": ["a dog"]}, "sentence 0 is a dog"),
    ],
)
def test_damaged_sentences_are_refused(value: object, message: str, msrvtt: Path) -> None:
    (msrvtt / "MSRVTT_data.json").write_text(json.dumps(value))
    with pytest.raises(JsfError, match=message):
        open_dataset("msrvtt", msrvtt, "retrieval")


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("MSRVTT_data.json", "retrieval"),
        ("MSRVTT_JSFUSION_test.csv", "retrieval"),
        ("msrvtt_mc_test.jsonl", "multiple-choice"),
        ("features_of_frames", "retrieval"),
    ],
)
def test_a_missing_file_is_named(name: str, task: str, msrvtt: Path) -> None:
    (msrvtt / name).unlink()
    with pytest.raises(JsfError, match=f"hold no .*{name if '.' in name else 'MSR_RESNET_pool5.hdf5'}"):
        open_dataset("msrvtt", msrvtt, task)
