"""An index is built, appended to and resumed; a kill at any moment leaves a whole one; readers see one state of it."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.runtime.index import build, segment
from jsf.runtime.index.build import Source, add_videos
from jsf.runtime.index.collection import Collection
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.models import Models, pool
from jsf.runtime.index.recall import measure_recall


@pytest.fixture
def small(monkeypatch):
    """Segments of four videos, in batches of two."""
    monkeypatch.setattr(build, "SEGMENT", 4)
    monkeypatch.setattr(build, "BATCH", 2)


def same(one: Collection, other: Collection) -> None:
    """Two collections hold the same videos."""
    assert (one.ids, one.sources) == (other.ids, other.sources)
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-6)
    if one.contents.matcher:
        for ours, theirs in zip(one.frames(np.arange(len(one))), other.frames(np.arange(len(one))), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_an_index_holds_what_the_models_make(models, make_sources, make_video, tmp_path, small):
    outcome = add_videos(tmp_path / "index", models, make_sources(range(10)))
    assert (outcome.added, outcome.known, outcome.failures) == (10, 0, {})
    found = Collection.open(tmp_path / "index")
    assert found.ids == [f"v{n}" for n in range(10)] and found.sources[3] == "/videos/v3.npz"
    assert [part.videos for part in found.contents.segments] == [4, 4, 2]
    videos = [make_video(n) for n in range(10)]
    if models.embedder:
        np.testing.assert_allclose(found.embeddings, models.embedder.embed_videos(videos), atol=1e-6)
    if models.matcher:
        encoded, rows = models.matcher.encode_videos(videos), np.array([9, 0, 5, 4])
        frames, lengths = found.frames(rows)
        np.testing.assert_array_equal(lengths, encoded.lengths[rows])
        np.testing.assert_allclose(frames, encoded.values[rows], rtol=1e-3, atol=1e-4)
        if not models.embedder:
            np.testing.assert_allclose(found.embeddings, pool(encoded), atol=1e-6)
    else:
        with pytest.raises(JsfError, match="no second stage"):
            found.frames(np.array([0]))
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)


def test_an_index_grows_and_knows_what_it_has(both, make_sources, tmp_path, small):
    add_videos(tmp_path / "grown", both, make_sources(range(3)))
    outcome = add_videos(tmp_path / "grown", both, make_sources(range(9)))
    assert (outcome.added, outcome.known) == (6, 3)
    again = add_videos(tmp_path / "grown", both, make_sources(range(9)))
    assert (again.added, again.known) == (0, 9)
    add_videos(tmp_path / "whole", both, make_sources(range(9)))
    same(Collection.open(tmp_path / "grown"), Collection.open(tmp_path / "whole"))


def test_a_video_that_cannot_be_encoded_stops_no_other(both, make_sources, make_video, tmp_path, small):
    bad = {"wide": make_video(1, width=13), "strange": make_video(2, extractor="other 2")}
    sources = make_sources(range(5)) + [Source(name, name, lambda name=name: bad[name]) for name in bad]
    outcome = add_videos(tmp_path / "index", both, sources[::-1])
    assert outcome.added == 5 and set(outcome.failures) == set(bad)
    assert "13 wide; the model takes 12" in outcome.failures["wide"].message
    assert "'other 2'" in outcome.failures["strange"].message
    assert Collection.open(tmp_path / "index").ids == [f"v{n}" for n in reversed(range(5))]


def test_a_slow_run_writes_segments_before_they_are_full(pooled, make_sources, tmp_path, small, monkeypatch):
    monkeypatch.setattr(build, "SEGMENT_SECONDS", -1)
    add_videos(tmp_path / "index", pooled, make_sources(range(5)))
    assert [part.videos for part in Contents.load(tmp_path / "index").segments] == [2, 2, 1]


def test_ids_are_of_one_video_each(pooled, make_sources, tmp_path):
    sources = [*make_sources(range(2)), Source("v1", "/elsewhere/v1.npz", lambda: pytest.fail("read"))]
    with pytest.raises(JsfError, match=r"id 'v1': /videos/v1.npz and /elsewhere/v1.npz"):
        add_videos(tmp_path / "index", pooled, sources)


def killer(function, calls):
    """The function, but its n-th call kills the process, without any cleaning up."""
    left = iter(range(calls - 1, -1, -1))

    def call(*arguments, **options):
        if not next(left):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return call


def killed_run(root: Path, index: Path, place: str, calls: int, make_sources) -> None:
    build.SEGMENT, build.BATCH = 4, 2
    if place == "array":
        segment.np.save = killer(np.save, calls)
    elif place == "contents":
        Contents.save = killer(Contents.save, calls)
    elif place == "rename":
        Path.replace = killer(Path.replace, calls)
    sources = make_sources(range(10))
    if place == "video":
        sources = [Source(s.id, s.name, killer(s.read, 1) if i == calls else s.read) for i, s in enumerate(sources)]
    add_videos(index, Models.load(root, None, "cpu"), sources)


@pytest.mark.parametrize(
    ("place", "calls", "kept"),
    [("video", 1, None), ("video", 6, 4), ("array", 2, None), ("array", 7, 4), ("contents", 2, 4), ("rename", 4, 4)],
)
def test_a_killed_run_resumes(place, calls, kept, tiny_bundle, pooled, make_sources, tmp_path, small):
    index = tmp_path / "index"
    process = multiprocessing.get_context("fork").Process(
        target=killed_run, args=(tiny_bundle, index, place, calls, make_sources)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    if kept is None:
        assert not (index / "index.json").exists()
    else:
        assert len(Collection.open(index)) == kept
    outcome = add_videos(index, pooled, make_sources(range(10)))
    assert (outcome.added, outcome.known) == (10 - (kept or 0), kept or 0)
    add_videos(tmp_path / "whole", pooled, make_sources(range(10)))
    same(Collection.open(index), Collection.open(tmp_path / "whole"))
    named = {part.name for part in Contents.load(index).segments}
    assert {path.name for path in (index / "segments").iterdir()} == named
    assert {path.name for path in index.iterdir()} == {"index.json", "segments", ".lock"}


def slow_run(root: Path, index: Path, make_sources) -> None:
    build.SEGMENT, build.BATCH = 4, 2
    sources = make_sources(range(120))
    slowed = [Source(s.id, s.name, lambda s=s: (time.sleep(0.01), s.read())[1]) for s in sources]
    add_videos(index, Models.load(root, None, "cpu"), slowed)


def test_a_reader_sees_one_state_while_another_process_appends(tiny_bundle, pooled, make_sources, tmp_path):
    index = tmp_path / "index"
    add_videos(index, pooled, make_sources(range(4)))
    process = multiprocessing.get_context("fork").Process(target=slow_run, args=(tiny_bundle, index, make_sources))
    process.start()
    states = {}
    while process.is_alive():
        found = Collection.open(index)
        assert found.ids == [f"v{n}" for n in range(len(found))] and len(found) % 4 == 0
        assert len(found.embeddings) == len(found.frames(np.arange(len(found)))[0])
        states.setdefault(len(found), found)
    assert process.exitcode == 0
    assert len(states) > 3, "the reader was too slow to see anything"
    whole = Collection.open(index)
    assert len(whole) == 120
    for count, found in states.items():  # an opened state stays readable
        rows = np.arange(count)
        np.testing.assert_array_equal(found.embeddings, whole.embeddings[:count])
        np.testing.assert_array_equal(found.frames(rows)[0], whole.frames(rows)[0])


def test_one_process_writes_at_a_time(pooled, make_sources, tmp_path):
    index = tmp_path / "index"
    add_videos(index, pooled, make_sources(range(2)))
    with FileLock(index / ".lock"), pytest.raises(JsfError, match="another process is writing"):
        add_videos(index, pooled, make_sources(range(3)))
    assert add_videos(index, pooled, make_sources(range(3))).added == 1


def test_other_models_are_refused(pooled, both, fse_root, variant_bundle, make_sources, tmp_path):
    index = tmp_path / "index"
    add_videos(index, both, make_sources(range(2)))
    said = rf"made with the embedding .*{fse_root.name} \(.*\.\.\.\); given is no embedding"
    with pytest.raises(JsfError, match=said) as refused:
        add_videos(index, pooled, make_sources(range(3)))
    assert "--bundle and --embedding" in refused.value.fix
    other = Models.load(variant_bundle("official", "retrieval"), None, "cpu")
    add_videos(tmp_path / "pooled", pooled, make_sources(range(2)))
    ours, theirs = (next(iter(m.contents(index).matcher.hashes.values()))[:12] for m in (pooled, other))
    with pytest.raises(JsfError, match=f"{ours}.*{theirs}"):
        add_videos(tmp_path / "pooled", other, make_sources(range(3)))
    assert len(Collection.open(index)) == len(Collection.open(tmp_path / "pooled")) == 2


def test_a_folder_of_other_things_is_refused(pooled, make_sources, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(JsfError, match=r"holds other files: \['notes.txt'\]"):
        add_videos(tmp_path, pooled, make_sources(range(2)))
    with pytest.raises(JsfError, match="cannot write"):
        add_videos(tmp_path / "notes.txt", pooled, make_sources(range(2)))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_recall_counts_how_often_the_described_video_is_found(both, make_sources, sentences, tmp_path):
    index = tmp_path / "index"
    add_videos(index, both, make_sources(range(30)))
    captions = [Caption(f"v{n}", sentence) for n in (3, 8, 31) for sentence in sentences]
    recall = measure_recall(index, both, captions, "captions.csv")
    assert (recall.captions, recall.videos) == (10, 30) and Contents.load(index).recall == recall
    assert list(recall.found) == ["1", "5", "10", "20"]
    cosines = both.embed_texts(sentences) @ Collection.open(index).embeddings.T
    places = [(cosines >= cosines[:, [n]]).sum(1) for n in (3, 8)]
    assert recall.found["10"] == (np.concatenate(places) <= 10).sum()
    assert recall.at(19) == (10, recall.found["10"] / 10) and recall.at(0) is None
    add_videos(index, both, make_sources(range(32)))
    assert Contents.load(index).recall == recall
    with pytest.raises(JsfError, match=r"none of the 1 captions of other\.csv is of a video"):
        measure_recall(index, both, [Caption("w", "red")], "other.csv")


@pytest.mark.parametrize(
    "name", ["index.json", "ids.json", "embeddings.npy", "lengths.npy", "digests.npy", "frames.npy"]
)
@pytest.mark.parametrize("how", ["changed", "cut", "absent"])
def test_damage_is_found(name, how, pooled, make_sources, tmp_path):
    add_videos(tmp_path, pooled, make_sources(range(3)))
    path = next(tmp_path.rglob(name))
    data = bytearray(path.read_bytes())
    if how == "absent":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[-9] ^= 1
        path.write_bytes(data if name != "index.json" else data.replace(b'"schema": 1', b'"schema": 7'))
    with pytest.raises(JsfError, match=path.name) as refused:
        Collection.open(tmp_path).frames(np.arange(3))
    assert "jsf index PATHS -o" in refused.value.fix or name == "index.json"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("segments", 3),
        ("segments", [{"name": "0-00000000"}]),
        ("segments", [{"name": "../../etc", "videos": 3, "backend": "", "hashes": {}}]),
        ("segments", [{"name": "0-00000000", "videos": -3, "backend": "", "hashes": {}}]),
        ("segments", [{"name": "0-00000000", "videos": 3, "backend": "", "hashes": {"ids.json": 3}}]),
        ("matcher", None),
        ("matcher", {"model": "jsfusion", "path": "b", "width": "8", "hashes": {}}),
        ("recall", {"table": "t", "captions": 0, "videos": 3, "found": {"1": 0}}),
        ("recall", {"table": "t", "captions": 3, "videos": 3, "found": {"one": 0}}),
    ],
)
def test_contents_that_make_no_sense_are_refused(key, value, pooled, make_sources, tmp_path):
    add_videos(tmp_path, pooled, make_sources(range(3)))
    contents = json.loads((tmp_path / "index.json").read_text())
    assert key in contents
    (tmp_path / "index.json").write_text(json.dumps({**contents, key: value}))
    with pytest.raises(JsfError, match=r"index\.json"):
        Collection.open(tmp_path)
