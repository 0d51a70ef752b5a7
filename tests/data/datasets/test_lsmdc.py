from pathlib import Path

import pytest

from jsf.data.blanks import Blank
from jsf.data.captions import Caption
from jsf.data.datasets import Dataset, open_dataset
from jsf.data.datasets import lsmdc as lsmdc_module
from jsf.data.errors import JsfError
from jsf.data.questions import Question


def kinds(found: Dataset) -> list[type]:
    return [type(split.rows[0]) for split in (found.train, found.val, found.test)]


def test_retrieval(lsmdc: Path) -> None:
    found = open_dataset("lsmdc", lsmdc, "retrieval")
    assert found.protocol == (
        "LSMDC retrieval: 20 videos, 1 caption each; trained on LSMDC16_CAP_train (60 videos, 1 caption each), "
        "epoch chosen on LSMDC16_RET_val (20 videos, 1 caption each)"
    )
    assert kinds(found) == [Caption] * 3
    assert found.test.rows[0].video_id == "vid80"
    assert found.train.store.read("vid0").shape == (1, 2)


def test_retrieval_without_its_validation_table(lsmdc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lsmdc / "DataFrame/LSMDC16_RET_val.csv").unlink()
    found = open_dataset("lsmdc", lsmdc, "retrieval")
    assert found.protocol.endswith("epoch chosen on LSMDC16_CAP_val (20 videos, 1 caption each)")
    monkeypatch.setattr(lsmdc_module, "GALLERY", 5)
    found = open_dataset("lsmdc", lsmdc, "retrieval")
    assert found.protocol.endswith("epoch chosen on LSMDC16_CAP_val (5 videos, 1 caption each)")


def test_multiple_choice_with_and_without_its_training_table(lsmdc: Path) -> None:
    found = open_dataset("lsmdc", lsmdc, "multiple-choice")
    assert kinds(found) == [Question] * 3
    assert found.protocol == (
        "LSMDC multiple-choice: 20 questions of 5 options; trained on LSMDC16_MC_train (60 questions of 5 options), "
        "epoch chosen on LSMDC16_MC_val (20 questions of 5 options)"
    )
    for split in ("train", "val"):
        (lsmdc / f"DataFrame/LSMDC16_MC_{split}.csv").unlink()
    found = open_dataset("lsmdc", lsmdc, "multiple-choice")
    assert kinds(found) == [Caption, Question, Question]
    assert "LSMDC16_CAP_train (60 videos, 1 caption each)" in found.protocol
    assert "LSMDC16_CAP_val (20 questions of 5 options)" in found.protocol


def test_fill_in_the_blank(lsmdc: Path) -> None:
    found = open_dataset("lsmdc", lsmdc, "fill-in-the-blank")
    assert kinds(found) == [Blank] * 3
    assert found.test.rows[0] == Blank("vid80", "a jumps and the sings of _____ 80 take 0", "clip")


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("retrieval", "CAP_train"),
        ("retrieval", "RET_test"),
        ("multiple-choice", "MC_test"),
        ("fill-in-the-blank", "FIB_val"),
    ],
)
def test_a_missing_table_is_named(task: str, name: str, lsmdc: Path) -> None:
    (lsmdc / f"DataFrame/LSMDC16_{name}.csv").unlink()
    with pytest.raises(JsfError, match=f"hold no LSMDC16_{name}.csv"):
        open_dataset("lsmdc", lsmdc, task)


def test_a_training_list_of_another_data_set_is_refused(lsmdc: Path) -> None:
    with pytest.raises(JsfError, match="'7k' is of msrvtt; lsmdc has one training split"):
        open_dataset("lsmdc", lsmdc, "retrieval", "7k")
