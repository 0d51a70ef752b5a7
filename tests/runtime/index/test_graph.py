"""The graph of a large index finds nearly what the exact product finds, grows, is told, and is checked before use."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.runtime.index import collection as opening
from jsf.runtime.index import growing
from jsf.runtime.index.build import add_videos
from jsf.runtime.index.collection import Collection
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.first_stage import MOST, nearest
from jsf.runtime.index.graph import Hnsw, empty, vectors_of, view
from jsf.runtime.index.growing import grow_graph, outgrown
from jsf.runtime.index.recall import measure_recall
from jsf.runtime.index.search import Searcher
from jsf.verbs.recall import graph_json, method_text

pytest.importorskip("faiss")


def clustered(count, seed=0, width=16):
    """Vectors around fifty directions."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((50, width))
    vectors = centres[random.integers(0, 50, count)] + random.standard_normal((count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def linked(vectors, parts=4):
    graph = Hnsw(empty(vectors.shape[1], len(vectors)))
    for part in np.array_split(vectors, parts):
        graph.add(part)
    return graph


def agreement(graph, vectors, queries, count):
    exact, walked = nearest(vectors, queries, count)[0], nearest(vectors, queries, count, graph)[0]
    return np.mean([np.isin(ours, theirs).mean() for ours, theirs in zip(exact, walked, strict=True)])


def test_a_walk_finds_nearly_what_the_exact_product_finds():
    vectors, queries = clustered(3000), clustered(40, seed=1)
    graph = linked(vectors)
    graph.breadth = 200
    assert len(graph) == 3000
    np.testing.assert_array_equal(vectors_of(graph.storage), vectors)
    assert agreement(graph, vectors, queries, 20) > 0.97
    rows, cosines = nearest(vectors, queries, 20, graph)
    np.testing.assert_allclose(cosines, np.take_along_axis(queries @ vectors.T, rows, 1), atol=1e-6)
    assert (np.diff(cosines) <= 0).all() and all(len(set(row)) == 20 for row in rows)


def test_vectors_past_the_graph_are_compared_one_by_one():
    vectors, queries = clustered(2000), clustered(30, seed=1)
    first = linked(vectors[:1500])
    graph = Hnsw(view(vectors), **first.arrays, breadth=400)
    assert len(graph) == 1500
    exact, walked = nearest(vectors, queries, 30)[0], nearest(vectors, queries, 30, graph)[0]
    for ours, theirs in zip(exact, walked, strict=True):
        assert set(ours[ours >= 1500]) <= set(theirs)
    assert agreement(graph, vectors, queries, 30) > 0.97
    assert (walked >= 1500).any() and (walked < 1500).any()


def test_what_a_walk_does_not_reach_is_compared_one_by_one():
    vectors = clustered(300)
    arrays = linked(vectors).arrays
    arrays["links"] = np.full_like(arrays["links"], -1)
    graph = Hnsw(view(vectors), **arrays)
    assert (graph.nearest(vectors[:2], 5)[0] < 0).any()
    np.testing.assert_array_equal(nearest(vectors, vectors[:2], 5, graph)[0], nearest(vectors, vectors[:2], 5)[0])


def test_for_very_many_all_are_compared(monkeypatch):
    vectors = clustered(MOST + 200)
    graph = linked(vectors)
    monkeypatch.setattr(graph, "nearest", lambda *_: pytest.fail("walked"))
    assert nearest(vectors, vectors[:1], MOST + 1, graph)[0].shape == (1, MOST + 1)


@pytest.fixture
def large(monkeypatch):
    """An index of more than ten videos is large."""
    monkeypatch.setattr(growing, "MANY", 10)


@pytest.fixture
def index(flat, make_sources, tmp_path, large):
    """An index of forty videos, with a graph."""
    folder = tmp_path / "index"
    add_videos(folder, flat, make_sources(range(40)))
    grow_graph(folder, flat)
    return folder


def test_a_large_index_gets_a_graph_that_searches_walk(models, make_sources, sentences, tmp_path, large):
    folder = tmp_path / "index"
    add_videos(folder, models, make_sources(range(40)))
    assert outgrown(Contents.load(folder))
    exact = [Searcher(Collection.open(folder), models).search(sentence, 5) for sentence in sentences]
    grow_graph(folder, models, sentences)
    found = Collection.open(folder)
    assert not outgrown(found.contents) and len(found.graph) == 40
    assert found.contents.graph.queries == "5 captions" and found.contents.graph.agreement == 1
    walked = [Searcher(found, models).search(sentence, 5) for sentence in sentences]
    assert [[hit.name for hit in hits] for hits in walked] == [[hit.name for hit in hits] for hits in exact]
    assert method_text(found.contents) == (
        "HNSW over 40 (finds 100.0% of the exact product's first 100, measured with 5 captions)"
    )
    assert method_text(found.contents, MOST + 1) == "exact product"


def test_a_graph_grows_when_the_index_has_outgrown_it(index, flat, make_sources):
    before = Contents.load(index).graph
    add_videos(index, flat, make_sources(range(42)))
    contents = Contents.load(index)
    assert contents.graph == before and not outgrown(contents)
    assert "HNSW over 40, exact product over 2 (finds" in method_text(contents)
    assert len(Searcher(Collection.open(index), flat).search("a red circle", 42)) == 42
    add_videos(index, flat, make_sources(range(60)))
    assert outgrown(Contents.load(index))
    reader = Collection.open(index)
    grow_graph(index, flat)
    after = Contents.load(index).graph
    assert after.videos == 60 and after.queries == "60 videos"
    # Who opened the index before still finds the old graph; the next run removes it.
    assert Hnsw.read(index, before, reader.graph.storage).arrays["levels"].shape == (40,)
    assert after.agreement == 1 and len(Collection.open(index).graph) == 60
    add_videos(index, flat, make_sources(range(60)))
    assert [path.name for path in (index / "graphs").iterdir()] == [after.name]


def test_the_least_breadth_that_finds_enough_is_chosen(monkeypatch):
    vectors, queries = clustered(3000), clustered(20, seed=1)
    graph, tried = linked(vectors), []
    monkeypatch.setattr(growing, "GOAL", 0.9)
    reached = growing._widen(graph, vectors, queries)
    for breadth in growing.BREADTHS[: growing.BREADTHS.index(graph.breadth) + 1]:
        graph.breadth = breadth
        tried.append(agreement(graph, vectors, queries, 100))
    assert tried[-1] == reached >= 0.9 and all(share < 0.9 for share in tried[:-1])


def test_a_graph_that_loses_much_is_kept_and_not_used(index, flat):
    contents = Contents.load(index)
    replace(contents, graph=replace(contents.graph, agreement=0.61)).save(index)
    found = Collection.open(index)
    assert found.graph is None and not outgrown(found.contents) and graph_json(found.contents) is None
    assert "exact product (HNSW would find 61.0% of" in method_text(found.contents)


def test_without_faiss_all_are_compared_and_it_is_said(index, flat, monkeypatch):
    expected = Searcher(Collection.open(index), flat).search("a red circle", 5)
    monkeypatch.setattr(opening, "has_faiss", lambda: False)
    monkeypatch.setattr("jsf.verbs.recall.has_faiss", lambda: False)
    found = Collection.open(index)
    assert found.graph is None
    assert [hit.name for hit in Searcher(found, flat).search("a red circle", 5)] == [hit.name for hit in expected]
    assert "needs faiss: pip install '.[search]'" in method_text(found.contents)
    monkeypatch.setattr("jsf.verbs.recall.MANY", 10)
    assert "with pip install '.[search]', `jsf index` makes a graph" in method_text(replace(found.contents, graph=None))


def test_recall_is_of_the_walk(index, flat, sentences, monkeypatch):
    captions = [Caption(f"v{n}", sentence) for n in range(8) for sentence in sentences]
    exact = measure_recall(index, flat, captions, "t.csv")
    asked = []
    walk = Hnsw.nearest
    monkeypatch.setattr(Hnsw, "nearest", lambda self, *a: asked.append(1) or walk(self, *a))
    assert measure_recall(index, flat, captions, "t.csv") == exact
    assert len(asked) == len(exact.found) == 4  # at 1, 5, 10 and 20


@pytest.mark.parametrize("name", ["levels.npy", "links.npy"])
@pytest.mark.parametrize("how", ["changed", "absent"])
def test_a_damaged_graph_is_found(name, how, index):
    path = next(index.rglob(name))
    if how == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(JsfError, match=name):
        Collection.open(index)


def rewritten(index, name, values):
    """Puts other values into a graph's file, with the right hash, as someone could who hands an index on."""
    path = next(index.rglob(f"{name}.npy"))
    np.save(path, values)
    contents = json.loads((index / "index.json").read_text())
    contents["graph"]["hashes"][path.name] = sha256(path)
    (index / "index.json").write_text(json.dumps(contents))


@pytest.mark.parametrize("bad", ["beyond", "negative", "short", "level 0", "level 99", "climbing"])
def test_a_graph_that_leads_astray_is_refused(bad, index):
    arrays = Hnsw.read(index, Contents.load(index).graph, empty(10, 0)).arrays
    levels, links = arrays["levels"], arrays["links"]
    high = np.flatnonzero(levels > 1)
    assert 0 < len(high) < 40
    if bad == "climbing":  # from a vector that is in the upper level, there, to one that is not
        links[16 * (levels[: high[0]] + 1).sum() + 32] = np.flatnonzero(levels == 1)[0]
    elif bad in ("beyond", "negative"):
        links[5] = 40 if bad == "beyond" else -2
    elif bad.startswith("level"):
        levels[3] = int(bad.split()[1])
    else:
        links = links[:-1]
    name = "levels" if bad.startswith("level") else "links"
    rewritten(index, name, levels if name == "levels" else links)
    with pytest.raises(JsfError, match=f"{name}.npy was changed"):
        Collection.open(index)


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "../../etc"), ("videos", 41), ("videos", 0), ("breadth", 0), ("breadth", 1 << 30), ("agreement", 2.0)],
)
def test_a_record_that_makes_no_sense_is_refused(field, value, index):
    contents = json.loads((index / "index.json").read_text())
    contents["graph"][field] = value
    (index / "index.json").write_text(json.dumps(contents))
    with pytest.raises(JsfError, match=r"index\.json"):
        Collection.open(index)
