import json
import logging
from pathlib import Path

import pytest

from jsf.data.captions import Caption
from jsf.data.datasets import open_dataset
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.data.task_names import EMBEDDING

TEST = {"activitynet": "val_1.json", "didemo": "test_data_bwzhang.json"}


def test_activitynet(told: Path) -> None:
    found = open_dataset("activitynet", told, EMBEDDING)
    assert found.task == "retrieval"
    assert found.protocol == (
        "ActivityNet val_1: 4,917 paragraphs of 2 sentences; trained on train (9,509 paragraphs of 2 sentences), "
        "epoch chosen on held-out training videos (500 paragraphs of 2 sentences)"
    )
    assert found.test.rows[0] == Paragraph(
        "v_10009", ("Clip 10009 begins.", "It ends as woman."), ((0.0, 0.4), (0.4, 1.0))
    ), "the sentences begin with blanks in the file"
    assert found.test.store.read("v_10009").shape == (1, 2)


def test_didemo_whose_times_are_in_frames(told: Path) -> None:
    found = open_dataset("didemo", told / "didemo", EMBEDDING)
    assert found.protocol == (
        "DiDeMo test: 1,004 paragraphs of 2 sentences; trained on train (8,395 paragraphs of 2 sentences), "
        "epoch chosen on val (1,065 paragraphs of 2 sentences)"
    )
    assert found.test.rows[0] == Paragraph("v_9460", ("Clip 9460 begins.", "It ends as car."), ((0.0, 0.4), (0.4, 1)))


def test_val_2_may_be_absent_and_is_checked_where_it_is_not(retold: Path) -> None:
    path = retold / "activitynet/val_2.json"
    drop_first(path)
    with pytest.raises(JsfError, match=r"val_2.json has 4,884 paragraphs; the published val_2.json has 4,885"):
        open_dataset("activitynet", retold, EMBEDDING)
    path.unlink()
    assert open_dataset("activitynet", retold, EMBEDDING).test.rows


@pytest.mark.parametrize(("name", "file"), TEST.items())
def test_another_number_of_paragraphs_is_refused(name: str, file: str, retold: Path) -> None:
    drop_first(retold / name / file)
    with pytest.raises(JsfError, match=f"{file} has .* paragraphs; the published {file} has"):
        open_dataset(name, retold, EMBEDDING)


@pytest.mark.parametrize(("name", "file"), TEST.items())
def test_a_missing_file_is_named(name: str, file: str, retold: Path) -> None:
    (retold / name / file).unlink()
    with pytest.raises(JsfError, match=f"hold no {file}"):
        open_dataset(name, retold, EMBEDDING)
    (retold / name / "features.h5").unlink()
    with pytest.raises(JsfError, match=r"hold no features.h5 or features.hdf5 or features\."):
        open_dataset(name, retold / name, EMBEDDING)


@pytest.mark.parametrize(("name", "file"), TEST.items())
def test_a_wrong_feature_file_is_named(name: str, file: str, retold: Path) -> None:
    features = retold / name / "features.h5"
    features.unlink()
    features.write_text("not HDF5")
    with pytest.raises(JsfError, match=r"features.h5 is not a readable HDF5 file"):
        open_dataset(name, retold / name, EMBEDDING)


@pytest.mark.parametrize(("name", "file"), TEST.items())
def test_missing_features_are_counted_and_named(name: str, file: str, retold: Path) -> None:
    rename_first(retold / name / file, "unknown")
    with pytest.raises(JsfError, match=r"features.h5 lacks the features of 1 video: unknown \(of"):
        open_dataset(name, retold / name, EMBEDDING)


@pytest.mark.parametrize(("name", "file"), TEST.items())
def test_a_video_of_two_splits_is_refused(name: str, file: str, retold: Path) -> None:
    rename_first(retold / name / file, "v_7")
    with pytest.raises(JsfError, match="and test share 1 video: v_7"):
        open_dataset(name, retold / name, EMBEDDING)


def test_spans_outside_a_video_are_reported_by_file(retold: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = retold / "didemo/val_data_bwzhang.json"
    path.write_text(path.read_text().replace("[4, 10]", "[12, 10]", 3))
    with caplog.at_level(logging.WARNING):
        found = open_dataset("didemo", retold / "didemo", EMBEDDING)
    assert caplog.messages == [f"{path}: of 2,130 spans 3 left out, with nothing inside the video"]
    assert [len(row.sentences) for row in found.val.rows[:4] if isinstance(row, Paragraph)] == [1, 1, 1, 2]


@pytest.mark.parametrize("name", TEST)
@pytest.mark.parametrize("task", ["retrieval", "multiple-choice"])
def test_paragraphs_are_for_embeddings(name: str, task: str, told: Path) -> None:
    with pytest.raises(JsfError, match=f"{name} has paragraphs; {task} models take none"):
        open_dataset(name, told, task)
    with pytest.raises(JsfError, match=f"'7k' is of msrvtt; {name} has one"):
        open_dataset(name, told, EMBEDDING, "7k")


def test_an_embedding_of_captions_is_retrieval(lsmdc: Path) -> None:
    found = open_dataset("lsmdc", lsmdc, EMBEDDING)
    assert (found.task, type(found.test.rows[0])) == ("retrieval", Caption)


def drop_first(path: Path) -> None:
    rows = json.loads(path.read_text())
    del rows[next(iter(rows))]
    path.write_text(json.dumps(rows))


def rename_first(path: Path, video_id: str) -> None:
    (_, first), *others = json.loads(path.read_text()).items()
    path.write_text(json.dumps({video_id: first, **dict(others)}))
