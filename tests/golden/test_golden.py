"""The authors' scores of all three tasks, from their weights, through PyTorch and through the exported graphs."""

import numpy as np
import pytest
import torch

from jsf.data.blanks import BLANK
from jsf.data.sequence import pad
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.official import official_model
from jsf.runtime.scorer import Scorer

TASKS = {"ret": "retrieval", "mc": "multiple-choice", "fib": "fill-in-the-blank"}


@pytest.fixture(scope="module")
def model(golden):
    return official_model(golden["weights"])


@pytest.fixture(scope="module")
def pairs(golden):
    """Captions [S, 40], their lengths, and the video and the caption of each pair, in the order of the scores."""
    captions, lengths = np.array(golden["captions"]).reshape(-1, 40), np.array(golden["text_lengths"]).reshape(-1)
    if golden["task"] == "ret":
        videos, columns = np.divmod(np.arange(16), 4)
    else:
        columns = np.arange(len(captions))
        videos = columns // (len(captions) // 4)
    return captions, lengths, videos, columns


def check(found, golden):
    expected = np.array(golden["scores"])
    error = np.abs(np.asarray(found).reshape(expected.shape) - expected).max() / np.ptp(expected)
    assert error < 1e-4, f"{error:.1e} of the score range"


def test_golden_task_is_recognised(golden, model):
    assert model.config.task == TASKS[golden["task"]]


def test_golden_scores_in_pytorch(golden, model, pairs):
    features, frame_lengths = pad(golden["features"], left=True)
    captions, lengths, videos, columns = map(torch.from_numpy, pairs)
    blanks = torch.tensor(golden["blank"]) if model.config.fills_blanks else None
    with torch.no_grad():
        found = model(
            torch.from_numpy(features), torch.from_numpy(frame_lengths), captions, lengths, videos, columns, blanks
        )
    check(found, golden)


@pytest.fixture(scope="module")
def words(model):
    """A word for each id from 1."""
    words = ["w" + "".join(chr(97 + int(digit)) for digit in str(i)) for i in range(1, 200)]
    return [BLANK, *words[1:]] if model.config.fills_blanks else words


@pytest.fixture(scope="module")
def bundle(model, words, export_once):
    return export_once(Checkpoint(model, Vocabulary(tuple(words))))


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_golden_scores_in_onnx(golden, model, pairs, words, bundle, device):
    """From features and sentences, as a user gives them: words stand for the ids, and the runtime pads and crops."""
    captions, lengths, videos, columns = pairs
    sentences = [" ".join(words[i - 1] for i in row[:length]) for row, length in zip(captions, lengths, strict=True)]
    scorer = Scorer.load(bundle, device)
    score = scorer.score_words if model.config.fills_blanks else scorer.match_pairs
    check(score(golden["features"], sentences, videos, columns), golden)
