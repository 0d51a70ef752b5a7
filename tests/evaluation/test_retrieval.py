import numpy as np
import pytest

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import open_features
from jsf.evaluation.metrics import ranking, ranks
from jsf.evaluation.retrieval import evaluate_retrieval, rank_both, score_retrieval

COLOURS = ("red", "green", "blue")


class ColourScorer:
    """Scores 1 where the sentence names the colour that the video's one feature stands for; counts its calls."""

    task, description, extractor = "retrieval", "colours", ""

    def __init__(self):
        self.calls = []

    def score_matrix(self, videos, sentences):
        self.calls.append((len(videos), list(sentences)))
        return np.array(
            [[float(COLOURS[int(video[0, 0])] in sentence.split()) for sentence in sentences] for video in videos],
            np.float32,
        )


@pytest.fixture
def store(tmp_path):
    for i, colour in enumerate(COLOURS):
        FeatureSequence(np.full((i + 1, 1), i, np.float32)).save(tmp_path / f"{colour}-clip.npz")
    return open_features(tmp_path)


def test_every_sentence_and_every_video_is_a_query_once(store):
    captions = [
        Caption("blue-clip", "a blue dot"),
        Caption("red-clip", "a red dot"),
        Caption("blue-clip", "green it is not"),  # the wrong colour: its video ranks second, with the red one
        Caption("green-clip", "green"),
        Caption("red-clip", "red again"),
    ]
    scorer = ColourScorer()
    result = evaluate_retrieval(scorer, captions, store)
    assert scorer.calls == [(3, [caption.sentence for caption in captions])]
    found = result.text_to_video
    assert (found.queries, found.gallery, found.recall) == (5, 3, {1: 80.0})
    assert (found.median_rank, found.mean_rank) == (1.0, pytest.approx((4 * 1 + 2.5) / 5))
    # Green's one sentence ties with the wrong one; blue and red each find one of their two first.
    found = result.video_to_text
    assert (found.queries, found.gallery, found.recall) == (3, 5, {1: pytest.approx(200 / 3), 5: 100.0})
    assert (found.median_rank, found.mean_rank) == (1.0, pytest.approx((1 + 1 + 1.5) / 3))


def test_the_scores_are_at_hand_for_comparing_two_systems(store):
    captions = [Caption("blue-clip", "red"), Caption("red-clip", "red"), Caption("blue-clip", "blue")]
    scores, relevant = score_retrieval(ColourScorer(), captions, store)
    assert scores.tolist() == [[0, 0, 1], [1, 1, 0]]
    assert relevant.tolist() == [[True, False, True], [False, True, False]]
    assert ranks(scores.T, relevant.T).tolist() == [2, 1, 1]
    assert rank_both(scores, relevant) == evaluate_retrieval(ColourScorer(), captions, store)


def test_sentences_of_one_video_are_resampled_together():
    videos = np.repeat(np.arange(12), 10)
    scores = np.random.default_rng(0).random((12, 12))[:, videos]
    relevant = np.arange(12)[:, None] == videos
    result = rank_both(scores, relevant)
    assert result.text_to_video == ranking(scores.T, relevant.T, groups=videos)
    assert result.text_to_video.interval != ranking(scores.T, relevant.T).interval
    assert result.video_to_text == ranking(scores, relevant)


def test_both_directions_of_a_matrix():
    scores = np.array([[3, 1, 2], [0, 5, 4]], np.float32)  # 2 videos, 3 sentences
    relevant = np.array([[1, 0, 0], [0, 1, 1]], bool)
    result = rank_both(scores, relevant)
    assert (result.text_to_video.queries, result.text_to_video.gallery) == (3, 2)
    assert (result.video_to_text.queries, result.video_to_text.gallery) == (2, 3)
    assert result.text_to_video.recall == result.video_to_text.recall == {1: 100.0}
    swapped = rank_both(scores, np.array([[0, 0, 1], [1, 1, 0]], bool))
    assert swapped.text_to_video.mean_rank == pytest.approx((2 + 1 + 2) / 3)
    assert swapped.video_to_text.mean_rank == pytest.approx((2 + 1) / 2)


def test_a_captioned_video_without_features_is_refused(store):
    with pytest.raises(JsfError, match="no features of 'pink-clip'"):
        evaluate_retrieval(ColourScorer(), [Caption("pink-clip", "pink")], store)
