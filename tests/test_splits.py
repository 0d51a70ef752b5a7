"""What a command is trained and measured on, from what its options name."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.levels import Limits
from jsf.data.paragraphs import Paragraph
from jsf.data.sequence import FeatureSequence
from jsf.data.task_names import EMBEDDING
from jsf.verbs.splits import evaluation_split, training_splits, with_clips

ROWS = [Paragraph(f"v{i}", (f"a dog {i}", "it runs"), ((0.0, 0.5), (0.5, 1.0))) for i in range(4)]


@pytest.fixture
def features(tmp_path: Path) -> Path:
    for row in ROWS:
        FeatureSequence(np.ones((4, 3), np.float32)).save(tmp_path / f"features/{row.video_id}.npz")
    return tmp_path / "features"


@pytest.fixture
def paragraphs(tmp_path: Path) -> Path:
    values = {
        row.video_id: {"duration": 4, "timestamps": [[0, 2], [2, 4]], "sentences": list(row.sentences)} for row in ROWS
    }
    path = tmp_path / "paragraphs.json"
    path.write_text(json.dumps(values))
    return path


def scorer(task: str) -> Any:
    limits = Limits(hierarchical=True, frames=8, words=8, text_words=8, clips=4, segments=2)
    return SimpleNamespace(task=task, limits=limits, vocabulary=SimpleNamespace(words=("dog", "runs")))


def test_paragraphs_are_held_out_by_video(features: Path, paragraphs: Path) -> None:
    train, val = training_splits(features, paragraphs, None, None, None)
    assert sorted([*train.rows, *val.rows], key=lambda row: row.video_id) == ROWS
    assert (len(train.rows), len(val.rows)) == (3, 1)


def test_an_embedding_is_measured_by_retrieval_of_paragraphs(features: Path, paragraphs: Path) -> None:
    for task in (None, "retrieval"):
        split, measured, protocol = evaluation_split(features, paragraphs, None, None, task, "given", scorer(EMBEDDING))
        assert (split.rows, measured) == (ROWS, "retrieval")
        assert protocol == "paragraphs.json: 4 paragraphs of 2 sentences"


def test_an_embedding_is_measured_by_retrieval_of_captions(features: Path, tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("video_id,sentence\n" + "".join(f"{row.video_id},{row.sentences[0]}\n" for row in ROWS))
    split, measured, _ = evaluation_split(features, table, None, None, None, "given", scorer(EMBEDDING))
    assert (split.rows, measured) == ([Caption(row.video_id, row.sentences[0]) for row in ROWS], "retrieval")


@pytest.mark.parametrize(
    ("trained", "task", "message"),
    [
        (EMBEDDING, "fill-in-the-blank", "an embedding fills no blanks"),
        (EMBEDDING, "captioning", "a model for embedding is not measured by captioning"),
        ("captioning", "retrieval", "a model for captioning is not measured by retrieval"),
        (
            "retrieval",
            "recognition",
            "a model for retrieval embeds no labels",
        ),
    ],
)
def test_a_measure_of_another_model_is_refused(features: Path, paragraphs: Path, trained, task, message) -> None:
    with pytest.raises(JsfError, match=message):
        evaluation_split(features, paragraphs, None, None, task, "given", scorer(trained))


def test_more_clips_than_a_model_takes_are_refused(features: Path, paragraphs: Path) -> None:
    with pytest.raises(JsfError, match="'v0' has 5 clips; this model takes 4") as refused:
        evaluation_split(features, paragraphs, None, None, None, "uniform-5", scorer(EMBEDDING))
    assert "--set clips=5" in refused.value.fix


@pytest.mark.parametrize(
    ("trained", "task", "needed"),
    [
        ("retrieval", None, "captions"),
        ("fill-in-the-blank", "fill-in-the-blank", "blanks or captions"),
        (EMBEDDING, "multiple-choice", "questions or captions"),
    ],
)
def test_paragraphs_are_refused_where_captions_are_needed(
    trained: str, task: str | None, needed: str, features: Path, paragraphs: Path
) -> None:
    message = f"paragraphs.json holds paragraphs; this model and task need {needed}"
    with pytest.raises(JsfError, match=message) as caught:
        evaluation_split(features, paragraphs, None, None, task, "given", scorer(trained))
    assert "fse or hse" in caught.value.fix


def test_clips_are_the_given_ones_or_equal_parts() -> None:
    assert with_clips(ROWS, "given") is ROWS
    thirds = with_clips(ROWS, "uniform-3")
    assert [row.sentence for row in thirds if isinstance(row, Paragraph)] == [row.sentence for row in ROWS]
    for row in thirds:
        assert isinstance(row, Paragraph)
        assert row.spans == ((0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1))
        assert not row.paired


def test_clips_are_those_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "proposals.json"
    path.write_text(json.dumps({row.video_id: {"duration": 4, "timestamps": [[1, 2]]} for row in ROWS}))
    for row in with_clips(ROWS, str(path)):
        assert isinstance(row, Paragraph)
        assert (row.spans, row.paired) == (((0.25, 0.5),), False)


@pytest.mark.parametrize("proposals", ["uniform-0", "uniform-", "uniform-1000", "uniform", "given.json", ""])
def test_clips_of_no_known_kind_are_refused(proposals: str) -> None:
    with pytest.raises(JsfError, match=f"there are no clips '{proposals}'") as caught:
        with_clips(ROWS, proposals)
    assert "uniform-4" in caught.value.fix


def test_captions_have_no_clips() -> None:
    captions = [Caption("v", "a dog")]
    assert with_clips(captions, "given") is captions
    with pytest.raises(JsfError, match="clips 'uniform-3' are of paragraphs; these rows are captions"):
        with_clips(captions, "uniform-3")
