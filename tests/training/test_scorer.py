import copy

import numpy as np
import pytest
import torch

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.sequence import pad
from jsf.data.vocabulary import Vocabulary
from jsf.training.scorer import ENCODE_BATCH, MATCH_CELLS, CheckpointScorer

WORDS = ("red", "blue", "circle", "square", "then", "a", "while", "rings")


TASKS = ("retrieval", "multiple-choice", "fill-in-the-blank")


@pytest.fixture(scope="module")
def queries():
    """Enough of both for several batches of encoding and of matching; some longer than 40 steps."""
    rng = np.random.default_rng(0)
    videos = [rng.standard_normal((length, 12)).astype(np.float32) for length in (1, 57, 40, 9, 23)]
    sentences = [" ".join(rng.choice(WORDS, rng.integers(1, 50))) for _ in range(ENCODE_BATCH)]
    return videos, [*sentences, "nothing known", "red"]


def scorer_of(checkpoint):
    return CheckpointScorer(copy.deepcopy(checkpoint.model), checkpoint.vocabulary)


def forward(checkpoint, video, words, length, blank=None):
    """The plain model, one video with one sentence."""
    zero, model = torch.zeros(1, dtype=torch.int64), checkpoint.model
    features, frames = map(torch.from_numpy, pad([video], left=model.config.left_padded))
    words, length = torch.from_numpy(words)[None], torch.tensor([length])
    with torch.no_grad():
        scores = model(features, frames, words, length, zero, zero, None if blank is None else torch.tensor([blank]))
    return scores[0].numpy()


@pytest.mark.parametrize("task", TASKS[:2])
@pytest.mark.parametrize("preset", ["paper", "official"])
def test_the_matrix_and_any_pairs_are_those_of_the_model_pair_by_pair(preset, task, tiny_variant, queries):
    checkpoint, (videos, sentences) = tiny_variant(preset, task), queries
    assert len(videos) * len(sentences) > 2 * MATCH_CELLS // 1600
    found = scorer_of(checkpoint).score_matrix(videos, sentences)
    encoded = list(zip(*checkpoint.vocabulary.encode_batch(sentences), strict=True))
    expected = np.array([[forward(checkpoint, video, *sentence) for sentence in encoded] for video in videos])
    assert found.dtype == np.float32
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)

    rows, columns = np.random.default_rng(1).integers(0, (len(videos), len(sentences)), (99, 2)).T
    pairs = scorer_of(checkpoint).match_pairs(videos, sentences, rows, columns)
    assert pairs.shape == (99,)
    np.testing.assert_allclose(pairs, expected[rows, columns], rtol=0, atol=1e-5)


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_the_words_for_a_blank_are_those_of_the_model_pair_by_pair(preset, tiny_variant, queries):
    checkpoint, (videos, sentences) = tiny_variant(preset, "fill-in-the-blank"), queries
    blanks = [
        " ".join([*words[: i % 7], BLANK, *words[i % 7 + 1 :]]) for i, words in enumerate(map(str.split, sentences))
    ]
    rows, columns = np.random.default_rng(1).integers(0, (len(videos), len(blanks)), (70, 2)).T
    found = scorer_of(checkpoint).score_words(videos, blanks, rows, columns)
    encoded = list(zip(*checkpoint.vocabulary.encode_blanks(blanks), strict=True))
    expected = [forward(checkpoint, videos[v], *encoded[s]) for v, s in zip(rows, columns, strict=True)]
    assert found.shape == (70, len(checkpoint.vocabulary))
    assert np.ptp(expected, axis=0).min() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.ptp(expected))


def test_sentences_that_are_the_same_to_the_model_tie_exactly(tiny_variant, queries):
    videos, sentences = queries
    scorer = scorer_of(tiny_variant("paper", "retrieval"))
    same = [f"Purple {sentence.upper()}!" for sentence in sentences]
    scores = scorer.score_matrix(videos, sentences + same)
    np.testing.assert_array_equal(scores[:, : len(sentences)], scores[:, len(sentences) :])


def test_each_task_refuses_what_the_other_scores(tiny_variant, queries):
    one = np.zeros(1, np.intp)
    with pytest.raises(JsfError, match="a model for fill-in-the-blank scores words, not sentences"):
        scorer_of(tiny_variant("paper", "fill-in-the-blank")).score_matrix(*queries)
    for task in TASKS[:2]:
        with pytest.raises(JsfError, match=f"a model for {task} does not fill blanks"):
            scorer_of(tiny_variant("paper", task)).score_words(queries[0], [BLANK], one, one)
    with pytest.raises(JsfError, match="has no blank, expected one"):
        scorer_of(tiny_variant("paper", "fill-in-the-blank")).score_words(queries[0], ["red"], one, one)


def test_features_of_another_width_are_refused(tiny_model):
    with pytest.raises(JsfError, match="the video has features 7 wide; the model takes 12"):
        CheckpointScorer(tiny_model, Vocabulary(WORDS)).score_matrix([np.ones((3, 7), np.float32)], ["red"])


@pytest.mark.parametrize("training", [False, True])
def test_it_scores_in_eval_mode_and_leaves_the_mode_and_the_statistics(tiny_model, queries, training):
    model = copy.deepcopy(tiny_model).train(training)
    found = CheckpointScorer(model, Vocabulary(WORDS)).score_matrix(*queries)
    expected = CheckpointScorer(tiny_model, Vocabulary(WORDS)).score_matrix(*queries)
    np.testing.assert_array_equal(found, expected)
    assert model.training is training
    torch.testing.assert_close(model.state_dict(), tiny_model.state_dict(), rtol=0, atol=0)


def test_a_checkpoint_scores_as_its_model(tiny_model, tiny_checkpoint, queries):
    loaded = CheckpointScorer.load(tiny_checkpoint, device="cpu", precision="fp32")
    expected = CheckpointScorer(tiny_model, Vocabulary(WORDS)).score_matrix(*queries)
    np.testing.assert_array_equal(loaded.score_matrix(*queries), expected)
    assert loaded.description == f"PyTorch {torch.__version__} on cpu, fp32"


def test_another_precision_is_refused(tiny_checkpoint):
    with pytest.raises(JsfError, match="scored in fp32, not fp16") as caught:
        CheckpointScorer.load(tiny_checkpoint, precision="fp16")
    assert caught.value.fix == f"Export it: jsf export --ckpt {tiny_checkpoint}"


@pytest.mark.parametrize("device", ["toaster", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device, tiny_checkpoint):
    with pytest.raises(JsfError, match=f"PyTorch has no device '{device}' here: "):
        CheckpointScorer.load(tiny_checkpoint, device=device)
