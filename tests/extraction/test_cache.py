import os

import numpy as np
import pytest

import jsf.extraction.cache as cache
from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.extraction.cache import read_through


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jsf" / "features"


class Maker:
    """Extracts [2, 3] features that say which call made them."""

    def __init__(self, identity="cnn 1 abc"):
        self.identity, self.calls = identity, 0

    def __call__(self, path):
        self.calls += 1
        return FeatureSequence(np.full((2, 3), self.calls, np.float32), 5.0, self.identity, str(path))


def write(path, content=b"video"):
    path.write_bytes(content)
    return path


def test_the_second_reading_makes_nothing(tmp_path):
    make, path = Maker(), write(tmp_path / "clip.mp4")
    first, second = (read_through(path, make.identity, make) for _ in range(2))
    assert make.calls == 1
    np.testing.assert_array_equal(first.features, second.features)
    assert (second.fps, second.extractor, second.source) == (first.fps, first.extractor, first.source)


def test_the_content_is_the_key_and_not_the_name(tmp_path):
    make, path = Maker(), write(tmp_path / "clip.mp4")
    read_through(path, make.identity, make)
    renamed = path.rename(tmp_path / "other.mp4")
    assert read_through(renamed, make.identity, make).source == str(renamed)
    assert make.calls == 1
    read_through(write(renamed, b"edited"), make.identity, make)
    assert make.calls == 2


def test_another_extractor_makes_its_own(tmp_path):
    path, one, other = write(tmp_path / "clip.mp4"), Maker("cnn 1 abc"), Maker("cnn 2 abc")
    for _ in range(2):
        for make in (one, other):
            assert read_through(path, make.identity, make).extractor == make.identity
    assert (one.calls, other.calls) == (1, 1)


def test_a_damaged_file_is_made_again(tmp_path, folder):
    make, path = Maker(), write(tmp_path / "clip.mp4")
    read_through(path, make.identity, make)
    (kept,) = folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    for _ in range(2):
        read_through(path, make.identity, make)
    assert make.calls == 2


def test_a_failure_is_not_kept(tmp_path, folder):
    def fail(path):
        raise JsfError(f"{path} cannot be decoded.")

    with pytest.raises(JsfError, match="cannot be decoded"):
        read_through(write(tmp_path / "clip.mp4"), "cnn", fail)
    assert not folder.exists()
    with pytest.raises(JsfError, match="cannot be decoded"):
        read_through(tmp_path / "absent.mp4", "cnn", fail)


def test_a_cache_that_cannot_be_written_costs_no_result(tmp_path):
    make, path = Maker(), write(tmp_path / "clip.mp4")
    write(tmp_path / "cache")  # a file in the folder's place
    assert [read_through(path, make.identity, make).features[0, 0] for _ in range(2)] == [1, 2]


def test_past_the_limit_the_longest_unused_go(tmp_path, folder, monkeypatch):
    make, paths = Maker(), [write(tmp_path / f"{i}.mp4", bytes([i])) for i in range(4)]
    read_through(paths[0], make.identity, make)
    (first,) = folder.iterdir()
    monkeypatch.setattr(cache, "LIMIT", 3 * first.stat().st_size)
    for path in paths[1:3]:
        read_through(path, make.identity, make)
    for age, kept in enumerate(sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns, reverse=True)):
        os.utime(kept, (1_000_000 - age, 1_000_000 - age))
    read_through(paths[0], make.identity, make)  # used again: now the second is the oldest
    read_through(paths[3], make.identity, make)
    assert len(list(folder.iterdir())) == 3
    assert make.calls == 4
    for path in (paths[0], paths[2], paths[3]):
        read_through(path, make.identity, make)
    assert make.calls == 4
    read_through(paths[1], make.identity, make)
    assert make.calls == 5
