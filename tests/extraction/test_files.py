import os
import shutil

import h5py
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence, load_sequence
from jsf.data.store import open_features
from jsf.extraction import extract_files


def test_one_video_becomes_an_npz(extractor, write_video, tmp_path):
    video, out = write_video("clip.mkv"), tmp_path / "clip.npz"
    assert extract_files([video], out, extractor).failures == {}
    np.testing.assert_array_equal(load_sequence(out).features, extractor.extract(video).features)


@pytest.mark.parametrize("name", ["features", "features.h5"])
def test_many_videos_become_a_store(extractor, write_video, tmp_path, name):
    videos = [write_video(f"videos/{stem}.mkv") for stem in ("a", "ünï code", "deeper/c")]
    (tmp_path / "videos" / "notes.txt").write_text("not a video")
    assert extract_files([tmp_path / "videos"], tmp_path / name, extractor).failures == {}
    store = open_features(tmp_path / name)
    assert sorted(store.ids()) == ["a", "c", "ünï code"]
    assert store.extractor == extractor.identity
    for video in videos:
        np.testing.assert_array_equal(store.read(video.stem), extractor.extract(video).features)


@pytest.mark.parametrize("name", ["features", "features.h5"])
def test_a_bad_file_is_reported_and_does_not_stop_the_rest(extractor, write_video, tmp_path, name):
    good = [write_video(f"{stem}.mkv") for stem in "abcde"]
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    failures = extract_files([good[0], bad, *good[1:]], tmp_path / name, extractor).failures
    assert list(failures) == [bad]
    assert "cannot be decoded" in failures[bad]
    assert sorted(open_features(tmp_path / name).ids()) == list("abcde")


@pytest.mark.parametrize("name", ["features", "features.h5"])
def test_a_second_run_extracts_only_what_is_missing(extractor, write_video, tmp_path, name):
    first = write_video("a.mkv")
    extract_files([first], tmp_path / name, extractor)
    kept = open_features(tmp_path / name).read("a")
    first.write_text("gone bad, but extracted before")
    os.utime(first, (0, 0))
    assert extract_files([first, write_video("b.mkv", [0])], tmp_path / name, extractor).failures == {}
    store = open_features(tmp_path / name)
    assert sorted(store.ids()) == ["a", "b"]
    np.testing.assert_array_equal(store.read("a"), kept)


def test_an_npz_of_another_extractor_is_made_again(extractor, write_video, tmp_path):
    FeatureSequence(np.ones((1, 4), np.float32), extractor="another").save(tmp_path / "out" / "a.npz")
    extract_files([write_video("a.mkv")], tmp_path / "out", extractor)
    assert load_sequence(tmp_path / "out" / "a.npz").extractor == extractor.identity


def test_a_store_of_another_extractor_is_refused(extractor, write_video, tmp_path):
    with h5py.File(tmp_path / "out.h5", "w") as store:
        store["b"] = np.ones((1, 4), np.float32)
    before = (tmp_path / "out.h5").read_bytes()
    with pytest.raises(JsfError, match="holds features of"):
        extract_files([write_video("a.mkv")], tmp_path / "out.h5", extractor)
    assert (tmp_path / "out.h5").read_bytes() == before


def test_a_file_that_is_no_store_is_refused_and_kept(extractor, write_video, tmp_path):
    (tmp_path / "out.h5").write_text("something dear")
    with pytest.raises(JsfError, match=r"out\.h5"):
        extract_files([write_video("a.mkv")], tmp_path / "out.h5", extractor)
    assert (tmp_path / "out.h5").read_text() == "something dear"


def test_equal_stems_are_refused_and_equal_files_are_not(extractor, write_video, tmp_path):
    video = write_video("videos/a.mkv")
    assert extract_files([video, tmp_path / "videos"], tmp_path / "out", extractor).failures == {}
    other = tmp_path / "a.mp4"
    shutil.copy(video, other)
    with pytest.raises(JsfError, match="same id 'a'"):
        extract_files([video, other], tmp_path / "out", extractor)


def test_what_does_not_fit_is_refused_before_any_work(extractor, write_video, tmp_path):
    video = write_video("a.mkv")
    with pytest.raises(JsfError, match="does not exist"):
        extract_files([video, tmp_path / "none.mkv"], tmp_path / "out", extractor)
    (tmp_path / "empty").mkdir()
    with pytest.raises(JsfError, match="has no video files"):
        extract_files([tmp_path / "empty"], tmp_path / "out", extractor)
    with pytest.raises(JsfError, match="holds one video, got 2"):
        extract_files([video, write_video("b.mkv")], tmp_path / "out.npz", extractor)
    with pytest.raises(JsfError, match="is a file, expected a folder"):
        extract_files([video], video, extractor)
    assert not (tmp_path / "out").exists()


def test_a_video_that_changed_since_is_extracted_again(extractor, write_video, tmp_path):
    video, out = write_video("a.mkv"), tmp_path / "features"
    extract_files([video], out, extractor)
    os.utime(out / "a.npz", (0, 0))
    extract_files([video], out, extractor)
    assert (out / "a.npz").stat().st_mtime > 0
