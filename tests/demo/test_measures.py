import numpy as np
import pytest

from jsf.data.sequence import FeatureSequence
from jsf.data.store import open_features
from jsf.demo.hard import hard_negative_rates
from jsf.demo.scenes import Clip, Scene
from jsf.demo.search import search


class BySentence:
    """Scores a sentence by a table, for any video."""

    description = "a stand-in"

    def __init__(self, scores):
        self.scores = scores

    def score_matrix(self, videos, sentences):
        return np.array([[self.scores[sentence] for sentence in sentences] for _ in videos], np.float32)


class ByFirstFeature:
    """Scores a video by its first number, for any sentence."""

    description = "a stand-in"

    def score_matrix(self, videos, sentences):
        return np.array([[video[0, 0] for _ in sentences] for video in videos], np.float32)


@pytest.fixture
def store(tmp_path):
    for i, name in enumerate(("test-0000", "test-0001", "test-0002", "test-0003")):
        FeatureSequence(np.full((8, 3), i, np.float32)).save(tmp_path / "features" / f"{name}.npz")
    return open_features(tmp_path / "features")


def test_rates_count_wins_ties_and_losses_by_kind(tmp_path, store):
    rows = ["key,vid_key,video_id,sentence", "test-0000-0,-,test-0000,true", "test-0001-0,-,test-0001,true too"]
    (tmp_path / "test.csv").write_text("\n".join(rows))
    rows = [rows[0]]
    for clip in ("test-0000", "test-0001"):
        rows += [f"{clip}-order,-,{clip},as good", f"{clip}-attribute,-,{clip},middling", f"{clip}-sound,-,{clip},bad"]
    (tmp_path / "negatives.csv").write_text("\n".join(rows))
    scorer = BySentence({"true": 2.0, "true too": 0.5, "as good": 2.0, "middling": 1.0, "bad": -1.0})
    rates = hard_negative_rates(scorer, tmp_path / "test.csv", tmp_path / "negatives.csv", store)
    assert rates == {"order": 25.0, "attribute": 50.0, "sound": 100.0}


def test_search_describes_clips_in_other_words_and_ranks_them(tmp_path, store):
    scenes = (Scene("red", "circle"), Scene("blue", "square"))
    clips = [Clip(name, scenes, "bell", (0,)) for name in store.ids()]
    found = search(ByFirstFeature(), clips, tmp_path / "features")
    captions = {clip.captions()[0] for clip in clips}
    assert found
    for sentence, hits in found.items():
        assert sentence not in captions
        assert [hit.clip for hit in hits] == ["test-0003", "test-0002", "test-0001"]
