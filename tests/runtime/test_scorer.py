"""The scorer gives the scores that the graphs give by hand, and says what is wrong with what it gets."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.runtime import scorer as scorer_module
from jsf.runtime.backends.base import Graph
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import Bundle
from jsf.runtime.graphs import Graphs
from jsf.runtime.scorer import Scorer
from jsf.training.scorer import CheckpointScorer

LENGTHS = (1, 40, 7, 23, 95, 2)
SENTENCES = [
    "Red!",
    "a red circle, then a blue square",
    "while a circle rings a square rings",
    "the blue thing then " * 15,  # 30 known words among 60
    "a " * 50,
]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def scorer(tiny_bundle):
    return Scorer.load(tiny_bundle, "cpu")


@pytest.fixture(scope="module")
def videos():
    random = np.random.default_rng(0)
    return [random.standard_normal((length, 12)).astype(np.float32) for length in LENGTHS]


@pytest.fixture(scope="module")
def by_hand(tiny_bundle, videos):
    """Scores [V, S]: every video padded to 40 by its own code, the three static graphs run once."""
    bundle = Bundle.open(tiny_bundle)
    run = {name: OnnxRuntimeGraph(bundle.graph("fp32", name)).run for name in bundle.manifest.hashes["fp32"]}
    features, frame_lengths = np.zeros((len(videos), 40, 12), np.float32), np.minimum(LENGTHS, 40).astype(np.int32)
    for row, video in zip(features, videos, strict=True):
        kept = video if len(video) <= 40 else video[[i * len(video) // 40 for i in range(40)]]
        row[: len(kept)] = kept
    ids = {word: i for i, word in enumerate(bundle.vocabulary.words, start=1)}
    words, word_lengths = np.zeros((len(SENTENCES), 40), np.int32), []
    for row, sentence in zip(words, SENTENCES, strict=True):
        known = [ids[word] for word in sentence.lower().replace("!", "").replace(",", "").split() if word in ids][:40]
        row[: len(known)] = known
        word_lengths.append(len(known))
    encoded = {
        "videos": run["frame_encoder"]({"features": features, "lengths": frame_lengths})["videos"],
        "video_lengths": frame_lengths,
        "sentences": run["word_encoder"]({"words": words, "lengths": np.array(word_lengths)})["sentences"],
        "sentence_lengths": np.array(word_lengths),
    }
    v, s = np.divmod(np.arange(len(videos) * len(SENTENCES)), len(SENTENCES))
    scores = run["matcher"]({**encoded, "video_index": v, "sentence_index": s})["scores"]
    assert np.ptp(scores) > 0.1
    return scores.reshape(len(videos), len(SENTENCES))


def test_a_matrix_of_scores(scorer, videos, by_hand):
    found = scorer.score_matrix(videos, SENTENCES)
    assert found.shape == (len(videos), len(SENTENCES))
    assert found.dtype == np.float32
    assert np.allclose(found, by_hand, atol=TOLERANCE)


def test_pairs_in_any_order_some_twice(scorer, videos, by_hand):
    order = np.random.default_rng(1).integers(0, [len(videos), len(SENTENCES)], (40, 2))
    found = scorer.score_pairs([(videos[v], SENTENCES[s]) for v, s in order])
    assert found.shape == (40,)
    assert np.allclose(found, by_hand[tuple(order.T)], atol=TOLERANCE)


def test_one_pair_at_a_time(scorer, videos, by_hand):
    for v, s in [(0, 0), (1, 4), (2, 1), (4, 3), (5, 2)]:
        found = scorer.score(videos[v], SENTENCES[s])
        assert isinstance(found, float)
        assert found == pytest.approx(by_hand[v, s], abs=TOLERANCE)


def test_the_checkpoint_scores_the_same(scorer, videos, tiny_checkpoint, by_hand):
    assert np.allclose(CheckpointScorer.load(tiny_checkpoint).score_matrix(videos, SENTENCES), by_hand, atol=TOLERANCE)


def test_small_batches_change_no_score(scorer, videos, by_hand, monkeypatch):
    monkeypatch.setattr(scorer_module, "ENCODE_BATCH", 2)
    monkeypatch.setattr("jsf.runtime.matching.pairs_at_once", lambda *size: 3)
    assert np.allclose(scorer.score_matrix(videos, SENTENCES), by_hand, atol=TOLERANCE)


def test_encoded_collections_can_be_kept_and_matched(scorer, videos, by_hand):
    gallery = scorer.encode_videos(videos)
    for column, sentence in enumerate(SENTENCES):
        scores = scorer.match_all(gallery, scorer.encode_sentences([sentence]))
        assert np.allclose(scores[:, 0], by_hand[:, column], atol=TOLERANCE)
    assert not gallery.values.flags.writeable


class Counting(Graph):
    """Counts the rows that go through a graph."""

    def __init__(self, graph):
        self.inputs, self.outputs, self.description = graph.inputs, graph.outputs, graph.description
        self._graph, self.rows = graph, 0

    def _run(self, arrays):
        self.rows += len(arrays["lengths"])
        return self._graph.run(arrays)


def test_what_occurs_often_is_encoded_once(tiny_bundle, videos, tmp_path, monkeypatch):
    counted = []

    def load(*arguments):
        graphs = load_graphs(*arguments)
        encoders = {name: Counting(graphs[name]) for name in ("frame_encoder", "word_encoder")}
        counted.extend(encoders.values())
        return Graphs(graphs.by_name | encoders, graphs.description)

    load_graphs = scorer_module.load_graphs
    monkeypatch.setattr(scorer_module, "load_graphs", load)
    scorer = Scorer.load(tiny_bundle, "cpu")
    path = tmp_path / "clip.npz"
    FeatureSequence(videos[2]).save(path)
    pairs = [(video, text) for video in (videos[0], videos[1], path, str(path)) for text in SENTENCES[:3]]
    scores = scorer.score_pairs(pairs * 2)
    assert [graph.rows for graph in counted] == [3, 3]
    assert np.allclose(scores[:12], scores[12:], atol=TOLERANCE)


def test_a_long_video_is_sampled_at_forty_equidistant_steps(scorer, videos):
    kept = videos[4][[0, 2, 4, 7, 9, 11, 14, 16, 19, 21, 23, 26, 28, 30, 33, 35, 38, 40, 42, 45,
                      47, 49, 52, 54, 57, 59, 61, 64, 66, 68, 71, 73, 76, 78, 80, 83, 85, 87, 90, 92]]  # fmt: skip
    assert scorer.score(videos[4], SENTENCES[1]) == scorer.score(kept, SENTENCES[1])
    assert scorer.score(videos[4], SENTENCES[1]) != pytest.approx(scorer.score(videos[4][:40], SENTENCES[1]), abs=1e-3)


def test_features_come_in_many_forms(scorer, videos, tmp_path, by_hand):
    path, store = tmp_path / "clip.npz", tmp_path / "clips.h5"
    FeatureSequence(videos[3], 5.0, "toy 1").save(path)
    with h5py.File(store, "w") as file:
        file.attrs["extractor"] = "toy 1"
        file["clip 3"] = videos[3]
    forms = [videos[3], FeatureSequence(videos[3]), path, str(path), f"{store}#clip 3"]
    assert np.allclose(scorer.score_pairs([(form, SENTENCES[1]) for form in forms]), by_hand[3, 1], atol=TOLERANCE)


def test_float16_features_are_taken_as_their_values(scorer, videos):
    half = videos[3].astype(np.float16)
    assert scorer.score(half, SENTENCES[1]) == scorer.score(half.astype(np.float32), SENTENCES[1])


def test_the_bundle_is_found_as_on_the_command_line(tiny_bundle, monkeypatch):
    monkeypatch.setenv("JSF_BUNDLE", str(tiny_bundle))
    assert Scorer.load().bundle.root == tiny_bundle
    assert Scorer.load(str(tiny_bundle)).bundle.root == tiny_bundle


def test_words_that_no_sentence_shares_are_dropped(scorer, videos):
    full, bare = "a purple circle and then a square", "a circle then a square"
    assert scorer.score(videos[1], full) == scorer.score(videos[1], bare)


def test_sentences_without_a_known_word_share_a_score_in_a_matrix(scorer, videos):
    scores = scorer.score_matrix(videos[:2], ["purple", SENTENCES[0], "", "elephants dance"])
    assert np.allclose(scores[:, [0, 0]], scores[:, [2, 3]], atol=TOLERANCE)
    assert not np.isclose(scores[:, 0], scores[:, 1]).any()


def test_an_unknown_extractor_is_taken_at_its_width(scorer, videos):
    assert scorer.score(FeatureSequence(videos[1]), SENTENCES[1]) == scorer.score(videos[1], SENTENCES[1])


def array(steps=3, width=12, dtype=np.float32):
    return np.ones((steps, width), dtype)


@pytest.mark.parametrize(
    ("video", "message", "fix"),
    [
        (array(width=13), "the video has features 13 wide; the model takes 12", "jsf extract"),
        (FeatureSequence(array(width=5), source="clip 7"), "clip 7 has features 5 wide; the model", "jsf extract"),
        (
            FeatureSequence(array(), 5, "toy 2", "clip 7"),
            "clip 7 was extracted by 'toy 2'; the model was trained on features of 'toy 1'",
            "jsf extract VIDEO --bundle",
        ),
        (array(steps=0), "the video has no frames (T = 0)", "jsf extract"),
        (np.full((3, 12), np.nan, np.float32), "features hold NaN or infinity, first at step 0 of 3", ""),
        (np.full((3, 12), np.inf, np.float32), "features hold NaN or infinity", ""),
        (array(dtype=np.float64), "features are float64 [3, 12], expected float16 or float32 [T, D]", ""),
        (array(dtype=np.int32), "features are int32", ""),
        (array()[0], "features are float32 [12], expected float16 or float32 [T, D]", ""),
        (array()[None], "features are float32 [1, 3, 12]", ""),
        ("gone.npz", "gone.npz does not exist", "jsf extract"),
        (Path("gone.h5"), "gone.h5 does not exist", ""),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() and len(value) < 10 else None,
)
def test_features_that_the_model_cannot_take_are_refused(scorer, video, message, fix):
    for score in (
        lambda: scorer.score(video, SENTENCES[0]),
        lambda: scorer.score_pairs([(array(), SENTENCES[0]), (video, SENTENCES[0])]),
        lambda: scorer.score_matrix([array(), video], SENTENCES[:1]),
    ):
        with pytest.raises(JsfError) as refusal:
            score()
        assert message in refusal.value.message
        assert fix in refusal.value.fix


def test_a_pickled_file_is_refused(scorer, tmp_path):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return Path.touch, (ran,)

    np.savez(tmp_path / "trap.npz", features=np.array([Trap()], object))
    with pytest.raises(JsfError, match=r"trap\.npz is not a feature sequence"):
        scorer.score(tmp_path / "trap.npz", SENTENCES[0])
    assert not ran.exists()


def test_an_id_that_the_store_does_not_hold(scorer, tmp_path):
    with h5py.File(tmp_path / "clips.h5", "w") as file:
        file["a"] = array()
    with pytest.raises(JsfError, match="has no features of 'b'; it holds 1 videos"):
        scorer.score(f"{tmp_path}/clips.h5#b", SENTENCES[0])


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("", "the sentence '' has no words"),
        (" \n ", "has no words"),
        ("...", "has no words"),
        ("purple elephants", "none of the words of 'purple elephants' is in the vocabulary of 8 words"),
    ],
)
def test_a_sentence_without_a_known_word_is_refused(scorer, sentence, message):
    with pytest.raises(JsfError) as refusal:
        scorer.score_pairs([(array(), "red"), (array(), sentence)])
    assert message in refusal.value.message


@pytest.mark.parametrize(
    "nothing",
    [
        lambda scorer: scorer.score_pairs([]),
        lambda scorer: scorer.score_matrix([], ["red"]),
        lambda scorer: scorer.score_matrix([array()], []),
    ],
)
def test_nothing_to_score_is_refused(scorer, nothing):
    with pytest.raises(JsfError, match="there is nothing to score"):
        nothing(scorer)


def test_a_changed_vocabulary_is_refused(tiny_bundle, tmp_path):
    root = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    words = json.loads((root / "vocabulary.json").read_text())["words"]
    (root / "vocabulary.json").write_text(json.dumps({"words": [words[1], words[0], *words[2:]]}))
    with pytest.raises(JsfError, match=r"vocabulary\.json was changed: its SHA-256 is .*, the manifest says"):
        Scorer.load(root, "cpu")


def test_sentences_that_are_the_same_to_the_model_tie_exactly(tiny_bundle):
    sentences = ["red circle", "a zebra", "red, circle", "zebra", "Red circle!", "a", "quagga"]
    scores = Scorer.load(tiny_bundle, "cpu").score_matrix([array(steps) for steps in (3, 7, 40)], sentences)
    for same in ([0, 2, 4], [1, 5], [3, 6]):
        assert len(np.unique(scores[:, same], axis=1).T) == 1
    assert len(np.unique(scores, axis=1).T) == 3
