"""Checkpoints of embeddings, and those written before there were any."""

from dataclasses import asdict

import pytest
import torch

from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.hse import HSE
from jsf.models.jsfusion import JSFusion

VOCABULARY = Vocabulary(tuple("abcdefgh"))


@pytest.fixture
def saved(model_of, tmp_path):
    """(change of what the file holds) -> the file of an HSE."""

    def save(change=lambda value: value):
        path = tmp_path / "best.pt"
        Checkpoint(model_of(True, "attention", True), VOCABULARY, "toy 1", {"score": 5.0}, {"epochs": 4}).save(path)
        torch.save(change(torch.load(path, weights_only=True)), path)
        return path

    return save


@pytest.mark.parametrize(("hierarchical", "pool"), [(True, "attention"), (False, "last")])
def test_round_trip(model_of, batch_of, hierarchical, pool, tmp_path):
    model, batch, path = model_of(hierarchical, pool, True), batch_of(hierarchical), tmp_path / "best.pt"
    Checkpoint(model, VOCABULARY, "toy 1", {"score": 12.5}, {"epochs": 4}).save(path)
    assert torch.load(path, weights_only=True)["system"] == "hse"
    loaded = Checkpoint.load(path)
    assert (loaded.vocabulary, loaded.extractor) == (VOCABULARY, "toy 1")
    assert (loaded.metrics, loaded.recipe) == ({"score": 12.5}, {"epochs": 4})
    assert loaded.hse.config == model.config and not loaded.hse.training
    with torch.no_grad():
        assert torch.equal(loaded.hse.video_encoder(*batch.videos), model.video_encoder(*batch.videos))
        assert torch.equal(loaded.hse.text_encoder(*batch.texts), model.text_encoder(*batch.texts))


def test_a_checkpoint_that_names_no_system_is_of_jsfusion(tiny_checkpoint, tmp_path):
    value = torch.load(tiny_checkpoint, weights_only=True)
    assert value.pop("system") == "jsfusion"
    torch.save(value, tmp_path / "best.pt")
    loaded = Checkpoint.load(tmp_path / "best.pt")
    assert isinstance(loaded.jsfusion, JSFusion)
    assert asdict(loaded.model.config) == asdict(Checkpoint.load(tiny_checkpoint).model.config)


def test_a_model_of_the_other_kind_is_refused(saved, tiny_checkpoint):
    with pytest.raises(JsfError, match="holds a model for embedding, which compares no frame with a word") as caught:
        _ = Checkpoint.load(saved()).jsfusion
    assert caught.value.fix == "Name a checkpoint of JSFusion: jsf train --model jsfusion"
    with pytest.raises(JsfError, match="holds a model for retrieval, which embeds neither videos nor texts") as caught:
        _ = Checkpoint.load(tiny_checkpoint).hse
    assert caught.value.fix == "Name a checkpoint of an embedding: jsf train --model hse"
    assert isinstance(Checkpoint.load(saved()).hse, HSE)


def config(**changes):
    return lambda value: {**value, "config": {**value["config"], **changes}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: {**value, "system": "vse"}, "is damaged: 'vse'"),
        (lambda value: {**value, "system": "jsfusion"}, "is damaged: "),
        (lambda value: {**value, "system": ["hse"]}, "is damaged: "),
        (lambda value: {name: kept for name, kept in value.items() if name != "system"}, "is damaged: "),
        (config(hierarchical=False), "is damaged: .*HSE"),
        (config(hidden=10), "is damaged: .*HSE"),
        (config(hidden=1 << 40), "is damaged: "),
        (config(pool="mean"), "is damaged: pool is 'mean'"),
        (config(hidden="8"), "is damaged: "),
        (config(vocabulary_size=12), "is damaged: "),
        (lambda value: {**value, "vocabulary": ["red"]}, "is damaged: a vocabulary of 2 for 9 embeddings"),
        (lambda value: {**value, "state_dict": {}}, "is damaged: .*HSE"),
        (
            lambda value: {**value, "state_dict": {name: w.double() for name, w in value["state_dict"].items()}},
            "is damaged: weights of torch.float64, expected torch.float32",
        ),
    ],
)
def test_a_damaged_checkpoint_is_refused(saved, change, message):
    with pytest.raises(JsfError, match=message):
        Checkpoint.load(saved(change))
