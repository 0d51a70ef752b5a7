"""FSE and HSE learn a toy set in which order matters, the same each time; what cannot be trained is refused."""

import itertools
import json
import re
import sys

import numpy as np
import pytest
import torch

from jsf.cli import main
from jsf.data.blanks import Blank
from jsf.data.captions import read_captions
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.split import Split
from jsf.evaluation.paragraphs import evaluate_paragraphs
from jsf.models.checkpoint import Checkpoint
from jsf.training.hse.embedder import CheckpointEmbedder
from jsf.training.hse.examples import HSEExamples
from jsf.training.hse.train import train_embedding

BRIEF = {"epochs": 1, "hidden": 8, "word_width": 4, "batch": 8, "frames": 8, "clips": 3, "segments": 2}


@pytest.fixture(scope="module")
def run(stories, learns, tmp_path_factory):
    """(model, data=stories, **settings) -> (the best checkpoint, the run's folder); each run is made once."""
    made = {}

    def train(model="hse", data=stories, **settings):
        name = json.dumps([model, id(data), settings])
        if name not in made:
            out = tmp_path_factory.mktemp("runs") / "run"
            made[name] = train_embedding(**data, out=out, model=model, settings={**learns, **settings}), out
        return made[name]

    return train


def assert_same_run(found, expected):
    assert (found / "metrics.jsonl").read_text() == (expected / "metrics.jsonl").read_text()
    first, second = (Checkpoint.load(out / "best.pt").model.state_dict() for out in (found, expected))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    first, second = (torch.load(out / "last.ckpt", weights_only=True)["state_dict"] for out in (found, expected))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_hse_learns_paragraphs_whose_order_matters(run, stories):
    """30 stories of 6 scenes: chance is 3 in 100, and without the order of clips or of words at most half are told."""
    checkpoint, out = run("hse", epochs=20)
    assert checkpoint.metrics["t2v_R@1"] >= 60 and checkpoint.metrics["v2t_R@1"] >= 60
    assert (checkpoint.hse.config.model, checkpoint.extractor) == ("hse", "toy 1")
    embedder = CheckpointEmbedder.load(out / "best.pt", "cpu")
    result = evaluate_paragraphs(embedder, stories["val"].rows, stories["val"].store)
    assert result.text_to_video.recall[1] == pytest.approx(checkpoint.metrics["t2v_R@1"])
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < log[0]["loss"] / 2


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "contrastive", "within": 0.0},
        {"loss": "hardest"},
        {"average": True, "reconstruct_high": 0.0, "reconstruct_low": 0.0, "pool": "attention"},
        {"bidirectional": True, "weak": True, "low": 0.5},
    ],
    ids=str,
)
def test_every_form_learns(run, settings):
    checkpoint, _ = run("hse", epochs=15, **settings)
    assert checkpoint.metrics["t2v_R@5"] >= 50 and checkpoint.metrics["v2t_R@5"] >= 50  # by chance 17


@pytest.fixture(scope="module")
def both_orders(toy, toy_root):
    """The toy set of captions, validated on all 30 ordered pairs of colours."""
    rows = [*toy["val"].rows, *read_captions(toy_root / "test.csv")]
    return {**toy, "val": Split(toy["val"].store, rows)}


def test_fse_learns_captions_whose_order_matters(run, both_orders):
    """Without the order of frames or of words at most half are told from their opposite."""
    settings = {"epochs": 15, "neighbours": 1, "exchanges": 1, "loss": "contrastive", "jitter": True}
    checkpoint, _ = run("fse", both_orders, **settings)
    assert checkpoint.metrics["t2v_R@1"] >= 60 and checkpoint.metrics["v2t_R@1"] >= 60  # by chance 3
    assert (checkpoint.hse.config.model, checkpoint.hse.config.hierarchical) == ("fse", False)
    assert (checkpoint.recipe["neighbours"], checkpoint.recipe["exchanges"]) == (1, 1)


def test_fse_learns_paragraphs_as_one_text(run):
    checkpoint, _ = run("fse", epochs=15, text_words=12)
    assert checkpoint.metrics["t2v_R@5"] >= 50


def test_a_run_is_reproducible_from_its_seed(run, stories, learns, tmp_path):
    settings = {"epochs": 2, "feature_dropout": 0.2, "output_dropout": 0.2, "jitter": True, "frames": 3}
    _, expected = run("hse", **settings)
    for seed in (0, 1):
        out = tmp_path / str(seed)
        train_embedding(**stories, out=out, settings={**learns, **settings}, seed=seed)
    assert_same_run(tmp_path / "0", expected)
    assert (tmp_path / "1/metrics.jsonl").read_text() != (expected / "metrics.jsonl").read_text()


@pytest.mark.parametrize("anneal", [True, False])
def test_a_run_that_is_killed_resumes_to_the_same_weights(stories, learns, tmp_path, monkeypatch, anneal):
    settings = {**learns, "epochs": 3, "feature_dropout": 0.2, "jitter": True, "frames": 3, "anneal": anneal}
    monkeypatch.setattr("jsf.training.hse.module.FALLS_EVERY", 2)
    train_embedding(**stories, out=tmp_path / "whole", settings=settings)
    stack, stacked = HSEExamples.stack, []

    def killing(self, rows, random):
        stacked.append(rows)
        if len(stacked) == 7:  # in the second epoch of 4 batches
            raise KeyboardInterrupt
        return stack(self, rows, random)

    with monkeypatch.context() as patch:
        patch.setattr(HSEExamples, "stack", killing)
        with pytest.raises(BaseException):  # noqa: B017
            train_embedding(**stories, out=tmp_path / "run", settings=settings)
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 1
    train_embedding(**stories, out=tmp_path / "run", settings=settings, resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_is_neither_overwritten_nor_resumed_with_other_settings(run, stories, learns):
    _, out = run("hse", epochs=2, feature_dropout=0.2, output_dropout=0.2, jitter=True, frames=3)
    with pytest.raises(JsfError, match="already holds a run"):
        train_embedding(**stories, out=out, settings=learns)
    with pytest.raises(JsfError, match="holds a run of other data or another preset"):
        train_embedding(**stories, out=out, model="fse", settings=learns, resume=True)


def test_the_learning_rate_falls_every_ten_epochs_as_the_authors(stories, tmp_path, monkeypatch):
    rates = []
    monkeypatch.setattr("jsf.training.hse.module.FALLS_EVERY", 2)
    monkeypatch.setattr(
        "jsf.training.hse.module.HSEModule.on_before_optimizer_step",
        lambda self, *_: rates.append((self.current_epoch, self.optimizers().param_groups[0]["lr"])),
    )
    train_embedding(**stories, out=tmp_path / "run", settings={**BRIEF, "batch": 30, "epochs": 5})
    assert len(rates) == 10
    found = {epoch: {round(rate, 12) for each, rate in rates if each == epoch} for epoch in range(5)}
    assert found == {0: {1e-3}, 1: {1e-3}, 2: {1e-4}, 3: {1e-4}, 4: {1e-5}}


def test_frozen_words_stay_as_they_were_read(stories, learns, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("red " + "0.25 " * 11 + "0.25\n" + "green " + "-0.5 " * 11 + "-0.5\n")
    settings = {**learns, "epochs": 1}
    for frozen in (True, False):
        found = train_embedding(
            **stories, out=tmp_path / str(frozen), word_vectors=path, settings={**settings, "frozen_words": frozen}
        )
        vectors = found.hse.text_encoder.embedding.weight[[found.vocabulary.ids[word] for word in ("red", "green")]]
        expected = torch.tensor([[0.25], [-0.5]]).expand(2, 12)
        assert torch.equal(vectors, expected) is frozen
        assert not found.hse.text_encoder.embedding.weight[0].any()  # padding


def test_features_are_standardized_by_the_training_videos(run, stories):
    checkpoint, _ = run("hse", epochs=2, feature_dropout=0.2, output_dropout=0.2, jitter=True, frames=3)
    split = stories["split"]
    frames = np.concatenate([split.store.read(video_id) for video_id in split.video_ids])
    encoder = checkpoint.hse.video_encoder
    np.testing.assert_allclose(encoder.feature_mean, frames.mean(0), atol=1e-5)
    np.testing.assert_allclose(encoder.feature_scale, 1 / frames.std(0), rtol=1e-4)


def test_hse_is_not_trained_on_captions(toy, tmp_path):
    with pytest.raises(JsfError, match="the table holds single captions") as caught:
        train_embedding(**toy, out=tmp_path / "run", settings=BRIEF)
    assert "--model fse" in caught.value.fix
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("row", "kind"),
    [(Blank("train0", "red then _____", "blue"), "blank"), (Question("train0", ("red", "blue"), 1), "question")],
)
@pytest.mark.parametrize("model", ["hse", "fse"])
@pytest.mark.parametrize("where", ["split", "val"])
def test_what_is_neither_caption_nor_paragraph_is_refused(stories, toy, tmp_path, row, kind, model, where):
    data = stories if model == "hse" else toy
    data = {**data, where: Split(data[where].store, [replaced(row, data[where])] * 16)}
    with pytest.raises(JsfError, match=f"the table holds {kind}s; an embedding is trained on captions") as caught:
        train_embedding(**data, out=tmp_path / "run", model=model, settings=BRIEF)
    assert "paragraphs.json" in caught.value.fix


def replaced(row, split):
    return type(row)(**{**row.__dict__, "video_id": split.video_ids[0]})


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        ({"settings": {"exchanges": 1}}, "exchanges of words are for a flat model: --model fse", "Leave it out"),
        ({"preset": "official"}, "there is no preset 'official' of hse, expected one of: paper, small", ""),
        ({"preset": "huge", "model": "fse"}, "there is no preset 'huge' of fse", ""),
        ({"settings": {"mined": 1}}, "there is no setting mined", "Settings are: .*reconstruct_high"),
        ({"settings": {"hierarchical": False}}, "there is no setting hierarchical", "Settings are: "),
        ({"settings": {"hidden": "wide"}}, "hidden is 'wide', expected a whole number", ""),
        ({"settings": {"pool": "mean"}}, "pool is 'mean', expected one of: max, last, attention", ""),
        ({"settings": {"loss": "triplet"}}, "loss is 'triplet', expected one of: hinge, hardest, contrastive", ""),
        ({"settings": {"loss": "contrastive", "temperature": 0}}, "temperature is 0, expected more than 0", ""),
        ({"settings": {"temperature": 0.1}}, "temperature has no part in hse with the loss 'hinge'", ""),
        ({"settings": {"within": -1.0}}, "within is -1.0, expected 0 or more", ""),
        ({"settings": {"epochs": 0}}, "epochs is 0, expected 1 or more", ""),
        ({"settings": {"clips": 1, "segments": 2}}, "videos are cut into 2 segments, and at most 1 clips", ""),
        ({"settings": {"batch": 100}}, "60 examples are too few for 1 batches of 100", "--set batch=8"),
        ({"settings": {"open_vocabulary": True}}, "open_vocabulary takes its words from --word-vectors", ""),
        ({"trainer_options": {"max_epochs": 3}}, "jsf sets Lightning's max_epochs itself", ""),
        ({"resume": True}, "holds no run to resume", ""),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(stories, tmp_path, options, message, fix):
    options = {**options, "settings": {**BRIEF, **options.get("settings", {})}}
    with pytest.raises(JsfError, match=message) as caught:
        train_embedding(**stories, out=tmp_path / "run", **options)
    assert re.search(fix, caught.value.fix)
    assert not (tmp_path / "run").exists()


def test_features_of_two_widths_are_refused(stories, toy, tmp_path):
    data = {"split": stories["split"], "val": toy["val"]}
    with pytest.raises(JsfError, match="training features are 3 wide by 'toy 1', validation features 7 by 'toy 1'"):
        train_embedding(**data, out=tmp_path / "run", settings=BRIEF)


def test_vectors_of_another_width_are_refused(stories, tmp_path):
    (tmp_path / "vectors.txt").write_text("red 0.5 0.5\n")
    with pytest.raises(JsfError, match="2"):
        train_embedding(**stories, out=tmp_path / "run", word_vectors=tmp_path / "vectors.txt", settings=BRIEF)


@pytest.fixture
def jsf(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["jsf", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code or 0, capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def paragraph_files(stories, tmp_path_factory):
    """The stories as ActivityNet's JSON, and the folder of their features."""
    root = tmp_path_factory.mktemp("tables")
    for name, split in stories.items():
        table = {
            row.video_id: {
                "duration": 1.0,
                "timestamps": [list(span) for span in row.spans],
                "sentences": list(row.sentences),
            }
            for row in split.rows
        }
        (root / f"{name}.json").write_text(json.dumps(table))
    return root, stories["split"].store.path


def test_the_command_trains_on_files_and_evaluates_alike(jsf, paragraph_files, tmp_path):
    root, features = paragraph_files
    sets = itertools.chain.from_iterable(("--set", f"{name}={value}") for name, value in BRIEF.items())
    code, shown = jsf(
        *("train", "--model", "hse", "--features", features, "--captions", root / "split.json"),
        *("--val-features", features, "--val-captions", root / "val.json", "-o", tmp_path / "run", *sets),
    )
    assert code == 0, shown.err
    checkpoint = Checkpoint.load(tmp_path / "run/best.pt")
    assert checkpoint.hse.config.hidden == 8
    where = ("--features", features, "--captions", root / "val.json", "--ckpt", tmp_path / "run/best.pt")
    code, shown = jsf("evaluate", *where, "--json")
    assert code == 0, shown.err
    recall = json.loads(shown.out)["text_to_video"]["recall"]
    assert recall["1"] == pytest.approx(checkpoint.metrics["t2v_R@1"])


def test_the_command_names_what_it_does_not_train(jsf, paragraph_files, tmp_path):
    root, features = paragraph_files
    where = ("--features", features, "--captions", root / "split.json", "-o", tmp_path / "run")
    code, shown = jsf("train", "--model", "hse", "--task", "fill-in-the-blank", *where)
    assert code and "hse embeds videos and texts; it is not trained for fill-in-the-blank" in " ".join(
        shown.err.split()
    )
