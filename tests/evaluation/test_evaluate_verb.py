"""What `jsf evaluate` shows of a model that embeds: retrieval, the incomplete curve, and recognition."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.data.questions import Question
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
from jsf.evaluation.incomplete import evaluate_incomplete
from jsf.evaluation.paragraphs import evaluate_paragraphs
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.config import preset
from jsf.models.hse.hse import HSE
from jsf.verbs.evaluate import open_scorer, show_evaluation
from jsf.verbs.incomplete import show_incomplete
from jsf.verbs.recognition import classifier_split, show_recognition

HALVES = ((0.0, 0.5), (0.5, 1.0))
VIDEOS = {"a": "red blue", "b": "green red", "c": "dark dark", "d": "red red", "e": "blue dark", "f": "green blue"}
PARAGRAPHS = [Paragraph(video, tuple(words.split()), HALVES) for video, words in VIDEOS.items()]
LABELS = [Caption(video, words.split()[0]) for video, words in VIDEOS.items()]
BLUE, ORANGE, GREEN = (31, 119, 180), (255, 127, 14), (44, 160, 44)
"""Matplotlib's first three colours."""


@pytest.fixture
def store(colour_store):
    return colour_store(VIDEOS)


@pytest.fixture
def shown(capsys, monkeypatch):
    """(function, *arguments) -> (standard output, standard error)."""
    monkeypatch.setenv("COLUMNS", "200")

    def show(function, *arguments):
        capsys.readouterr()
        function(*arguments)
        return capsys.readouterr()

    return show


@pytest.fixture
def pair_scorer(toy_embedder):
    """A model that scores pairs."""
    scorer = toy_embedder()
    scorer.task = "multiple-choice"
    return scorer


def has(path, colour):
    """Whether a picture has more than a few pixels of a colour."""
    return (np.asarray(Image.open(path).convert("RGB")) == colour).all(-1).sum() > 20


class TestOpenScorer:
    """A checkpoint or a bundle, opened as what it is."""

    @pytest.fixture
    def checkpoint(self, tmp_path, toy_embedder):
        config = replace(preset("small", "hse", 5, 5), hidden=8, word_width=6, frames=4, clips=2, segments=2)
        Checkpoint(HSE(config), toy_embedder.vocabulary, "toy 1").save(tmp_path / "best.pt")
        return tmp_path / "best.pt"

    def test_a_checkpoint_of_an_embedding(self, shown, checkpoint, store):
        embedder = open_scorer(checkpoint, None, "cpu", "auto")
        assert (embedder.task, embedder.extractor, embedder.width) == ("embedding", "toy 1", 8)
        found = json.loads(shown(show_evaluation, embedder, Split(store, PARAGRAPHS), "retrieval", "p", True).out)
        assert "PyTorch" in found["backend"]
        expected = evaluate_paragraphs(embedder, PARAGRAPHS, store)
        assert found["video_to_text"]["mean_rank"] == expected.video_to_text.mean_rank

    def test_what_is_refused(self, checkpoint, tmp_path):
        for arguments, message in (
            ((checkpoint, tmp_path, "cpu", "auto"), "both given"),
            ((checkpoint, None, "tpu", "auto"), "no device 'tpu' here"),
            ((checkpoint, None, "cpu", "fp16"), "scored in fp32, not fp16"),
        ):
            with pytest.raises(JsfError, match=message):
                open_scorer(*arguments)


class TestRetrieval:
    """Captions and paragraphs."""

    def test_paragraphs_beside_chance(self, shown, store, toy_embedder):
        split = Split(store, PARAGRAPHS)
        out, err = shown(show_evaluation, toy_embedder(), split, "retrieval", "p.json: 6 paragraphs", False)
        assert err == "scoring with a toy\n"
        assert out.startswith("p.json: 6 paragraphs; ties averaged")
        assert re.search(r"paragraph +┃.*\n.*-> video", out) and re.search(r"video ->.*\n.*paragraph", out)
        assert re.search(r"│ R@1 +│ +\d+\.\d │ +\d+\.\d–\d+\.\d │ +16\.7 │", out)

    def test_json(self, shown, store, toy_embedder):
        split = Split(store, PARAGRAPHS)
        found = json.loads(shown(show_evaluation, toy_embedder(), split, "retrieval", "p", True).out)
        expected = evaluate_paragraphs(toy_embedder(), PARAGRAPHS, store)
        assert (found["task"], found["protocol"], found["backend"]) == ("retrieval", "p", "a toy")
        assert found["text_to_video"]["mean_rank"] == expected.text_to_video.mean_rank
        assert found["video_to_text"]["recall"]["1"] == expected.video_to_text.recall[1]

    def test_captions(self, shown, store, toy_embedder):
        out, _ = shown(show_evaluation, toy_embedder(), Split(store, LABELS), "retrieval", "captions", False)
        assert re.search(r"sentence +┃.*\n.*-> video", out)

    def test_questions(self, shown, store, toy_embedder):
        class Chooser(toy_embedder):
            def match_pairs(self, videos, sentences, rows, columns):
                return (self.embed_videos(videos)[rows] * self.embed_texts(sentences)[columns]).sum(1)

        questions = [Question("c", ("red", "dark"), 1), Question("a", ("green", "red"), 1)]
        result = json.loads(
            shown(show_evaluation, Chooser(), Split(store, questions), "multiple-choice", "q", True).out
        )
        assert (result["accuracy"], result["chance"]) == (100, 50)
        assert "correct" not in result


class TestIncomplete:
    """The curve over what is seen."""

    def test_a_table(self, shown, store, toy_embedder):
        out, err = shown(show_incomplete, toy_embedder(), Split(store, PARAGRAPHS), "six", None, False)
        assert err == "embedding with a toy\n"
        assert out.startswith("six; ties averaged; the first clips and sentences of each")
        way = r" +(\d+\.\d) │ +\d+\.\d–\d+\.\d │ +(\d+\.\d) │"
        rows = re.findall(rf"│ (\d+)% +│{way}{way}", out)
        assert [row[0] for row in rows] == ["25", "50", "75", "100"]
        for row, point in zip(rows, evaluate_incomplete(toy_embedder(), PARAGRAPHS, store), strict=True):
            ways = point.retrieval.text_to_video, point.retrieval.video_to_text
            expected = [value for way in ways for value in (way.recall[1], way.median_rank)]
            assert [float(value) for value in row[1:]] == pytest.approx(expected, abs=0.051)
        assert float(rows[0][1]) < float(rows[-1][1])

    def test_json_and_a_picture(self, shown, store, toy_embedder, tmp_path):
        picture = tmp_path / "new" / "curve.png"
        found = json.loads(shown(show_incomplete, toy_embedder(), Split(store, PARAGRAPHS), "six", picture, True).out)
        assert (found["protocol"], found["picture"]) == ("six", str(picture))
        assert [point["share"] for point in found["incomplete"]] == [0.25, 0.5, 0.75, 1.0]
        assert found["incomplete"][-1]["text_to_video"]["recall"]["1"] == 100
        assert has(picture, BLUE) and has(picture, ORANGE)
        assert not has(picture, GREEN)  # of six videos ten cannot be found

    @pytest.mark.parametrize(
        ("rows", "picture", "message"),
        [
            (LABELS, None, "these rows have neither"),
            (PARAGRAPHS, "curve.docx", "cannot be written as"),
        ],
    )
    def test_what_is_refused(self, rows, picture, message, store, toy_embedder, tmp_path):
        embedder = toy_embedder()
        with pytest.raises(JsfError, match=message):
            show_incomplete(embedder, Split(store, rows), "", tmp_path / picture if picture else None, False)
        assert not embedder.seen

    def test_a_model_that_scores_pairs_is_refused(self, store, pair_scorer):
        with pytest.raises(JsfError, match="a model for multiple-choice embeds neither"):
            show_incomplete(pair_scorer, Split(store, PARAGRAPHS), "", None, False)

    def test_without_matplotlib_the_extra_is_named(self, store, toy_embedder, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(JsfError, match=r"'matplotlib'(.|\n)*'\.\[analysis\]'"):
            show_incomplete(toy_embedder(), Split(store, PARAGRAPHS), "", tmp_path / "curve.png", False)


class TestRecognition:
    """Labels, by their words and by a classifier."""

    def test_zero_shot(self, shown, store, toy_embedder):
        rows = [*LABELS, Caption("a", "polo")]
        out, err = shown(show_recognition, toy_embedder(), Split(store, rows), None, "labels.csv", False)
        assert err == "embedding with a toy\nwords that the model does not know are left out: polo\n"
        assert out.startswith("recognition, zero-shot: labels.csv; 5 labels")
        assert re.search(r"│ right +│ +\d+\.\d │ +\d+\.\d–\d+\.\d │", out)
        assert re.search(r"│   chance +│ +\d+\.\d │ +│", out)
        assert re.search(r"│ among the first 5 +│ +100\.0 │ +100\.0–100\.0 │", out)
        assert re.search(r"│   chance of the first 5 +│ +100\.0 │", out)

    def test_a_classifier_beside_it(self, shown, store, toy_embedder, colour_store):
        trained = {"r": "red", "g": "green", "b": "blue"}
        train = Split(colour_store(trained), [Caption(*pair) for pair in trained.items()])
        split = Split(store, [*LABELS[:1], *LABELS[2:3]])
        out, err = shown(show_recognition, toy_embedder(), split, train, "labels.csv", False)
        assert re.findall(r"^recognition, [^\n]*", out, re.MULTILINE) == [
            f"recognition, {name}: labels.csv; {count} labels"
            for name, count in (("zero-shot", 2), ("classifier, trained on 3 videos, 1 caption each", 3))
        ]
        assert "1 of 2 answers are not among the labels of training, and count as wrong" in err

        found = json.loads(shown(show_recognition, toy_embedder(), split, train, "labels.csv", True).out)
        assert (found["task"], found["zero-shot"]["accuracy"]) == ("recognition", 100)
        assert (found["classifier"]["unknown"], found["classifier"]["labels"]) == (1, 3)
        assert "correct" not in found["classifier"]

    def test_what_is_refused(self, store, toy_embedder, pair_scorer, monkeypatch):
        split = Split(store, LABELS)
        with pytest.raises(JsfError, match="a model for multiple-choice embeds neither"):
            show_recognition(pair_scorer, split, None, "", False)
        with pytest.raises(JsfError, match="the table holds paragraphs"):
            show_recognition(toy_embedder(), Split(store, PARAGRAPHS), None, "", False)
        monkeypatch.setitem(sys.modules, "sklearn", None)
        embedder = toy_embedder()
        with pytest.raises(JsfError, match=r"'\.\[analysis\]'"):
            show_recognition(embedder, split, split, "", False)
        assert not embedder.seen


class TestClassifierSplit:
    """`--train-captions` and `--train-features`."""

    @pytest.fixture
    def table(self, tmp_path):
        (tmp_path / "train.csv").write_text("video_id,sentence\nx,red\ny,green\n")
        return tmp_path / "train.csv"

    def test_the_features_are_those_of_the_split_or_others(self, table, store, tmp_path):
        split = Split(store, LABELS)
        assert classifier_split(None, None, "recognition", split) is None
        train = classifier_split(None, table, "recognition", split)
        assert (train.store, train.rows) == (store, [Caption("x", "red"), Caption("y", "green")])
        FeatureSequence(np.ones((2, 5), np.float32)).save(tmp_path / "features" / "x.npz")
        assert classifier_split(tmp_path / "features", table, "recognition", split).store.ids() == ["x"]

    def test_they_are_for_recognition(self, table, store):
        split = Split(store, LABELS)
        for features, captions, task in ((None, table, "retrieval"), (table, None, "recognition")):
            with pytest.raises(JsfError, match="what the classifier of recognition is trained on"):
                classifier_split(features, captions, task, split)

    def test_a_shared_video_is_refused(self, table, store):
        split = Split(store, [Caption("y", "green"), Caption("a", "red")])
        with pytest.raises(JsfError, match=r"train.csv shares 1 video: y with what is measured"):
            classifier_split(None, table, "recognition", split)

    def test_a_table_of_something_else_is_refused(self, store, tmp_path):
        (tmp_path / "blanks.csv").write_text("video_id,blank_sentence,sentence,answer\nx,a _____,a dog,dog\n")
        with pytest.raises(JsfError, match="holds blanks; this task needs captions"):
            classifier_split(None, tmp_path / "blanks.csv", "recognition", Split(store, LABELS))
