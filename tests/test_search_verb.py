"""`jsf index` and `jsf search`: what they print, what they take, and what they refuse."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.runtime.index import growing
from jsf.runtime.index.models import Models
from jsf.verbs.index import find_sources, show_index
from jsf.verbs.search import show_search

NAMES = ("one", "two", "three", "four")


def features(seed, width=12):
    return np.random.default_rng(seed).standard_normal((5 + seed, width)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of four videos' features; treat it as read-only."""
    root = tmp_path_factory.mktemp("clips")
    for seed, name in enumerate(NAMES):
        FeatureSequence(features(seed), 5, "toy 1").save(root / f"{name}.npz")
    return root


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "captions.csv"
    path.write_text("video_id,sentence\none,a red circle\ntwo,blue square\nfive,rings\n")
    return path


@pytest.fixture(scope="module")
def index(folder, captions, tiny_bundle, tmp_path_factory):
    """An index of the folder, its first stage measured; treat it as read-only."""
    out = tmp_path_factory.mktemp("indexes") / "index"
    show_index([folder], out, tiny_bundle, None, captions, "cpu", "auto", json=False)
    return out


@pytest.fixture
def search(index):
    """search(query, ...) -> `jsf search` of it, with other options than the defaults."""

    def call(query=None, video=None, texts=None, **options):
        chosen = {"top": 3, "rerank": 4, "bundle": None, "embedding": None, "json": False, **options}
        show_search(query, video, texts, index, device="cpu", precision="auto", **chosen)

    return call


def test_indexing_says_what_is_in_the_index(folder, captions, tiny_bundle, tmp_path, capsys):
    out = tmp_path / "index"
    show_index([folder / "one.npz"], out, tiny_bundle, None, None, "cpu", "auto", json=False)
    text, notes = capsys.readouterr()
    assert text == f"1 videos in {out}\n"
    assert "first stage: pooled jsfusion; second stage: jsfusion" in notes
    assert "recall of the first stage: not measured" in notes
    show_index([folder], out, tiny_bundle, None, captions, "cpu", "auto", json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["videos"], found["added"], found["known"], found["failed"]) == (4, 3, 1, [])
    assert (found["recall"]["captions"], found["recall"]["videos"]) == (2, 4)
    assert set(found["recall"]["at"]) == {"1"}


def test_a_store_and_files_make_the_same_index(folder, tiny_bundle, tmp_path):
    with h5py.File(tmp_path / "store.h5", "w") as file:
        for seed, name in enumerate(NAMES):
            file[name] = features(seed)
    bundle = Models.load(tiny_bundle, None, "cpu").matcher.bundle
    stored = list(find_sources([tmp_path / "store.h5"], bundle, "cpu"))
    listed = list(find_sources([folder], bundle, "cpu"))
    named = list(find_sources([folder / f"{name}.npz" for name in NAMES], bundle, "cpu"))
    for sources in (stored, listed, named):
        assert {source.id for source in sources} == set(NAMES)
        for source in sources:
            np.testing.assert_array_equal(source.read().features, features(NAMES.index(source.id)))
    assert sorted(source.name for source in named) == [str(folder / f"{name}.npz") for name in sorted(NAMES)]
    assert {source.name for source in listed} == {source.name for source in named}
    assert stored[0].name == f"{tmp_path / 'store.h5'}#{stored[0].id}"


def test_video_files_are_found_in_folders_and_need_the_bundles_extractor(tiny_bundle, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"not a video")
    bundle = Models.load(tiny_bundle, None, "cpu").matcher.bundle
    (source,) = find_sources([tmp_path], bundle, "cpu")
    assert (source.id, source.name) == ("clip", str(tmp_path / "clip.mp4"))
    with pytest.raises(JsfError, match="has no extractor"):
        source.read()
    with pytest.raises(JsfError, match="does not exist"):
        list(find_sources([tmp_path / "absent"], bundle, "cpu"))


def test_videos_that_fail_are_named_after_the_others_are_in(folder, tiny_bundle, tmp_path, capsys):
    FeatureSequence(features(9, 13), 5, "toy 1").save(tmp_path / "wide.npz")
    out = tmp_path / "index"
    with pytest.raises(JsfError, match=r"1 videos could not be indexed:\n.*wide\.npz: .* 13 wide") as failed:
        show_index([tmp_path / "wide.npz", folder], out, tiny_bundle, None, None, "cpu", "auto", json=False)
    assert "jsf extract" in failed.value.fix
    assert capsys.readouterr().out == f"4 videos in {out}\n"


def test_where_every_video_fails_the_first_failure_is_told(tiny_bundle, tmp_path):
    FeatureSequence(features(9, 13), 5, "toy 1").save(tmp_path / "wide.npz")
    with pytest.raises(JsfError, match="13 wide; the model takes 12"):
        show_index([tmp_path / "wide.npz"], tmp_path / "index", tiny_bundle, None, None, "cpu", "auto", json=False)


def test_a_search_shows_the_ranking_and_what_the_first_stage_finds(search, folder, index, capsys):
    search("a red circle zebra")
    text, notes = capsys.readouterr()
    assert '"a red circle zebra"' in text and sum(name in text for name in NAMES) == 3
    assert "are left out: zebra" in notes
    assert "4 videos by pooled jsfusion, exact product; the first 4 ranked by jsfusion" in notes
    assert "of the first stage: " in notes and "among the first 1 (2 captions, 4 videos)" in notes
    search("a red circle", json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["among"], found["reranked"], found["second_stage"]) == (4, 4, "jsfusion")
    assert found["recall"]["captions"] == 2
    scores = [hit["score"] for hit in found["hits"]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    assert found["hits"][0]["source"] == str(folder / f"{found['hits'][0]['video']}.npz")


def test_texts_are_ranked_for_a_video(search, folder, tmp_path, capsys):
    texts = tmp_path / "sentences.txt"
    texts.write_text("a red circle\n\nblue square\n rings \n", encoding="utf-8")
    search(video=str(folder / "two.npz"), texts=texts, json=True)
    found = json.loads(capsys.readouterr().out)
    assert {hit["text"] for hit in found["hits"]} == {"a red circle", "blue square", "rings"}
    assert found["among"] == 3 and "recall" not in found
    search(video=str(folder / "two.npz"), texts=texts)
    text, notes = capsys.readouterr()
    assert "two.npz" in text and "blue square" in text and "3 texts by pooled jsfusion, exact product" in notes
    texts.write_text("\n \n")
    with pytest.raises(JsfError, match="has no sentences"):
        search(video=str(folder / "two.npz"), texts=texts)
    with pytest.raises(JsfError, match="is not a readable text file"):
        search(video=str(folder / "two.npz"), texts=tmp_path / "absent.txt")


@pytest.mark.parametrize(
    "inputs", [{}, {"query": "red", "video": "one.npz"}, {"video": "one.npz"}, {"query": "red", "texts": Path("t.txt")}]
)
def test_either_a_sentence_or_a_video_with_texts_is_asked(search, inputs):
    with pytest.raises(JsfError, match="or --video and --texts in its place"):
        search(**inputs)


def test_more_results_than_are_ranked_are_refused(search):
    with pytest.raises(JsfError, match="--top 5 asks for more than the 4 that are ranked") as error:
        search("a red circle", top=5)
    assert error.value.fix == "Add --rerank 5"


def test_a_folder_that_is_no_index_is_named(tmp_path):
    with pytest.raises(JsfError, match="is not an index") as refused:
        show_search("red", None, None, tmp_path, 3, 4, None, None, "cpu", "auto", json=False)
    assert refused.value.fix == f"Make one: jsf index PATHS -o {tmp_path}"


def test_with_an_embedding_alone_there_is_no_second_stage(embedding_bundle, folder, tmp_path, capsys):
    out = tmp_path / "index"
    show_index([folder], out, embedding_bundle(False), None, None, "cpu", "auto", json=False)
    assert "first stage: fse; no second stage" in capsys.readouterr().err
    show_search("a red circle", None, None, out, 2, 100, None, None, "cpu", "auto", json=False)
    notes = capsys.readouterr().err
    assert "4 videos by fse, exact product; no second stage" in notes and "not measured (jsf index --captions" in notes
    assert not list(out.rglob("frames.npy"))
    show_search("a red circle", None, None, out, 2, 100, None, None, "cpu", "auto", json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["second_stage"], found["reranked"], found["recall"], len(found["hits"])) == (None, 0, None, 2)
    assert all(hit["score"] == hit["cosine"] for hit in found["hits"])


def test_a_large_index_is_linked_and_a_search_says_so(folder, captions, tiny_bundle, tmp_path, monkeypatch, capsys):
    pytest.importorskip("faiss")
    monkeypatch.setattr(growing, "MANY", 3)
    out = tmp_path / "index"
    show_index([folder], out, tiny_bundle, None, captions, "cpu", "auto", json=False)
    method = "HNSW over 4 (finds 100.0% of the exact product's first 100, measured with 3 captions)"
    assert f"first stage: {method}" in capsys.readouterr().err
    show_search("a red circle", None, None, out, 2, 3, None, None, "cpu", "auto", json=False)
    assert f"4 videos by pooled jsfusion, {method}; the first 3 ranked by jsfusion" in capsys.readouterr().err
    show_search("a red circle", None, None, out, 2, 3, None, None, "cpu", "auto", json=True)
    graph = json.loads(capsys.readouterr().out)["graph"]
    assert graph.pop("backend").startswith("faiss ")
    assert graph == {"videos": 4, "breadth": 100, "agreement": 1.0, "queries": "3 captions"}


def test_a_large_index_is_compared_where_faiss_is_absent(folder, tiny_bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(growing, "MANY", 3)
    monkeypatch.setattr("jsf.verbs.recall.MANY", 3)
    for module in ("jsf.verbs.index", "jsf.verbs.recall"):
        monkeypatch.setattr(f"{module}.has_faiss", lambda: False)
    out = tmp_path / "index"
    show_index([folder], out, tiny_bundle, None, None, "cpu", "auto", json=False)
    assert "first stage: exact product (with pip install '.[search]', `jsf index`" in capsys.readouterr().err
    assert not (out / "graphs").exists()
