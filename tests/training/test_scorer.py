import copy

import numpy as np
import pytest
import torch

from jsf.data.errors import JsfError
from jsf.data.sequence import pad
from jsf.data.vocabulary import Vocabulary
from jsf.training.scorer import ENCODE_BATCH, MATCH_CELLS, CheckpointScorer

WORDS = ("red", "blue", "circle", "square", "then", "a", "while", "rings")


@pytest.fixture(scope="module")
def queries():
    """Enough of both for several batches of encoding and of matching; some longer than 40 steps."""
    rng = np.random.default_rng(0)
    videos = [rng.standard_normal((length, 12)).astype(np.float32) for length in (1, 57, 40, 9, 23)]
    sentences = [" ".join(rng.choice(WORDS, rng.integers(1, 50))) for _ in range(ENCODE_BATCH)]
    return videos, [*sentences, "nothing known", "red"]


def test_the_matrix_is_that_of_the_model_pair_by_pair(tiny_model, queries):
    videos, sentences = queries
    model = copy.deepcopy(tiny_model)
    assert len(videos) * len(sentences) > 2 * MATCH_CELLS // 1600
    found = CheckpointScorer(model, Vocabulary(WORDS)).score_matrix(videos, sentences)
    words, word_lengths = (torch.from_numpy(x) for x in Vocabulary(WORDS).encode_batch(sentences))
    zero = torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        expected = [
            [
                model(*map(torch.from_numpy, pad([video])), words[j, None], word_lengths[j, None], zero, zero).item()
                for j in range(len(sentences))
            ]
            for video in videos
        ]
    assert found.dtype == np.float32
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


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
