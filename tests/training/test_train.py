"""Training on a toy set: what a run leaves, what it learns, and what it refuses."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from jsf.data.captions import read_captions
from jsf.data.store import open_features
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.metrics import chance
from jsf.evaluation.retrieval import Retrieval, evaluate_retrieval
from jsf.models.checkpoint import Checkpoint
from jsf.models.config import PRESETS
from jsf.models.jsfusion import JSFusion
from jsf.training.batches import Captions, ShuffledBatches
from jsf.training.module import RetrievalModule, metrics, warm_up_then_cosine
from jsf.training.recipe import RECIPES
from jsf.training.scorer import CheckpointScorer
from jsf.training.train import train

EPOCHS = 8


def log_of(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tiny, toy, tmp_path_factory):
    """A whole run: its folder and the checkpoint that training returns."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, train(**toy, out=out, preset="tiny", epochs=EPOCHS)


@pytest.fixture
def unlearning(tiny, monkeypatch):
    """A recipe that changes no weight and a preset whose statistics stay, so that every epoch scores the same."""
    preset, recipe = tiny
    monkeypatch.setitem(PRESETS, "tiny", replace(preset, norm_decay=1.0))
    monkeypatch.setitem(RECIPES, "tiny", replace(recipe, learning_rate=0.0, patience=2))


def test_a_run_leaves_its_best_checkpoint_and_a_line_per_epoch(run, tiny, toy):
    out, returned = run
    assert sorted(file.name for file in out.iterdir()) == ["best.pt", "last.ckpt", "metrics.jsonl"]
    log = log_of(out)
    assert [line["epoch"] for line in log] == list(range(EPOCHS))
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]

    best = Checkpoint.load(out / "best.pt")
    assert best.metrics == returned.metrics == max(log, key=lambda line: (line["score"], line["epoch"]))
    assert best.extractor == "toy 1"
    assert best.recipe == {**asdict(replace(tiny[1], epochs=EPOCHS)), "seed": 0}
    assert best.model.config == replace(tiny[0], feature_width=7, vocabulary_size=len(best.vocabulary))
    sentences = [caption.sentence for caption in read_captions(toy["captions"])]
    assert best.vocabulary == Vocabulary.build(sentences, min_count=1)


def test_it_learns_and_its_metrics_are_those_of_its_checkpoint(run, toy):
    out, checkpoint = run
    scorer, captions = CheckpointScorer.load(out / "best.pt", "cpu"), read_captions(toy["val_captions"])
    recorded = {key: value for key, value in checkpoint.metrics.items() if key not in ("epoch", "loss")}
    found = metrics(evaluate_retrieval(scorer, captions, open_features(toy["val_features"])))
    assert found == pytest.approx(recorded, rel=1e-6)
    by_chance = metrics(Retrieval(chance(15, 15), chance(15, 15)))
    assert found.keys() == by_chance.keys()
    assert found["score"] > by_chance["score"] + 200
    assert min(found["t2v_R@1"], found["v2t_R@1"]) > 5 * by_chance["t2v_R@1"]
    assert max(found["t2v_MedR"], found["v2t_MedR"]) <= 2


def test_features_are_standardized_by_the_training_videos(run, toy):
    """Each video once, however many captions it has; a dimension that never varies is scaled to zero."""
    _, checkpoint = run
    store = open_features(toy["features"])
    steps = np.concatenate([store.read(video_id) for video_id in store.ids()]).astype(np.float64)
    encoder = checkpoint.model.frame_encoder
    np.testing.assert_allclose(encoder.feature_mean, steps.mean(0), rtol=1e-5)
    np.testing.assert_allclose(encoder.feature_scale[1:], 1 / steps[:, 1:].std(0), rtol=1e-5)
    assert encoder.feature_scale[0] == 0


def test_without_standardization_the_features_stay(tiny, toy, monkeypatch, tmp_path):
    monkeypatch.setitem(RECIPES, "tiny", replace(tiny[1], standardize=False))
    encoder = train(**toy, out=tmp_path / "run", preset="tiny", epochs=1).model.frame_encoder
    assert not encoder.feature_mean.any()
    assert (encoder.feature_scale == 1).all()


def test_a_run_is_reproducible_from_its_seed(tiny, toy, tmp_path):
    first, second, other = (
        train(**toy, out=tmp_path / name, preset="tiny", epochs=2, seed=seed).model.state_dict()
        for name, seed in (("first", 5), ("second", 5), ("other", 6))
    )
    torch.testing.assert_close(second, first, rtol=0, atol=0)
    assert log_of(tmp_path / "first") == log_of(tmp_path / "second")
    assert not torch.equal(other["matcher.chd.d8.weight"], first["matcher.chd.d8.weight"])


def test_the_seed_draws_the_weights(unlearning, toy, tmp_path):
    first, other = (train(**toy, out=tmp_path / str(seed), preset="tiny", epochs=1, seed=seed) for seed in (5, 6))
    pairs = zip(first.model.named_parameters(), other.model.parameters(), strict=True)
    assert all(name.endswith(("shift", "bias")) or not torch.equal(value, another) for (name, value), another in pairs)


def test_each_epoch_sees_its_own_batches(tiny, toy, tmp_path, monkeypatch):
    stack, seen = Captions.stack, []

    def recording(captions, rows):
        seen.append(rows.tolist())
        return stack(captions, rows)

    monkeypatch.setattr(Captions, "stack", recording)
    train(**toy, out=tmp_path / "run", preset="tiny", epochs=2, seed=9)
    trained, seen[:] = list(seen), []
    table = read_captions(toy["captions"])
    vocabulary = Vocabulary.build((caption.sentence for caption in table), min_count=1)
    batches = ShuffledBatches(Captions(table, open_features(toy["features"]), vocabulary), 8, 1, seed=9)
    for batches.epoch in (0, 1):
        list(batches)
    assert trained == seen
    assert len(seen) == 2 * (61 // 8)
    assert seen[: len(seen) // 2] != seen[len(seen) // 2 :]


def test_word_vectors_set_the_embeddings_of_the_words_found(unlearning, toy, tmp_path):
    vectors = {word: np.arange(16) + 0.5 * i for i, word in enumerate(("green", "then", "unheard"))}
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in vectors.items()))
    with_vectors, without = (
        train(**toy, out=tmp_path / name, preset="tiny", epochs=1, word_vectors=file)
        for name, file in (("with", path), ("without", None))
    )
    ids = with_vectors.vocabulary.ids
    rows, random = (c.model.word_encoder.embedding.weight.detach() for c in (with_vectors, without))
    for word in ("green", "then"):
        assert rows[ids[word]].tolist() == vectors[word].tolist()
    others = [row for word, row in ids.items() if word not in vectors]
    assert torch.equal(rows[others], random[others])
    assert rows[others].any(1).all()
    assert not rows[0].any()


def test_training_stops_when_the_score_no_longer_rises(unlearning, toy, tmp_path):
    best = train(**toy, out=tmp_path / "run", preset="tiny", epochs=20)
    log = log_of(tmp_path / "run")
    assert [line["epoch"] for line in log] == [0, 1, 2]  # the first is the best, and patience is 2
    assert len({line["score"] for line in log}) == 1
    assert best.metrics["epoch"] == 2  # of equals the later one


def test_trainer_options_reach_lightning(tiny, toy, tmp_path):
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        out, options = tmp_path / precision, {"precision": precision}
        train(**toy, out=out, preset="tiny", epochs=1, trainer_options=options)
        losses += [line["loss"] for line in log_of(out)]
    full, half = losses  # one epoch each
    assert half != full
    assert half == pytest.approx(full, rel=0.05)


@pytest.mark.parametrize("steps", [1, 7, 100, 1001])
def test_the_learning_rate_warms_up_then_falls_along_a_cosine(steps):
    rate = np.array([warm_up_then_cosine(step, steps) for step in range(steps + 1)])
    warm = max(1, round(0.05 * steps))
    assert (rate[:-1] > 0).all() and (rate <= 1).all()
    assert (np.diff(rate[:warm]) > 0).all()
    assert (np.diff(rate[warm + 1 :]) < 0).all()
    assert rate.max() > 0.9
    assert rate[-1] == 0
    middle = np.arange(warm + 1, steps + 1)
    np.testing.assert_allclose(rate[middle], np.cos(np.pi * middle / steps / 2) ** 2, atol=1e-12)


def test_word_vectors_and_shifts_do_not_decay(tiny, toy, tmp_path):

    table = read_captions(toy["captions"])
    vocabulary = Vocabulary.build((caption.sentence for caption in table), 1)
    captions = Captions(table, open_features(toy["features"]), vocabulary)
    model = JSFusion(replace(tiny[0], feature_width=captions.width, vocabulary_size=len(vocabulary)))
    recipe = replace(tiny[1], l2=5e-4, anneal=False)
    optimizer = RetrievalModule(model, recipe, vocabulary, captions, seed=0).configure_optimizers()
    decayed = {id(p) for p in optimizer.param_groups[0]["params"]}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-3, 0]
    assert id(model.word_encoder.embedding.weight) not in decayed
    assert id(model.matcher.jst.d2.linear.weight) in decayed
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
