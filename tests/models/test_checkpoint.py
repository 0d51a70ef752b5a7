import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion


def test_round_trip(tiny_model, tmp_path):
    vocabulary = Vocabulary(("red", "naïve", "'s", "!", "a", "b", "c", "d"))
    metrics, recipe = {"score": 12.5, "epoch": 3.0}, {"epochs": 4}
    Checkpoint(tiny_model, vocabulary, "toy 1", metrics, recipe).save(tmp_path / "best.pt")
    loaded = Checkpoint.load(tmp_path / "best.pt")
    assert loaded.vocabulary == vocabulary
    assert (loaded.extractor, loaded.metrics, loaded.recipe) == ("toy 1", metrics, recipe)
    assert loaded.model.config == tiny_model.config
    assert not loaded.model.training

    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.standard_normal((3, 40, 12)).astype(np.float32))
    words, lengths, index = torch.from_numpy(rng.integers(1, 9, (3, 40))), torch.tensor([40, 1, 9]), torch.arange(3)
    with torch.no_grad():
        found, expected = (m(features, lengths, words, lengths, index, index) for m in (loaded.model, tiny_model))
    assert torch.equal(found, expected)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(JsfError, match=r"none.pt does not exist.\nMake it with: jsf train"):
        Checkpoint.load(tmp_path / "none.pt")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(save, tmp_path):
    path, ran = tmp_path / "best.pt", tmp_path / "ran"
    save({"format": 2, "config": Bomb(ran)}, path)
    with pytest.raises(JsfError, match=r"best.pt is not a jsf checkpoint"):
        Checkpoint.load(path)
    assert not ran.exists()
    pickle.loads(pickle.dumps(Bomb(ran)))
    assert ran.exists()  # the bomb is live: only the reader's care kept it from going off


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.builds(bytes.__add__, st.just(b"PK\x03\x04"), st.binary(max_size=100)))
def test_random_bytes_are_refused(content, tmp_path):
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    with pytest.raises(JsfError, match=r"best.pt"):
        Checkpoint.load(path)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_refused(share, tiny_checkpoint, tmp_path):
    whole, path = tiny_checkpoint.read_bytes(), tmp_path / "best.pt"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(JsfError, match=r"best.pt is not a jsf checkpoint"):
        Checkpoint.load(path)


def without(name):
    return lambda value: {key: kept for key, kept in value.items() if key != name}


def with_config(**changes):
    return lambda value: {**value, "config": {**value["config"], **changes}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: {**value, "format": 1}, "format 1; this jsf reads format 2"),
        (without("format"), "format None; this jsf reads format 2"),
        (lambda value: list(value), "format None; this jsf reads format 2"),
        (without("config"), "is damaged: 'config'"),
        (without("vocabulary"), "is damaged: 'vocabulary'"),
        (without("state_dict"), "is damaged: 'state_dict'"),
        (without("extractor"), "is damaged: 'extractor'"),
        (with_config(joint=9), "is damaged: .*JSFusion"),
        (with_config(joint=1 << 40), "is damaged: "),
        (with_config(frame_dropout=2.0), "is damaged: "),
        (with_config(pool="most"), "is damaged: pool is 'most', expected one of: mean, sum"),
        (with_config(task="fill-in-the-blank", head=(6, 6, 5)), "is damaged: D7 is 5 wide"),
        (with_config(colour=1), "is damaged: .*colour"),
        (with_config(head=(6, 6)), "is damaged: "),
        (lambda value: {**value, "state_dict": {}}, "is damaged: .*JSFusion"),
        (lambda value: {**value, "vocabulary": ["red"]}, "is damaged: a vocabulary of 2 for 9 embeddings"),
    ],
)
def test_a_damaged_checkpoint_is_refused(change, message, tiny_checkpoint, tmp_path):
    path = tmp_path / "best.pt"
    torch.save(change(torch.load(tiny_checkpoint, weights_only=True)), path)
    with pytest.raises(JsfError, match=message):
        Checkpoint.load(path)


def test_saving_replaces_the_old_file_whole(tiny_model, tmp_path):
    path = tmp_path / "best.pt"
    path.write_bytes(b"an older run's file")
    Checkpoint(tiny_model, Vocabulary(tuple("abcdefgh"))).save(path)
    assert isinstance(Checkpoint.load(path).model, JSFusion)
    assert [file.name for file in tmp_path.iterdir()] == ["best.pt"]
