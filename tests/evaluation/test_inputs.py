"""What all three protocols refuse before anything is scored."""

import numpy as np
import pytest

from jsf.data.blanks import BLANK, Blank
from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.fill_in_the_blank import evaluate_fill_in_the_blank
from jsf.evaluation.inputs import distinct, read_videos
from jsf.evaluation.multiple_choice import evaluate_multiple_choice
from jsf.evaluation.retrieval import evaluate_retrieval

PROTOCOLS = {
    "retrieval": (evaluate_retrieval, lambda video: Caption(video, "a dog")),
    "multiple-choice": (evaluate_multiple_choice, lambda video: Question(video, ("a dog", "a cat"), 0)),
    "fill-in-the-blank": (evaluate_fill_in_the_blank, lambda video: Blank(video, f"a {BLANK}", "dog")),
}


class ZeroScorer:
    """Scores all the same, and keeps the features that it was given."""

    task, description, vocabulary = "any", "zeros", Vocabulary((BLANK, "a", "dog"))

    def __init__(self, extractor=""):
        self.extractor, self.seen = extractor, []

    def score_matrix(self, videos, sentences):
        self.seen += videos
        return np.zeros((len(videos), len(sentences)), np.float32)

    def match_pairs(self, videos, sentences, rows, columns):
        self.seen += videos
        return np.zeros(len(rows), np.float32)

    def score_words(self, videos, sentences, rows, columns):
        self.seen += videos
        return np.zeros((len(rows), len(self.vocabulary)), np.float32)


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return PROTOCOLS[request.param]


def test_features_of_another_extractor_are_refused(protocol, memory_store):
    evaluate, row = protocol
    scorer = ZeroScorer("resnet 1")
    with pytest.raises(JsfError, match="memory was extracted by 'vgg 2'; the model was trained on 'resnet 1'"):
        evaluate(scorer, [row("a")], memory_store(["a"], "vgg 2"))
    assert not scorer.seen


@pytest.mark.parametrize(("model", "features"), [("resnet 1", "resnet 1"), ("", "vgg 2"), ("resnet 1", "")])
def test_features_of_the_same_or_an_unknown_extractor_are_scored(protocol, memory_store, model, features):
    evaluate, row = protocol
    scorer = ZeroScorer(model)
    evaluate(scorer, [row("a")], memory_store(["a"], features))
    assert len(scorer.seen) == 1


def test_videos_without_features_are_refused_before_any_is_scored(protocol, memory_store):
    evaluate, row = protocol
    scorer = ZeroScorer()
    with pytest.raises(JsfError, match="no features of 'pink'; of 3 videos 2 are absent"):
        evaluate(scorer, [row(video) for video in ("a", "pink", "a", "grey")], memory_store(["a", "b"]))
    assert not scorer.seen


def test_no_rows_are_refused(protocol, memory_store):
    evaluate, _ = protocol
    with pytest.raises(JsfError, match="nothing to evaluate"):
        evaluate(ZeroScorer(), [], memory_store(["a"]))


def test_each_video_is_given_once_and_cut_to_40_steps(protocol, memory_store):
    evaluate, row = protocol
    scorer = ZeroScorer()
    evaluate(scorer, [row(video) for video in ("b", "a", "b")], memory_store(["a", "b"], frames=400))
    assert [(video.shape, video[0, 0]) for video in scorer.seen] == [((40, 1), 1), ((40, 1), 0)]


def test_distinct():
    items, index = distinct(iter("abacb"))
    assert (items, index.tolist()) == (["a", "b", "c"], [0, 1, 0, 2, 1])


def test_videos_are_read_in_order(memory_store):
    assert [video[0, 0] for video in read_videos(memory_store(["a", "b", "c"]), ["c", "a"], ZeroScorer())] == [2, 0]
