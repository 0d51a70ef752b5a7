import math
from collections import Counter
from statistics import mean, median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsf.data.captions import Caption
from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.evaluation import embeddings
from jsf.evaluation.embeddings import cosines, embed_rows
from jsf.evaluation.intervals import interval
from jsf.evaluation.paragraphs import evaluate_paragraphs, score_paragraphs
from jsf.evaluation.retrieval import evaluate_retrieval

HALVES = ((0.0, 0.5), (0.5, 1.0))


def paragraph(video_id, *sentences, spans=HALVES):
    return Paragraph(video_id, sentences, spans, paired=len(sentences) == len(spans))


@pytest.fixture
def store(colour_store):
    return colour_store({"a": "red red blue blue", "b": "green green red red", "c": "dark dark dark dark"})


def test_by_hand(store, toy_embedder):
    rows = [
        paragraph("a", "red", "blue"),  # cosines with a, b, c: 1, 1/2, 0
        paragraph("b", "green"),  # 0, 1/sqrt 2, 0
        paragraph("c", "red"),  # 1/sqrt 2, 1/sqrt 2, 0: its own video is last
    ]
    scores, relevant = score_paragraphs(toy_embedder(), rows, store)
    half = 0.5**0.5
    np.testing.assert_allclose(scores, [[1, 0, half], [0.5, half, half], [0, 0, 0]], atol=1e-7)
    assert (relevant == np.eye(3, dtype=bool)).all()
    found = evaluate_paragraphs(toy_embedder(), rows, store)
    way = found.text_to_video
    assert (way.queries, way.gallery) == (3, 3)
    assert way.recall == {1: pytest.approx(200 / 3)}
    assert (way.median_rank, way.mean_rank) == (1.0, pytest.approx((1 + 1 + 3) / 3))
    assert way.interval["R@1"] == interval(np.array([100.0, 100, 0]))
    way = found.video_to_text  # b ties with the red paragraph, c with all
    assert way.recall == {1: pytest.approx(100 / 3)}
    assert (way.median_rank, way.mean_rank) == (1.5, pytest.approx((1 + 1.5 + 2) / 3))


def test_every_video_is_seen_through_its_own_clips(store, toy_embedder):
    embedder = toy_embedder()
    evaluate_paragraphs(embedder, [paragraph("b", "red", spans=((0.5, 0.75),)), paragraph("a", "blue", "red")], store)
    ((b, a),) = embedder.seen
    assert isinstance(b, Clips) and isinstance(a, Clips)
    assert (b.whole == store.read("b")).all() and (b.clips[0] == store.read("b")[2:3]).all()
    assert [len(clip) for clip in a.clips] == [2, 2]
    assert (np.concatenate(a.clips) == store.read("a")).all()
    assert embedder.texts == [[("red",), ("blue", "red")]]


def test_all_paragraphs_about_a_video_are_true_of_it(store, toy_embedder):
    rows = [
        paragraph("a", "red", "blue"),
        paragraph("a", "dark", spans=((0.0, 0.25),)),  # other clips: another view of the same video
        paragraph("c", "dark"),
    ]
    scores, relevant = score_paragraphs(toy_embedder(), rows, store)
    assert relevant.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    found = evaluate_paragraphs(toy_embedder(), rows, store)
    assert scores[2].tolist() == [0, 1, 1]
    assert found.video_to_text.mean_rank == pytest.approx((1 + 1 + 1.5) / 3)
    groups = ["a", "a", "c"]
    assert found.video_to_text.interval["MeanR"] == interval(np.array([1, 1, 1.5]), groups)
    assert found.text_to_video.interval["MeanR"] == interval(np.array([1, 2, 1]), groups)


def test_the_same_view_of_a_video_is_in_the_gallery_once(store, toy_embedder):
    rows = [paragraph("a", "red"), paragraph("c", "dark"), paragraph("a", "blue"), paragraph("a", "red")]
    embedder = toy_embedder()
    found = evaluate_paragraphs(embedder, rows, store)
    assert (found.video_to_text.queries, found.text_to_video.queries) == (2, 4)
    assert embedder.texts == [[("red",), ("dark",), ("blue",)]]


def test_captions_are_measured_as_the_retrieval_protocol_does(store, toy_embedder):
    class Scorer(toy_embedder):
        def score_matrix(self, videos, sentences):
            return cosines(self.embed_videos(videos), self.embed_texts(sentences))

    captions = [Caption(v, s) for v, s in (("b", "green dark"), ("a", "red"), ("b", "red"), ("c", "dark"), ("a", "?"))]
    embedder = Scorer()
    assert evaluate_paragraphs(embedder, captions, store) == evaluate_retrieval(Scorer(), captions, store)
    assert [len(part) for part in embedder.seen] == [3]


def test_a_long_video_is_handed_over_whole(colour_store, toy_embedder):
    embedder = toy_embedder()
    evaluate_paragraphs(embedder, [Caption("long", "red")], colour_store({"long": "red " * 400}))
    assert embedder.seen[0][0].shape == (400, 5)


def test_few_videos_are_in_memory_at_a_time(colour_store, toy_embedder, monkeypatch):
    videos = {f"v{i}": ["red", "green", "blue", "dark"][i % 4] for i in range(11)}
    store, rows = colour_store(videos), [paragraph(video_id, word) for video_id, word in videos.items()]
    whole = evaluate_paragraphs(toy_embedder(), rows, store)
    monkeypatch.setattr(embeddings, "VIDEOS_AT_ONCE", 4)

    class Watching(toy_embedder):
        def embed_videos(self, videos):
            self.reads = [*getattr(self, "reads", []), len(store.reads)]
            return super().embed_videos(videos)

    embedder, store.reads = Watching(), []
    assert evaluate_paragraphs(embedder, rows, store) == whole
    assert [len(part) for part in embedder.seen] == [4, 4, 3]
    assert embedder.reads == [5, 9, 12]  # one for its width, and nothing else before it is needed


def test_the_rows_of_embeddings(store, toy_embedder):
    rows = [paragraph("b", "green"), paragraph("a", "red", "blue"), paragraph("b", "red")]
    found = embed_rows(toy_embedder(), rows, store)
    assert (found.video_ids, found.text_ids) == (["b", "a"], ["b", "a", "b"])
    half = 0.5**0.5
    np.testing.assert_allclose(found.videos, [[0, half, half, 0, 0], [0, half, 0, half, 0]], rtol=1e-6)
    np.testing.assert_allclose(found.texts, [[0, 0, 1, 0, 0], [0, half, 0, half, 0], [0, 1, 0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 17, 64])
def test_equal_vectors_tie(rows):
    random = np.random.default_rng(rows)
    vector, videos = random.standard_normal(1024), random.standard_normal((33, 1024))
    texts = np.tile(vector / np.linalg.norm(vector), (rows, 1)).astype(np.float32)
    scores = cosines((videos / np.linalg.norm(videos, axis=1, keepdims=True)).astype(np.float32), texts)
    assert scores.dtype == np.float32
    assert (scores == scores[:, :1]).all()


REFUSED = {
    "no rows": ([], "", "nothing to evaluate"),
    "no features": ([paragraph("a", "red"), paragraph("z", "red")], "", "no features of 'z'; of 2 videos 1 are absent"),
    "another extractor": ([paragraph("a", "red")], "vgg 2", "colours was extracted by 'vgg 2'; the model .* 'toy 1'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, colour_store, toy_embedder):
    rows, extractor, message = REFUSED[case]
    embedder = toy_embedder("toy 1")
    with pytest.raises(JsfError, match=message):
        evaluate_paragraphs(embedder, rows, colour_store({"a": "red"}, extractor))
    assert not embedder.seen and not embedder.texts


COLOURS = st.sampled_from(["red", "green", "blue", "dark"])
SENTENCE = st.lists(COLOURS, min_size=1, max_size=3).map(" ".join)
VIDEO = st.lists(COLOURS, min_size=4, max_size=4).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), videos=st.lists(VIDEO, min_size=1, max_size=5))
def test_both_directions_agree_with_counting(data, videos, colour_store, toy_embedder):
    """Cosines from counts of words, where a quarter of a video is a frame, and ranks from counts of cosines."""
    rows = []
    for i in range(len(videos)):
        for _ in range(data.draw(st.integers(1, 2))):
            quarters = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
            spans = tuple((q / 4, (q + 1) / 4) for q in quarters)
            rows.append(paragraph(f"v{i}", *data.draw(st.lists(SENTENCE, min_size=1, max_size=3)), spans=spans))
    store = colour_store({f"v{i}": video for i, video in enumerate(videos)})
    scores, relevant = score_paragraphs(toy_embedder(), rows, store)

    views = list(dict.fromkeys((row.video_id, row.spans) for row in rows))
    frames = {f"v{i}": video.split() for i, video in enumerate(videos)}
    seen = [_bag(*(frames[video_id][int(4 * start)] for start, _ in spans)) for video_id, spans in views]
    expected = [[_cosine(view, _bag(*row.sentences)) for row in rows] for view in seen]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert relevant.tolist() == [[video_id == row.video_id for row in rows] for video_id, _ in views]

    found = evaluate_paragraphs(toy_embedder(), rows, store)
    for way, table, true in (
        (found.video_to_text, scores, relevant),
        (found.text_to_video, scores.T, relevant.T),
    ):
        ranks = [_rank(*pair) for pair in zip(table.tolist(), true.tolist(), strict=True)]
        assert (way.queries, way.gallery) == table.shape
        assert way.mean_rank == pytest.approx(mean(ranks))
        assert way.median_rank == pytest.approx(median(ranks))
        for k, recall in way.recall.items():
            assert recall == pytest.approx(100 * mean(rank <= k for rank in ranks))


def _bag(*sentences):
    bag = Counter()
    for sentence in sentences:
        words = sentence.split()
        for word in words:
            bag[word] += 1 / len(words)
    return bag


def _cosine(a, b):
    return sum(a[word] * b[word] for word in a) / math.sqrt(
        sum(x * x for x in a.values()) * sum(x * x for x in b.values())
    )


def _rank(scores, relevant):
    best = max(score for score, true in zip(scores, relevant, strict=True) if true)
    wrong = [score for score, true in zip(scores, relevant, strict=True) if not true]
    return 1 + sum(score > best for score in wrong) + sum(score == best for score in wrong) / 2
