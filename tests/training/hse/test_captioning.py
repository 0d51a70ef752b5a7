"""Captioners over embeddings of the toy set, whose clips show one colour after another."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jsf.data.blanks import BLANK, Blank
from jsf.data.captions import Caption
from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph, uniform
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.captioner import Captioner, CaptionerConfig
from jsf.models.hse.config import HSEConfig
from jsf.models.hse.hse import HSE
from jsf.training.hse.captioner import CheckpointCaptioner
from jsf.training.hse.captioning import CaptionExamples, CaptioningModule
from jsf.training.hse.train import train_embedding
from jsf.training.hse.train_captioner import train_captioner

TINY = {"hidden": 48, "word_width": 16, "dropout": 0.1, "batch": 8, "learning_rate": 1e-2, "epochs": 25}
EMBEDDING = {"hidden": 32, "word_width": 16, "batch": 8, "learning_rate": 1e-2, "epochs": 10}
COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """(model, width of the features) -> the checkpoint of an embedding of them that has learnt nothing."""

    def make(model, width=7):
        torch.manual_seed(0)
        config = HSEConfig("tiny", width, 3, model == "hse", frames=12, clips=3, segments=2, word_width=4, hidden=32)
        path = tmp_path_factory.mktemp(model) / "best.pt"
        Checkpoint(HSE(config), Vocabulary(("a", "b")), "toy 1").save(path)
        return path

    return make


@pytest.fixture(scope="module")
def paragraphs(tmp_path_factory):
    """Two splits of videos of two colours, a clip and a sentence for each: which comes first is told too."""
    root, rng, parts = tmp_path_factory.mktemp("paragraphs"), np.random.default_rng(0), []
    for split, count in (("split", 64), ("val", 16)):
        rows = []
        for i in range(count):
            first, second = rng.choice(3, 2, replace=False)
            features = np.repeat(np.eye(3, dtype=np.float32)[[first, second]], 5, axis=0)
            FeatureSequence(features, 5.0, "toy 1").save(root / f"{split}{i}.npz")
            sentences = f"{COLOURS[first]} is there", f"it's {COLOURS[second]} after {COLOURS[first]}"
            rows.append(Paragraph(f"{split}{i}", sentences, ((0.0, 0.5), (0.5, 1.0))))
        parts.append(rows)
    return {"split": Split(open_features(root), parts[0]), "val": Split(open_features(root), parts[1])}


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """A captioner of the toy set over an FSE of it: where it began, and its folder."""
    root = tmp_path_factory.mktemp("run")
    train_embedding(**toy, out=root / "fse", preset="small", model="fse", settings=EMBEDDING)
    train_captioner(**toy, out=root / "run", start=root / "fse" / "best.pt", preset="small", settings=TINY)
    return root / "fse" / "best.pt", root / "run"


@pytest.fixture(scope="module")
def captioner(trained):
    return CheckpointCaptioner.load(trained[1] / "best.pt", "cpu")


@pytest.fixture
def untrained():
    """(**what differs from a flat embedding) -> a captioner of features 1 wide with random weights."""

    def make(**fields):
        torch.manual_seed(1)
        embedding = HSEConfig("tiny", 1, 3, False, frames=8, clips=2, segments=2, word_width=4, hidden=6)
        config = CaptionerConfig("tiny", replace(embedding, **fields), 7, segments=2, word_width=4, hidden=5)
        return CheckpointCaptioner(Captioner(config).eval(), Vocabulary(tuple("abcdef")), "toy 1")

    return make


def test_it_learns_to_tell_what_it_sees(toy, captioner):
    val = toy["val"]
    told = captioner.caption([val.store.read(row.video_id) for row in val.rows])
    right = [sentences == [row.sentence] for sentences, row in zip(told, val.rows, strict=True)]
    assert np.mean(right) >= 0.8


def test_its_checkpoint_holds_the_embedding_and_needs_no_other(trained, toy):
    flat, out = trained
    embedding, found = Checkpoint.load(flat), Checkpoint.load(out / "best.pt")
    assert found.extractor == "toy 1"
    assert "then" in found.vocabulary.ids and "a" not in found.vocabulary.ids
    expected = embedding.hse.video_encoder.state_dict()
    for name, weight in found.captioner.video_encoder.state_dict().items():
        assert torch.equal(weight, expected[name])


def test_the_score_is_a_hundred_over_the_perplexity(trained, log_of):
    lines = log_of(trained[1])
    assert [line["score"] for line in lines] == pytest.approx([100 / line["perplexity"] for line in lines])
    assert lines[-1]["perplexity"] < 2 < lines[0]["perplexity"]
    assert Checkpoint.load(trained[1] / "best.pt").metrics["score"] == max(line["score"] for line in lines)


def test_the_perplexity_is_that_of_all_words_and_ends(toy, captioner, trained):
    held = CaptionExamples(toy["val"], captioner)
    total = count = 0
    for row, sentence in enumerate(toy["val"].rows):
        ids = [*captioner.vocabulary.encode(sentence.sentence), 0]
        clip = torch.from_numpy(held.clips[held.clip_of[row : row + 1]])
        with torch.no_grad():
            logits = captioner.model.decoder(clip, torch.tensor([[0, *ids[:-1]]]))[0].log_softmax(-1)
        total, count = total + float(logits[range(len(ids)), ids].sum()), count + len(ids)
    best = Checkpoint.load(trained[1] / "best.pt")
    assert best.metrics["perplexity"] == pytest.approx(np.exp(-total / count), rel=1e-4)


def test_hse_tells_of_each_clip_with_what_it_knows_of_the_others(paragraphs, tmp_path):
    settings = {**EMBEDDING, "segments": 2}
    train_embedding(**paragraphs, out=tmp_path / "hse", preset="small", model="hse", settings=settings)
    start = tmp_path / "hse" / "best.pt"
    train_captioner(**paragraphs, out=tmp_path / "run", start=start, preset="small", settings=TINY)
    captioner, val = CheckpointCaptioner.load(tmp_path / "run" / "best.pt", "cpu"), paragraphs["val"]
    told = captioner.caption([Clips.of(val.store.read(row.video_id), row.spans) for row in val.rows])
    right = [sentences == list(row.sentences) for sentences, row in zip(told, val.rows, strict=True)]
    assert np.mean(right) >= 0.8
    assert captioner.segments == 2  # the embedding's
    assert captioner.caption([val.store.read(val.rows[0].video_id)]) == told[:1]


def test_hse_tells_of_whole_videos_and_fse_of_clips(toy, paragraphs, start, tmp_path):
    for model, split, width, segments in (("hse", toy, 7, 1), ("fse", paragraphs, 3, 2)):
        settings = {**TINY, "epochs": 1}
        train_captioner(**split, out=tmp_path / model, start=start(model, width), preset="small", settings=settings)
        captioner = CheckpointCaptioner.load(tmp_path / model / "best.pt", "cpu")
        features = split["val"].store.read(split["val"].rows[0].video_id)
        assert captioner.segments == segments == len(captioner.caption([features])[0])


def test_a_stopped_run_continues_as_if_it_had_not_stopped(toy, start, tmp_path, log_of, monkeypatch):
    flat, settings = start("fse"), {**TINY, "epochs": 4}
    whole, stopped, step = tmp_path / "whole", tmp_path / "stopped", CaptioningModule.training_step
    train_captioner(**toy, out=whole, start=flat, preset="small", settings=settings, seed=3)

    def killed(self, batch):
        if self.current_epoch == 2:
            raise InterruptedError
        return step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(CaptioningModule, "training_step", killed)
        train_captioner(**toy, out=stopped, start=flat, preset="small", settings=settings, seed=3)
    assert len(log_of(stopped)) == 2
    train_captioner(**toy, out=stopped, start=flat, preset="small", settings=settings, seed=3, resume=True)
    assert log_of(stopped) == log_of(whole)
    states = [Checkpoint.load(out / "best.pt").model.state_dict() for out in (whole, stopped)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_run_is_not_continued_with_another_embedding(toy, trained, start, tmp_path):
    other = tmp_path / "best.pt"
    checkpoint = Checkpoint.load(trained[0])
    with torch.no_grad():
        checkpoint.hse.video_encoder.tower.low.gru.bias_ih_l0 += 1
    checkpoint.save(other)
    with pytest.raises(JsfError, match="holds a run that began with another embedding"):
        train_captioner(**toy, out=trained[1], start=other, preset="small", settings=TINY, resume=True)


def test_batches_have_the_word_before_each_place(untrained, tmp_path):
    FeatureSequence(np.ones((4, 1), np.float32), 5.0, "toy 1").save(tmp_path / "v.npz")
    rows = [Caption("v", sentence) for sentence in ("a b unknown c", "unknown", "d", "a b c d e")]
    examples = CaptionExamples(Split(open_features(tmp_path), rows), untrained())
    assert len(examples) == 3
    batch = examples.stack(np.array([0, 1]), np.random.default_rng(0))
    assert batch.before.tolist() == [[0, 1, 2, 3], [0, 4, 0, 0]]
    assert batch.words.tolist() == [[1, 2, 3, 0], [4, 0, 0, 0]]
    assert batch.there.tolist() == [[True] * 4, [True, True, False, False]]
    assert torch.equal(batch.clips[0], batch.clips[1]) and batch.clips.shape == (2, 12)
    longest = examples.stack(np.array([2]), np.random.default_rng(0))
    assert longest.words.tolist() == [[1, 2, 3, 4, 5, 0]]


def test_one_video_is_told_the_same_alone_and_among_others(untrained):
    rng = np.random.default_rng(0)
    videos = [rng.standard_normal((steps, 1)).astype(np.float32) for steps in (1, 30, 9, *range(2, 35))]
    for hierarchical in (False, True):
        captioner = untrained(hierarchical=hierarchical)
        together = captioner.caption(videos)
        assert [len(sentences) for sentences in together] == [2] * len(videos)
        assert [captioner.caption([video])[0] for video in videos[:4]] == together[:4]


def test_clips_past_those_that_the_embedding_takes_are_told_of_too(untrained):
    features = np.random.default_rng(0).standard_normal((12, 1)).astype(np.float32)
    clips = Clips.of(features, [(i / 4, (i + 1) / 4) for i in range(4)])
    assert len(untrained(hierarchical=True).caption([clips])[0]) == 4


@pytest.mark.parametrize(
    ("video", "said"),
    [
        (np.ones((3, 2), np.float32), "features 2 wide; the model takes 1"),
        (FeatureSequence(np.ones((3, 1), np.float32), extractor="toy 2"), "extracted by 'toy 2'"),
        (Clips(np.ones((3, 2), np.float32), [np.ones((3, 2), np.float32)]), "features 2 wide; the model takes 1"),
    ],
)
def test_features_of_another_kind_are_refused(video, said, untrained):
    with pytest.raises(JsfError, match=said):
        untrained().caption([video])


def test_nothing_to_tell_of_is_refused(untrained):
    with pytest.raises(JsfError, match="there is nothing to caption"):
        untrained().caption([])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"preset": "official"}, "there is no preset 'official' of captioning, expected one of: paper, small"),
        ({"settings": {"jitter": True}}, "jitter has no part in captioning"),
        ({"settings": {"beams": 3}}, "there is no setting beams"),
        ({"settings": {"epochs": 0}}, "epochs is 0, expected 1 or more"),
        ({"settings": {"dropout": 1.5}}, "dropout is 1.5, expected"),
        ({"settings": {"batch": 1000}}, "61 examples are too few"),
        ({"trainer_options": {"max_epochs": 3}}, "jsf sets Lightning's max_epochs itself"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said, toy, start, tmp_path):
    with pytest.raises(JsfError, match=said):
        train_captioner(**toy, out=tmp_path / "run", start=start("fse"), **{"preset": "small", **options})
    assert not (tmp_path / "run" / "best.pt").exists()


def test_it_begins_with_an_embedding_alone(toy, tiny_checkpoint, tmp_path):
    with pytest.raises(JsfError, match="a model for retrieval, which embeds neither videos nor texts"):
        train_captioner(**toy, out=tmp_path / "run", start=tiny_checkpoint)
    with pytest.raises(JsfError, match=r"none.pt does not exist"):
        train_captioner(**toy, out=tmp_path / "run", start=tmp_path / "none.pt")


def test_features_that_the_embedding_does_not_take_are_refused(toy, start, tmp_path):
    checkpoint = Checkpoint.load(start("fse"))
    for extractor, width, said in (("toy 2", 7, "the model was trained on 'toy 2'"), ("", 6, "the model takes 6")):
        other = start("fse", width)
        Checkpoint(Checkpoint.load(other).hse, checkpoint.vocabulary, extractor).save(other)
        with pytest.raises(JsfError, match=said):
            train_captioner(**toy, out=tmp_path / "run", start=other, preset="small")


def test_rows_that_do_not_tell_of_clips_are_refused(toy, paragraphs, start, tmp_path):
    def refused(said, rows, split, embedding):
        with pytest.raises(JsfError, match=said):
            train_captioner(
                **{**split, "split": Split(split["split"].store, rows)}, out=tmp_path / "run", start=embedding
            )

    refused("the table holds blanks", [Blank("train0", f"{BLANK} then", "red")] * 80, toy, start("fse"))
    unknown = [uniform(row, 2) for row in paragraphs["split"].rows]
    refused("which clip a sentence of 'split0' is about is not known", unknown, paragraphs, start("hse", 3))


def test_held_out_sentences_of_unknown_words_alone_are_refused(toy, start, tmp_path):
    val = Split(toy["val"].store, [Caption("val0", "nothing known")])
    with pytest.raises(JsfError, match="none of the sentences has a word of the vocabulary"):
        train_captioner(toy["split"], val, tmp_path / "run", start("fse"), "small")
