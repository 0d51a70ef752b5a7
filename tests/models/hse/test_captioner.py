"""The captioner against its parts, and its decoder against a GRU in NumPy."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.captioner import Captioner, CaptionerConfig, preset
from jsf.models.hse.config import HSEConfig

FLAT = HSEConfig("tiny", 6, 9, hierarchical=False, frames=8, clips=3, segments=2, word_width=5, hidden=7)
HIERARCHICAL = replace(FLAT, hierarchical=True)
WORDS = ("a", "red", "blue", "circle")


@pytest.fixture
def captioner(golden_weights):
    """(embedding's configuration) -> a captioner with random weights, in eval mode."""
    return lambda embedding: golden_weights(
        Captioner(CaptionerConfig("tiny", embedding, len(WORDS) + 1, 2, 5, word_width=4, hidden=3))
    )


@pytest.fixture
def batch():
    """Two videos of two clips and of one, as `Captioner.embed` takes them."""
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.standard_normal((2, 8, 6)).astype(np.float32))
    clips = torch.from_numpy(rng.standard_normal((2, 2, 8, 6)).astype(np.float32))
    lengths = torch.tensor([[3, 8], [5, 0]])
    return features, torch.tensor([8, 6]), clips, lengths


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(weights, x, state):
    """One step of a GRU, gates in PyTorch's order: reset, update, new."""
    inputs = np.split(weights["gru.weight_ih_l0"] @ x + weights["gru.bias_ih_l0"], 3)
    states = np.split(weights["gru.weight_hh_l0"] @ state + weights["gru.bias_hh_l0"], 3)
    reset, update = sigmoid(inputs[0] + states[0]), sigmoid(inputs[1] + states[1])
    return (1 - update) * np.tanh(inputs[2] + reset * states[2]) + update * state


@torch.no_grad()
def test_the_decoder_agrees_with_numpy(captioner):
    decoder = captioner(FLAT).decoder
    weights = {name: value.numpy().astype(np.float64) for name, value in decoder.state_dict().items()}
    rng = np.random.default_rng(1)
    embeddings, before = rng.standard_normal((3, 14)).astype(np.float32), rng.integers(0, len(WORDS) + 1, (3, 4))
    found = decoder(torch.from_numpy(embeddings), torch.from_numpy(before)).numpy()
    for row in range(3):
        view = np.tanh(weights["view.weight"] @ embeddings[row] + weights["view.bias"])
        state = view
        for place, word in enumerate(before[row]):
            state = gru_step(weights, np.concatenate([weights["embedding.weight"][word], view]), state)
            expected = weights["output.weight"] @ state + weights["output.bias"]
            np.testing.assert_allclose(found[row, place], expected, atol=1e-5)


@torch.no_grad()
def test_a_step_is_a_place_of_the_whole_sentence(captioner):
    decoder = captioner(FLAT).decoder
    embeddings, before = (
        torch.randn(3, 14, generator=torch.Generator().manual_seed(0)),
        torch.tensor([[0, 2, 4, 1]] * 3),
    )
    whole = decoder(embeddings, before).log_softmax(-1)
    states = view = decoder.begin(embeddings)
    for place in range(4):
        step, states = decoder.step(before[:, place], states, view)
        torch.testing.assert_close(step, whole[:, place])


@torch.no_grad()
def test_hse_gives_the_parts_of_the_tower_beside_its_top(captioner, batch):
    model, (_, _, clips, clip_lengths) = captioner(HIERARCHICAL), batch
    levels = model.video_encoder.levels(*batch)
    there = clip_lengths > 0
    found = model.embed(batch, clips[there], clip_lengths[there], torch.tensor([0, 0, 1]))
    torch.testing.assert_close(found[:, :7], levels.parts[there])
    torch.testing.assert_close(found[:, 7:], levels.top[[0, 0, 1]])


@torch.no_grad()
def test_fse_gives_each_clip_as_a_video_beside_the_video(captioner, batch):
    model, (features, lengths, clips, clip_lengths) = captioner(FLAT), batch
    there = clip_lengths > 0
    found = model.embed((features, lengths), clips[there], clip_lengths[there], torch.tensor([0, 0, 1]))
    alone = model.video_encoder.levels(clips[there], clip_lengths[there]).top
    torch.testing.assert_close(found[:, :7], alone)
    torch.testing.assert_close(found[:, 7:], model.video_encoder.levels(features, lengths).top[[0, 0, 1]])


@torch.no_grad()
def test_wide_enough_beams_tell_no_less_probable_sentences(captioner):
    model = captioner(FLAT)
    embeddings = torch.randn(6, 14, generator=torch.Generator().manual_seed(3))

    def mean(ids):
        before = torch.cat([ids.new_zeros(len(ids), 1), ids[:, :-1]], 1)
        chosen = model.decoder(embeddings, before).log_softmax(-1).gather(2, ids[..., None])[..., 0]
        ends = (ids == 0).int().cumsum(1) <= 1
        return (chosen * ends).sum(1) / ends.sum(1)

    exhaustive, greedy = model.tell(embeddings, 1000), model.tell(embeddings, 1)
    assert (mean(exhaustive) >= mean(greedy) - 1e-6).all()
    assert exhaustive.shape[1] <= 5 and (exhaustive[:, 0] != 0).all()


def test_training_leaves_the_encoder_as_it_is(captioner):
    model = captioner(FLAT).train()
    assert model.decoder.training and not model.video_encoder.training
    assert not any(weight.requires_grad for weight in model.video_encoder.parameters())
    assert all(weight.requires_grad for weight in model.decoder.parameters())


@torch.no_grad()
def test_a_checkpoint_of_it_tells_the_same(captioner, tmp_path):
    model, vocabulary = captioner(HIERARCHICAL), Vocabulary(WORDS)
    Checkpoint(model, vocabulary, "toy 1", {"score": 3.0}, {"epochs": 2}).save(tmp_path / "best.pt")
    loaded = Checkpoint.load(tmp_path / "best.pt")
    assert loaded.captioner.config == model.config
    assert loaded.captioner.config.embedding == HIERARCHICAL
    assert (loaded.vocabulary, loaded.extractor) == (vocabulary, "toy 1")
    embeddings = torch.randn(4, 14, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.captioner.tell(embeddings, 3), model.tell(embeddings, 3))


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("jsfusion", "a model for captioning, which compares no frame with a word"),
        ("hse", "a model for captioning, which embeds neither videos nor texts"),
    ],
)
def test_a_captioner_is_no_other_system(system, said, captioner, tmp_path):
    path = tmp_path / "best.pt"
    Checkpoint(captioner(FLAT), Vocabulary(WORDS)).save(path)
    with pytest.raises(JsfError, match=said):
        getattr(Checkpoint.load(path), system)


def test_another_system_is_no_captioner(tiny_checkpoint):
    with pytest.raises(JsfError, match=r"a model for retrieval, which tells no sentences.\n.*--task captioning"):
        _ = Checkpoint.load(tiny_checkpoint).captioner


def test_a_checkpoint_whose_embedding_is_damaged_is_refused(captioner, tmp_path):
    path = tmp_path / "best.pt"
    Checkpoint(captioner(FLAT), Vocabulary(WORDS)).save(path)
    value = torch.load(path, weights_only=True)
    for embedding in (None, {"preset": "tiny"}, {**asdict(FLAT), "hidden": 8}, {**asdict(FLAT), "pool": "none"}):
        torch.save({**value, "config": {**value["config"], "embedding": embedding}}, path)
        with pytest.raises(JsfError, match=r"best.pt is damaged"):
            Checkpoint.load(path)


def test_presets_have_names():
    assert preset("paper", FLAT, 5, 1) == CaptionerConfig("paper", FLAT, 5)
    assert preset("small", FLAT, 5, 4) == CaptionerConfig("small", FLAT, 5, 4, hidden=512)
    with pytest.raises(JsfError, match="there is no preset 'large' of captioning, expected one of: paper, small"):
        preset("large", FLAT, 5, 1)


@pytest.mark.parametrize(("field", "value"), [("hidden", 0), ("segments", 0), ("dropout", 1.0), ("dropout", -0.1)])
def test_sizes_that_cannot_be_are_refused(field, value):
    with pytest.raises(JsfError, match=f"{field} is {value}, expected"):
        replace(preset("paper", FLAT, 5, 1), **{field: value})
