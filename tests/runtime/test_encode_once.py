"""A video or a sentence is encoded once in a process, unless it has changed."""

import os

import h5py
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import Hdf5Store, open_features
from jsf.runtime.features import Stored, content
from jsf.runtime.pairs import score_table
from jsf.runtime.scorer import Scorer


def features(seed, steps=9):
    return np.random.default_rng(seed).standard_normal((steps, 12)).astype(np.float32)


@pytest.fixture
def scorer(tiny_bundle):
    return Scorer.load(tiny_bundle, "cpu")


@pytest.fixture
def encoded(monkeypatch):
    """encoded(scorer) -> a list that grows by (graph, rows) with each run of an encoder."""

    def watch(scorer):
        runs = []
        for name, graph in scorer._graphs.by_name.items():
            if name.endswith("encoder"):
                run = graph.run
                monkeypatch.setattr(
                    graph, "run", lambda a, n=name, r=run: (runs.append((n, len(a["lengths"]))), r(a))[1]
                )
        return runs

    return watch


def test_a_scorer_encodes_what_is_new(scorer, encoded):
    runs, videos = encoded(scorer), [features(i, 3 + i) for i in range(3)]
    first = scorer.score_matrix(videos, ["a red circle", "rings"])
    assert sorted(runs) == [("frame_encoder", 3), ("word_encoder", 2)]
    runs.clear()
    again = scorer.score_matrix([videos[2], features(9), videos[0].copy()], ["rings", "blue square", "a red circle"])
    assert sorted(runs) == [("frame_encoder", 1), ("word_encoder", 1)]
    np.testing.assert_allclose(again[[0, 2]][:, [2, 0]], first[[2, 0]], rtol=1e-6, atol=1e-6)
    runs.clear()
    np.testing.assert_array_equal(scorer.score_pairs([(videos[1], "rings")] * 3), first[1, 1].repeat(3))
    assert not runs


def test_many_are_encoded_in_batches_and_in_their_order(scorer, encoded):
    runs, videos = encoded(scorer), [features(i, 1 + i % 50) for i in range(70)]
    found = scorer.encode_videos([*videos, videos[3]])
    assert runs == [("frame_encoder", 32), ("frame_encoder", 32), ("frame_encoder", 6)]
    assert found.lengths.tolist() == [min(40, len(video)) for video in [*videos, videos[3]]]
    np.testing.assert_allclose(found.values[[5, 70]], scorer.encode_videos([videos[5], videos[3]]).values)


def test_features_that_changed_are_encoded_again(scorer, encoded, tmp_path):
    runs, video = encoded(scorer), features(1)
    before = scorer.score(video, "rings")
    video[0] += 5
    assert scorer.score(video, "rings") != before
    path = tmp_path / "clip.npz"
    FeatureSequence(features(2), 5, "toy 1").save(path)
    score = scorer.score(path, "rings")
    assert scorer.score(str(path), "rings") == score
    FeatureSequence(features(3), 5, "toy 1").save(path)
    os.utime(path, ns=(1, 1))
    assert scorer.score(path, "rings") == pytest.approx(scorer.score(features(3), "rings")) != score
    path.unlink()
    with pytest.raises(JsfError, match="does not exist"):
        scorer.score(path, "rings")
    assert [run for run in runs if run[0] == "word_encoder"] == [("word_encoder", 1)]


def test_what_is_kept_excuses_nothing(scorer):
    scorer.score(FeatureSequence(features(1), 5, "toy 1"), "rings")
    with pytest.raises(JsfError, match="'other 2'"):
        scorer.score(FeatureSequence(features(1), 5, "other 2"), "rings")
    with pytest.raises(JsfError, match="there is nothing to score"):
        scorer.encode_videos([])


def test_blanks_are_encoded_once(variant_bundle, encoded):
    scorer = Scorer.load(variant_bundle("paper", "fill-in-the-blank"), "cpu")
    runs = encoded(scorer)
    first = scorer.fill(features(1), "a _____ circle")
    assert scorer.fill(features(1), "a _____ circle") == first
    assert len(scorer.fill(features(1), "a red _____")) == 5
    assert sorted(runs) == [("frame_encoder", 1), ("word_encoder", 1), ("word_encoder", 1)]


def test_a_table_reads_and_encodes_each_video_once(scorer, encoded, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "store.h5", "w") as file:
        for i in range(4):
            file[f"v{i}"] = features(i)
    rows = [(f"v{i % 4}", sentence) for sentence in ("rings", "a red circle", "blue square") for i in range(4)]
    (tmp_path / "pairs.csv").write_text("video_id,sentence\n" + "".join(f"{v},{s}\n" for v, s in rows))
    monkeypatch.setattr("jsf.runtime.pairs.CHUNK", 5)
    runs, reads, read = encoded(scorer), [], Hdf5Store.read
    monkeypatch.setattr(Hdf5Store, "read", lambda self, name: (reads.append(name), read(self, name))[1])
    score_table(scorer, tmp_path / "pairs.csv", open_features(tmp_path / "store.h5"), tmp_path / "out.csv")
    assert sorted(reads) == ["v0", "v1", "v2", "v3"]
    assert sum(count for name, count in runs if name == "frame_encoder") == 4
    assert sum(count for name, count in runs if name == "word_encoder") == 3


def test_content_tells_videos_apart_without_reading_them(tmp_path):
    one = features(1)
    assert content(one) == content(one.copy()) != content(one.astype(np.float16))
    assert content(one) != content(one.reshape(-1, 6)) and content(np.asfortranarray(one)) == content(one)
    assert content(tmp_path / "absent.npz") != content(tmp_path / "absent.npz")
    (tmp_path / "store.h5").write_bytes(b"")
    (tmp_path / "a#b.npz").write_bytes(b"")
    names = [f"{tmp_path}/store.h5#v1", f"{tmp_path}/store.h5#v2", f"{tmp_path}/a#b.npz"]
    assert len({content(name) for name in [*names, *names]}) == 3
    stores = [type("Store", (), {"path": tmp_path / "store.h5"})() for _ in range(2)]
    assert len({content(Stored(store, "v")) for store in [*stores, *stores]}) == 2


def test_a_folder_whose_file_was_written_anew_is_read_again(scorer, tmp_path):
    FeatureSequence(features(0), 5.0, "toy 1", "").save(tmp_path / "v.npz")
    stored = Stored(open_features(tmp_path), "v")
    before = scorer.score(stored, "a red circle")
    FeatureSequence(features(1), 5.0, "toy 1", "").save(tmp_path / "v.npz")
    assert scorer.score(stored, "a red circle") == pytest.approx(scorer.score(features(1), "a red circle"), abs=1e-5)
    assert scorer.score(stored, "a red circle") != before
