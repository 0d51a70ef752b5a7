"""Outputs that are shared, left half made, or made before."""

import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import open_features
from jsf.extraction import extract_files
from jsf.extraction.outputs import open_output

ALL = sys.maxsize


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_one_process_at_a_time_writes_a_store(extractor, write_video, tmp_path, monkeypatch):
    video, out = write_video("a.mkv"), tmp_path / "out.h5"
    monkeypatch.chdir(tmp_path)
    with open_output([video], out, extractor.identity, 40):
        for name in (out, Path("out.h5")):
            with pytest.raises(JsfError, match=r"another process is writing .*out\.h5"):
                extract_files([video], name, extractor)
        assert extract_files([video], tmp_path / "other.h5", extractor).extracted == 1
    assert extract_files([video], out, extractor).extracted == 1
    assert not list(tmp_path.glob("*.lock"))


def test_several_runs_may_write_into_a_folder(extractor, write_video, tmp_path):
    videos, out = [write_video(f"{name}.mkv") for name in "ab"], tmp_path / "out"
    with open_output(videos, out, extractor.identity, 40) as mine:
        assert extract_files(videos, out, extractor).extracted == 2
        mine.save(videos[0], extractor.extract(videos[0]))
    assert sorted(open_features(out).ids()) == ["a", "b"]


def test_what_another_run_puts_beside_waits_for_its_own_end(extractor, write_video, tmp_path):
    """As when two machines that share a disk write into a store: no lock holds between them."""
    videos, out = [write_video(f"{name}.mkv") for name in "ab"], tmp_path / "out.h5"
    with open_output(videos, out, extractor.identity, 40) as output:
        output.save(videos[0], extractor.extract(videos[0]))
        partial = output._partial()
        output._partial = lambda: partial
        late = tmp_path / "out.h5.partial" / "b.npz"
        extractor.extract(videos[1]).save(late)
        del output._partial
        output.finish()
    assert sorted(open_features(out).ids()) == ["a", "b"]
    assert not late.exists()


@pytest.mark.parametrize("name", ["out", "out.h5"])
@pytest.mark.parametrize(("frames", "again"), [(39, 0), (40, 0), (41, 1)])
def test_40_frames_are_made_again_for_all_only_where_there_are_more(
    extractor, write_video, tmp_path, name, frames, again
):
    images = [np.full((16, 16, 3), 2 * i, np.uint8) for i in range(frames)]
    video = write_video("clip.mkv", range(0, 200 * frames, 200), images=images)
    assert extract_files([video], tmp_path / name, extractor).frames == min(40, frames)
    for made in (again, 0):
        assert extract_files([video], tmp_path / name, extractor, ALL).extracted == made
    assert len(open_features(tmp_path / name).read("clip")) == frames
    assert extract_files([video], tmp_path / name, extractor).extracted == 0  # all hold the 40


def test_a_video_that_changed_since_is_extracted_again_into_a_store(extractor, write_video, tmp_path):
    video, out = write_video("a.mkv"), tmp_path / "out.h5"
    extract_files([video], out, extractor)
    assert extract_files([video], out, extractor).extracted == 0
    write_video("a.mkv", [0])
    os.utime(out, (0, 0))
    assert extract_files([video], out, extractor).extracted == 1
    assert len(open_features(out).read("a")) == 1


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_what_a_killed_run_began_to_write_of_a_file_is_removed(extractor, write_video, tmp_path, suffix):
    video = write_video("a.mkv")
    old, young, another = (tmp_path / f".{name}{suffix}" for name in ("out.01234567", "out.89abcdef", "in.01234567"))
    for file in (old, young, another):
        file.touch()
    for file in (old, another):
        os.utime(file, (0, 0))
    extract_files([video], tmp_path / f"out{suffix}", extractor)
    assert [file.exists() for file in (old, young, another)] == [False, True, True]


def test_features_that_wait_are_put_into_the_store_by_the_next_run(extractor, write_video, tmp_path):
    videos, out = [write_video(f"{name}.mkv") for name in "ab"], tmp_path / "out.h5"
    extract_files(videos[:1], out, extractor)
    sequence = FeatureSequence(np.ones((2, extractor.width), np.float32), extractor=extractor.identity)
    sequence.save(tmp_path / "out.h5.partial" / "b.npz")
    report = extract_files(videos, out, extractor)
    assert (report.there, report.extracted) == (2, 0)
    assert sorted(open_features(out).ids()) == ["a", "b"]
    assert not (tmp_path / "out.h5.partial").exists()


def test_a_folder_in_the_place_of_a_file_is_refused(extractor, write_video, tmp_path):
    (tmp_path / "out.npz").mkdir()
    with pytest.raises(JsfError, match="is a folder, expected a file"):
        extract_files([write_video("a.mkv")], tmp_path / "out.npz", extractor)


def test_a_cache_that_cannot_hold_the_lock_is_told(extractor, write_video, tmp_path):
    (tmp_path / "cache").write_text("a file in the folder's place")
    with pytest.raises(JsfError, match=r"cannot lock .*out\.h5"):
        extract_files([write_video("a.mkv")], tmp_path / "out.h5", extractor)


def test_a_hidden_video_reaches_the_store(extractor, write_video, tmp_path):
    report = extract_files([write_video(".hidden.mkv"), write_video("a.mkv")], tmp_path / "out.h5", extractor)
    assert report.extracted == 2
    assert sorted(open_features(tmp_path / "out.h5").ids()) == [".hidden", "a"]


def test_a_file_that_another_run_finishes_meanwhile_is_left_alone(extractor, write_video, tmp_path, monkeypatch):
    (tmp_path / ".a.01234567.npz").touch()
    found = Path.glob

    def finished(folder, pattern):
        files = list(found(folder, pattern))
        (tmp_path / ".a.01234567.npz").unlink(missing_ok=True)
        return files

    monkeypatch.setattr(Path, "glob", finished)
    assert extract_files([write_video("a.mkv")], tmp_path / "a.npz", extractor).extracted == 1


def test_a_waiting_file_that_a_crash_cut_is_made_again(extractor, write_video, tmp_path):
    videos, waiting = [write_video(f"{name}.mkv") for name in "ab"], tmp_path / "out.h5.partial"
    waiting.mkdir()
    (waiting / "a.npz").touch()
    assert extract_files(videos, tmp_path / "out.h5", extractor).extracted == 2
    assert sorted(open_features(tmp_path / "out.h5").ids()) == ["a", "b"]


def test_a_store_of_several_extractors_is_refused(extractor, write_video, tmp_path):
    with h5py.File(tmp_path / "out.h5", "w") as store:
        store.attrs["extractor"] = ["one", "two"]
    with pytest.raises(JsfError, match="holds features of"):
        extract_files([write_video("a.mkv")], tmp_path / "out.h5", extractor)


@pytest.mark.parametrize("name", ["out", "out.h5", "clip.npz"])
def test_another_video_of_the_same_name_is_not_taken_for_this_one(extractor, write_video, tmp_path, name):
    first, second = write_video("a/clip.mkv"), write_video("b/clip.mkv", range(0, 1000, 200))
    out = tmp_path / name
    assert extract_files([first], out, extractor).extracted == 1
    for age in (0, 3600):  # older and younger than the features
        os.utime(second, (age + 1, age + 1) if not age else None)
        with pytest.raises(
            JsfError, match=r"has the features of .*a/clip\.mkv under the id 'clip', which .*b/clip\.mkv"
        ):
            extract_files([second], out, extractor)
    moved = first.rename(tmp_path / "clip.mkv")
    assert extract_files([moved], out, extractor).there == 1


def test_a_video_is_not_replaced_by_its_features(extractor, write_video, tmp_path):
    video = write_video("clip.mkv").rename(tmp_path / "clip.npz")
    with pytest.raises(JsfError, match=r"clip\.npz would be replaced by its own features"):
        extract_files([video], video, extractor)
