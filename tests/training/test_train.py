"""Training on a toy set: what a run leaves, what each task learns, and what a run is reproducible from."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.fill_in_the_blank import evaluate_fill_in_the_blank
from jsf.evaluation.metrics import chance
from jsf.evaluation.multiple_choice import evaluate_multiple_choice
from jsf.evaluation.retrieval import Retrieval, evaluate_retrieval
from jsf.models.checkpoint import Checkpoint
from jsf.models.config import JSFusionConfig
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import PRESETS
from jsf.training.batches import ShuffledBatches
from jsf.training.loop import warm_up_then_cosine
from jsf.training.module import TrainingModule
from jsf.training.retrieval import RetrievalExamples, metrics
from jsf.training.scorer import CheckpointScorer
from jsf.training.train import train

EPOCHS = 8


@pytest.fixture(scope="module")
def run(tiny, toy, tmp_path_factory):
    """A whole run: its folder and the checkpoint that training returns."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, train(**toy, out=out, preset="tiny")


@pytest.fixture
def unlearning(other_recipe, monkeypatch):
    """A recipe that changes no weight and a preset whose statistics stay, so that every epoch scores the same."""
    monkeypatch.setitem(PRESETS["retrieval"], "tiny", {**PRESETS["retrieval"]["tiny"], "norm_decay": 1.0})
    other_recipe(learning_rate=0.0, patience=2)


def test_a_run_leaves_its_best_checkpoint_and_a_line_per_epoch(run, tiny, toy, log_of):
    out, returned = run
    assert sorted(file.name for file in out.iterdir()) == ["best.pt", "last.ckpt", "metrics.jsonl"]
    log = log_of(out)
    assert [line["epoch"] for line in log] == list(range(EPOCHS))
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]

    best = Checkpoint.load(out / "best.pt")
    assert best.metrics == returned.metrics == max(log, key=lambda line: (line["score"], line["epoch"]))
    assert best.extractor == "toy 1"
    assert best.recipe == {**asdict(tiny[1]), "seed": 0}
    assert best.model.config == replace(JSFusionConfig("tiny", 7, len(best.vocabulary)), **tiny[0])
    assert best.vocabulary == Vocabulary.build((caption.sentence for caption in toy["split"].rows), min_count=1)


def test_it_learns_and_its_metrics_are_those_of_its_checkpoint(run, toy):
    out, checkpoint = run
    scorer = CheckpointScorer.load(out / "best.pt", "cpu")
    recorded = {key: value for key, value in checkpoint.metrics.items() if key not in ("epoch", "loss")}
    found = metrics(evaluate_retrieval(scorer, toy["val"].rows, toy["val"].store))
    assert found == pytest.approx(recorded, rel=1e-6)
    by_chance = metrics(Retrieval(chance(15, 15), chance(15, 15)))
    assert found.keys() == by_chance.keys()
    assert found["score"] > by_chance["score"] + 200
    assert min(found["t2v_R@1"], found["v2t_R@1"]) > 5 * by_chance["t2v_R@1"]
    assert max(found["t2v_MedR"], found["v2t_MedR"]) <= 2


EVALUATE = {
    "multiple-choice": (evaluate_multiple_choice, "questions"),
    "fill-in-the-blank": (evaluate_fill_in_the_blank, "table"),
}


@pytest.mark.parametrize(
    ("task", "rows", "least"),
    [
        ("multiple-choice", "toy", 70),
        ("multiple-choice", "toy_questions", 70),
        ("fill-in-the-blank", "toy", 50),
        ("fill-in-the-blank", "toy_blanks", 50),
    ],
)
def test_every_task_learns_from_rows_of_its_own_and_from_captions(
    task, rows, least, tiny, examples_of, request, tmp_path
):
    data = request.getfixturevalue(rows)
    found = train(**data, out=tmp_path / "run", task=task, preset="tiny", settings={"epochs": 10})
    assert found.metrics["score"] == found.metrics["accuracy"] >= least
    evaluate, table = EVALUATE[task]
    result = evaluate(
        CheckpointScorer.load(tmp_path / "run" / "best.pt", "cpu"),
        getattr(examples_of(task, data["val"]), table),
        data["val"].store,
    )
    assert result.accuracy == pytest.approx(found.metrics["accuracy"])
    assert result.accuracy > 2.5 * result.chance
    assert result.questions == len(data["val"].rows)


def test_features_are_standardized_by_the_training_videos(run, toy):
    """Each video once, however many captions it has; a dimension that never varies is scaled to zero."""
    _, checkpoint = run
    split = toy["split"]
    steps = np.concatenate([split.store.read(video_id) for video_id in split.video_ids]).astype(np.float64)
    encoder = checkpoint.model.frame_encoder
    np.testing.assert_allclose(encoder.feature_mean, steps.mean(0), rtol=1e-5)
    np.testing.assert_allclose(encoder.feature_scale[1:], 1 / steps[:, 1:].std(0), rtol=1e-5)
    assert encoder.feature_scale[0] == 0


def test_without_standardization_the_features_stay(tiny, toy, tmp_path):
    settings = {"standardize": False, "epochs": 1}
    encoder = train(**toy, out=tmp_path / "run", preset="tiny", settings=settings).model.frame_encoder
    assert not encoder.feature_mean.any()
    assert (encoder.feature_scale == 1).all()


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("retrieval", {}),
        ("retrieval", {"alignment": 1.0, "alone": 1, "mined": 2, "exchanges": 1, "jitter": True, "contrastive": True}),
        ("multiple-choice", {}),
        ("fill-in-the-blank", {}),
    ],
)
def test_a_run_is_reproducible_from_its_seed(task, settings, tiny, long_toy, log_of, tmp_path):
    first, second, other = (
        train(**long_toy, out=tmp_path / name, task=task, preset="tiny", seed=seed, settings={"epochs": 2, **settings})
        for name, seed in (("first", 5), ("second", 5), ("other", 6))
    )
    first, second, other = (found.model.state_dict() for found in (first, second, other))
    torch.testing.assert_close(second, first, rtol=0, atol=0)
    assert log_of(tmp_path / "first") == log_of(tmp_path / "second")
    assert not torch.equal(other["matcher.head.d8.weight"], first["matcher.head.d8.weight"])


def test_the_seed_draws_the_weights(unlearning, toy, tmp_path):
    first, other = (
        train(**toy, out=tmp_path / str(seed), preset="tiny", settings={"epochs": 1}, seed=seed) for seed in (5, 6)
    )
    pairs = zip(first.model.named_parameters(), other.model.parameters(), strict=True)
    assert all(name.endswith(("shift", "bias")) or not torch.equal(value, another) for (name, value), another in pairs)


def test_each_epoch_sees_its_own_batches(tiny, toy, examples_of, tmp_path, monkeypatch):
    stack, seen = RetrievalExamples.stack, []

    def recording(examples, rows, random):
        seen.append(rows.tolist())
        return stack(examples, rows, random)

    monkeypatch.setattr(RetrievalExamples, "stack", recording)
    train(**toy, out=tmp_path / "run", preset="tiny", settings={"epochs": 2}, seed=9)
    trained, seen[:] = list(seen), []
    batches = ShuffledBatches(examples_of("retrieval", toy["split"]), 8, seed=9)
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
        train(**toy, out=tmp_path / name, preset="tiny", settings={"epochs": 1}, word_vectors=file)
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


@pytest.fixture
def vectors(tmp_path):
    """A file of three word vectors, one of them of a word that no caption has."""
    path, rng = tmp_path / "vectors.txt", np.random.default_rng(0)
    path.write_text("".join(f"{word} {' '.join(map(str, rng.random(16)))}\n" for word in ("green", "then", "violet")))
    return path


def test_word_vectors_can_be_frozen(tiny, toy, vectors, tmp_path):
    rows = {}
    for frozen in (True, False):
        settings = {"epochs": 1, "frozen_words": frozen}
        out = tmp_path / str(frozen)
        found = train(**toy, out=out, preset="tiny", word_vectors=vectors, settings=settings)
        rows[frozen] = found.model.word_encoder.embedding.weight[found.vocabulary.ids["green"]].tolist()
    written = [float(value) for value in vectors.read_text().splitlines()[0].split()[1:]]
    assert rows[True] == pytest.approx(written, rel=1e-6)
    assert rows[False] != pytest.approx(written, rel=1e-4)


def test_an_open_vocabulary_has_the_words_of_the_vectors_too(tiny, toy, vectors, tmp_path):
    settings = {"epochs": 1, "open_vocabulary": True}
    found = train(**toy, out=tmp_path / "run", preset="tiny", word_vectors=vectors, settings=settings)
    known = Vocabulary.build((caption.sentence for caption in toy["split"].rows), min_count=1).words
    assert found.vocabulary.words == (*known, "violet")
    with pytest.raises(JsfError, match="open_vocabulary takes its words from --word-vectors, which is not given"):
        train(**toy, out=tmp_path / "none", preset="tiny", settings=settings)
    fills = {"task": "fill-in-the-blank", "word_vectors": vectors}
    with pytest.raises(JsfError, match="open_vocabulary is for tasks that score sentences"):
        train(**toy, out=tmp_path / "fills", preset="tiny", settings=settings, **fills)


def test_training_stops_when_the_score_no_longer_rises(unlearning, toy, log_of, tmp_path):
    best = train(**toy, out=tmp_path / "run", preset="tiny", settings={"epochs": 20})
    log = log_of(tmp_path / "run")
    assert [line["epoch"] for line in log] == [0, 1, 2]  # the first is the best, and patience is 2
    assert len({line["score"] for line in log}) == 1
    assert best.metrics["epoch"] == 2  # of equals the later one


def test_trainer_options_reach_lightning(tiny, toy, log_of, tmp_path):
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        out, options = tmp_path / precision, {"precision": precision}
        train(**toy, out=out, preset="tiny", settings={"epochs": 1}, trainer_options=options)
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


def test_word_vectors_and_shifts_do_not_decay(tiny, toy, examples_of):
    examples = examples_of("retrieval", toy["split"])
    model = JSFusion(replace(JSFusionConfig("tiny", 7, len(examples.vocabulary)), **tiny[0]))
    recipe = replace(tiny[1], l2=5e-4, alignment=1.0)
    module = TrainingModule(model, recipe, examples.vocabulary, examples, examples, seed=0)
    module.trainer = SimpleNamespace(estimated_stepping_batches=10)
    optimizer = module.configure_optimizers()["optimizer"]
    decayed = {id(p) for p in optimizer.param_groups[0]["params"]}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-3, 0]
    assert id(model.word_encoder.embedding.weight) not in decayed
    assert id(model.matcher.fusion.jst.d2.linear.weight) in decayed
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(module.parameters()))
