"""Grouping pairs by their size, cropping them and splitting them changes no score."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.data.lengths import FRAME_BUCKETS, LEFT_FRAME_BUCKETS, WORD_BUCKETS
from jsf.runtime import matching
from jsf.runtime.backends.base import Graph, TensorSpec
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.buckets import pairs_at_once, smallest_buckets
from jsf.runtime.bundle import Bundle
from jsf.runtime.matching import Encoded, match

STEPS = 40


def read(length, left=False):
    """The steps that a score rests on: the last one of an even length is in no window of the stride 2."""
    return length if left or length < 8 or length % 2 else length - 1


class RecordingMatcher(Graph):
    """A matcher in numpy, exact under cropping: the mean of frame times word over the cells that a score rests on.

    It records what it is given. `limits` are those of an engine; a symbolic one has none.
    """

    def __init__(self, joint, limits=None, symbolic=False, left=False):
        self.left = left
        frames, words = ("frames", "words") if symbolic else (STEPS, STEPS)
        shapes = {"videos": ("V", frames, joint), "sentences": ("S", words, joint)}
        names = ("videos", "video_lengths", "sentences", "sentence_lengths", "video_index", "sentence_index")
        lengths = {"video_lengths": "V", "sentence_lengths": "S", "video_index": "P", "sentence_index": "P"}
        self.inputs = tuple(
            TensorSpec(name, np.dtype(np.float32), shapes[name])
            if name in shapes
            else TensorSpec(name, np.dtype(np.int32), (lengths[name],))
            for name in names
        )
        self.outputs = (TensorSpec("scores", np.dtype(np.float32), ("P",)),)
        self.description = "numpy"
        if limits:
            self.limits = limits
        self.runs = []

    def _run(self, arrays):
        self.runs.append(arrays)
        pairs = zip(*self._pairs(arrays), strict=True)
        return {"scores": np.array([self._score(*pair, self.left) for pair in pairs], np.float32)}

    @staticmethod
    def _pairs(a):
        v, s = a["video_index"], a["sentence_index"]
        return a["videos"][v], a["video_lengths"][v], a["sentences"][s], a["sentence_lengths"][s]

    @staticmethod
    def _score(video, frames, sentence, words, left=False):
        assert read(frames, left) <= len(video), "cropped below what is read"
        assert read(words) <= len(sentence), "cropped below what is read"
        seen = video[len(video) - read(frames, left) :] if left else video[: read(frames)]
        return (seen.astype(np.float64) @ sentence[: read(words)].T).mean()


def encoded(lengths, joint=4, seed=0, left=False):
    """Encoded sequences of these lengths; what lies past a length is noise too, which nothing may read."""
    values = np.random.default_rng(seed).standard_normal((len(lengths), STEPS, joint)).astype(np.float32)
    return Encoded(values, np.array(lengths, np.int32), left)


def expected(videos, sentences, pairs):
    return [
        RecordingMatcher._score(
            videos.values[v], videos.lengths[v], sentences.values[s], sentences.lengths[s], videos.left_padded
        )
        for v, s in pairs
    ]


def match_pairs(matcher, videos, sentences, pairs, batch=8):
    v, s = np.array(pairs).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "pairs_at_once", lambda *size: batch)
        return match(matcher, videos, sentences, v, s)


lengths = st.lists(st.integers(1, STEPS), min_size=1, max_size=6)


@st.composite
def tasks(draw):
    """Lengths of videos, lengths of sentences, pairs of them in any order, some twice."""
    frames, words = draw(lengths), draw(lengths)
    pair = st.tuples(st.integers(0, len(frames) - 1), st.integers(0, len(words) - 1))
    return frames, words, draw(st.lists(pair, min_size=1, max_size=12))


@given(task=tasks(), batch=st.integers(1, 5), symbolic=st.booleans(), left=st.booleans())
def test_every_pair_gets_its_own_score_however_batches_fall(task, batch, symbolic, left):
    frames, words, pairs = task
    videos, sentences = encoded(frames, left=left), encoded(words, seed=1)
    matcher = RecordingMatcher(4, symbolic=symbolic, left=left)
    scores = match_pairs(matcher, videos, sentences, pairs, batch)
    assert scores.dtype == np.float32
    assert scores == pytest.approx(expected(videos, sentences, pairs), abs=1e-5)
    assert sum(len(run["video_index"]) for run in matcher.runs) == len(pairs)
    if not symbolic:
        assert max(len(run["video_index"]) for run in matcher.runs) <= batch


@given(task=tasks(), batch=st.integers(1, 5), left=st.booleans())
def test_the_pairs_of_a_batch_have_one_bucket_and_no_member_that_they_do_not_name(task, batch, left):
    frames, words, pairs = task
    matcher = RecordingMatcher(4, symbolic=True, left=left)
    match_pairs(matcher, encoded(frames, left=left), encoded(words, seed=1), pairs, batch)
    for run in matcher.runs:
        for values, sizes, index, padded, offered in (
            ("videos", "video_lengths", "video_index", left, LEFT_FRAME_BUCKETS if left else FRAME_BUCKETS),
            ("sentences", "sentence_lengths", "sentence_index", False, WORD_BUCKETS),
        ):
            for length in run[sizes]:
                needed = max(8 if padded else 7, length + length % 2 if padded else read(length))
                assert run[values].shape[1] == min(size for size in offered if size >= needed)
            assert set(run[index]) == set(range(len(run[values])))


@given(task=tasks(), batch=st.integers(1, 5))
def test_every_bucket_runs_in_full_batches_but_its_last(task, batch):
    frames, words, pairs = task
    matcher = RecordingMatcher(4, symbolic=True)
    match_pairs(matcher, encoded(frames), encoded(words, seed=1), pairs, batch)
    counts = {}
    for run in matcher.runs:
        counts.setdefault((run["videos"].shape[1], run["sentences"].shape[1]), []).append(len(run["video_index"]))
    assert sum(map(len, counts.values())) == len(matcher.runs)
    for found in counts.values():
        assert found[:-1] == [batch] * (len(found) - 1)


def test_an_engine_with_profiles_gets_their_sizes_alone():
    matcher = RecordingMatcher(4, {"V": 6, "S": 2, "P": 64}, symbolic=True)
    matcher.buckets = [(39, 39), (39, 9), (23, 9)]
    videos, sentences = encoded([40, 3, 24, 23, 38, 25]), encoded([9, 12], seed=1)
    pairs = [(v, s) for v in range(6) for s in range(2)]
    scores = match_pairs(matcher, videos, sentences, pairs)
    assert scores == pytest.approx(expected(videos, sentences, pairs), abs=1e-5)
    sizes = [(run["videos"].shape[1], run["sentences"].shape[1], len(run["video_index"])) for run in matcher.runs]
    assert sizes == [(39, 39, 6), (39, 9, 3), (23, 9, 3)]
    first = [(run["videos"], run["sentences"]) for run in matcher.runs]
    match_pairs(matcher, videos, sentences, pairs)
    again = [(run["videos"], run["sentences"]) for run in matcher.runs[3:]]
    assert all(a is b for pair, other in zip(first, again, strict=True) for a, b in zip(pair, other, strict=True))


def test_a_pair_beyond_every_bucket_is_refused():
    matcher = RecordingMatcher(4, symbolic=True)
    matcher.buckets = [(23, 9)]
    with pytest.raises(JsfError, match=r"a pair of 39 frames and 7 words fits none of .*\(23, 9\)"):
        match_pairs(matcher, encoded([40]), encoded([5], seed=1), [(0, 0)])


def test_no_pair_is_an_error():
    none = np.zeros(0, int)
    with pytest.raises(JsfError, match="no pair was given"):
        match(RecordingMatcher(4), encoded([9]), encoded([5], seed=1), none, none)


@given(frames=lengths, words=lengths)
def test_a_pair_gets_the_bucket_of_the_fewest_cells(frames, words):
    count = min(len(frames), len(words))
    frames, words = np.array(frames[:count]), np.array(words[:count])
    buckets = [(40, 40), (12, 40), (40, 12), (20, 20), (12, 12)]
    for n, m, index in zip(frames, words, smallest_buckets(frames, words, buckets), strict=True):
        holding = [a * b for a, b in buckets if a >= n and b >= m]
        assert np.prod(buckets[index]) == min(holding)
        assert buckets[index][0] >= n
        assert buckets[index][1] >= m


@pytest.mark.parametrize(
    ("cache", "free", "pairs"),
    [
        (8 << 20, 8 << 30, 7),  # three joint tensors of 7 pairs fill the cache
        (1 << 20, 8 << 30, 4),  # too small a cache: the weights are read once for four pairs
        (1 << 30, 8 << 30, 22),  # more brings no more
        (1 << 30, 5 << 20, 1),  # and little memory is left
    ],
)
def test_a_batch_is_what_the_cache_and_the_memory_hold(monkeypatch, cache, free, pairs):
    monkeypatch.setattr("jsf.runtime.buckets._cache_bytes", lambda: cache)
    monkeypatch.setattr("jsf.runtime.buckets._free_bytes", lambda: free)
    assert pairs_at_once(20, 9, 512) == pairs


def test_a_blank_that_is_the_last_word_stays():
    sentences = replace(encoded([8, 8, 40, 40]), blanks=np.array([3, 7, 2, 39], np.int32))
    assert sentences.needed.tolist() == [7, 8, 39, 40]


@given(task=tasks(), limit=st.integers(1, 5))
def test_an_engine_gets_the_whole_collection_every_time(task, limit):
    frames, words, pairs = task
    videos, sentences = encoded(frames), encoded(words, seed=1)
    matcher = RecordingMatcher(4, {"V": len(frames), "S": len(words), "P": limit})
    scores = match_pairs(matcher, videos, sentences, pairs)
    assert scores == pytest.approx(expected(videos, sentences, pairs), abs=1e-5)
    # The same array, not an equal one: that is how a backend knows what lies on its device.
    assert all(run["videos"] is videos.values for run in matcher.runs)
    assert all(run["sentences"] is sentences.values for run in matcher.runs)
    assert [len(run["video_index"]) for run in matcher.runs[:-1]] == [limit] * (len(matcher.runs) - 1)
    assert len(matcher.runs) == -(-len(pairs) // limit)


@pytest.mark.parametrize("small", ["V", "S"])
def test_an_engine_too_small_for_the_collection_gets_the_members_of_each_batch(small):
    videos, sentences = encoded([9] * 6), encoded([5] * 6, seed=1)
    pairs = [(v, s) for v in range(6) for s in range(6)]
    limits = {"V": 6, "S": 6, "P": 4, small: 5}
    matcher = RecordingMatcher(4, limits)
    assert match_pairs(matcher, videos, sentences, pairs) == pytest.approx(expected(videos, sentences, pairs), abs=1e-5)
    assert len(matcher.runs) == 9
    for run in matcher.runs:
        assert len(run["videos"]) <= limits["V"]
        assert len(run["sentences"]) <= limits["S"]
        assert run["videos"].shape[1] == STEPS


@given(task=tasks(), batch=st.integers(1, 5), symbolic=st.booleans())
def test_a_sentence_brings_its_blank_and_a_pair_gets_a_score_for_every_word(task, batch, symbolic):
    frames, words, pairs = task
    matcher = RecordingMatcher(4, symbolic=symbolic)

    def run(inputs):
        v, s = inputs["video_index"], inputs["sentence_index"]
        at = inputs["blanks"][s]
        return {"scores": np.stack([inputs["sentences"][s, at, 0], inputs["videos"][v, 0, 0]], axis=1)}

    matcher.run = run
    blanks = np.array([n // 2 for n in words], np.int32)
    videos, sentences = encoded(frames), replace(encoded(words, seed=1), blanks=blanks)
    scores = match_pairs(matcher, videos, sentences, pairs, batch)
    v, s = np.array(pairs).T
    assert np.array_equal(scores, np.stack([sentences.values[s, blanks[s], 0], videos.values[v, 0, 0]], axis=1))


def test_encoded_values_keep_their_type():
    videos, sentences = encoded([9, 10]), encoded([5], seed=1)
    half = [Encoded(item.values.astype(np.float16), item.lengths) for item in (videos, sentences)]
    seen = []
    matcher = RecordingMatcher(4, symbolic=True)
    matcher.run = lambda inputs: seen.append(inputs) or {"scores": np.zeros(2, np.float32)}
    match_pairs(matcher, *half, [(0, 0), (1, 0)])
    assert {seen[0]["videos"].dtype, seen[0]["sentences"].dtype} == {np.dtype(np.float16)}


@pytest.fixture(scope="module")
def matchers(tiny_bundle):
    """The bundle's static and symbolic matcher."""
    bundle = Bundle.open(tiny_bundle)
    return [OnnxRuntimeGraph(bundle.graph("fp32", name)) for name in ("matcher", "matcher.buckets")]


@given(task=tasks(), batch=st.integers(1, 5))
def test_the_real_matcher_cropped_and_sorted_gives_the_scores_of_the_static_one(matchers, task, batch):
    frames, words, pairs = task
    videos, sentences = encoded(frames, joint=8), encoded(words, joint=8, seed=1)
    v, s = np.array(pairs, np.int32).T
    by_hand = matchers[0].run(
        {
            "videos": videos.values,
            "video_lengths": videos.lengths,
            "sentences": sentences.values,
            "sentence_lengths": sentences.lengths,
            "video_index": v,
            "sentence_index": s,
        }
    )["scores"]
    for matcher in matchers:
        found = match_pairs(matcher, videos, sentences, pairs, batch)
        assert found == pytest.approx(by_hand, abs=1e-5)
