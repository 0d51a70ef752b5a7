"""A search finds what scoring every video finds, through either first stage; it refuses what did not make the index."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.runtime.index.build import add_videos
from jsf.runtime.index.collection import Collection
from jsf.runtime.index.models import Models
from jsf.runtime.index.search import Searcher


@pytest.fixture(scope="module")
def indexed(pooled, flat, both, make_sources, tmp_path_factory):
    """Models -> a searcher of twenty videos."""
    searchers = {}
    for models in (pooled, flat, both):
        folder = tmp_path_factory.mktemp("indexes") / "index"
        add_videos(folder, models, make_sources(range(20)))
        searchers[models] = Searcher(Collection.open(folder), models)
    return searchers


def test_a_rerank_of_all_is_the_order_of_the_scores(pooled, both, indexed, make_video, sentences):
    videos = [make_video(n) for n in range(20)]
    for models in (pooled, both):
        scores = models.matcher.score_matrix(videos, sentences)
        for column, sentence in enumerate(sentences):
            hits = indexed[models].search(sentence, top=20, rerank=20)
            found = np.array([hit.score for hit in hits])
            rows = [int(hit.name[1:]) for hit in hits]
            assert sorted(rows) == list(range(20)) and (np.diff(found) <= 0).all()
            spread = np.ptp(scores)
            np.testing.assert_allclose(found, scores[rows, column], atol=3e-3 * spread)
            assert hits[0].source == f"/videos/{hits[0].name}.npz"


def test_the_second_stage_ranks_what_the_first_hands_over(both, indexed, sentences):
    searcher = indexed[both]
    cosines = both.embed_texts(sentences) @ searcher.collection.embeddings.T
    for row, sentence in enumerate(sentences):
        hits = searcher.search(sentence, top=3, rerank=5)
        nearest = {f"v{n}" for n in np.argsort(-cosines[row])[:5]}
        assert len(hits) == 3 and {hit.name for hit in hits} <= nearest
        everything = {hit.name: hit for hit in searcher.search(sentence, top=20, rerank=20)}
        assert hits[0].score == pytest.approx(max(everything[name].score for name in nearest), abs=1e-4)
        assert hits[0].cosine == pytest.approx(cosines[row, int(hits[0].name[1:])], abs=1e-5)


def test_without_a_second_stage_the_cosines_rank(flat, indexed, make_video, sentences):
    scores = flat.embedder.score_matrix([make_video(n) for n in range(20)], sentences)
    for column, sentence in enumerate(sentences[:3]):
        hits = indexed[flat].search(sentence, top=4)
        assert [hit.name for hit in hits] == [f"v{n}" for n in np.argsort(-scores[:, column])[:4]]
        assert all(hit.score == hit.cosine for hit in hits)


def test_texts_are_ranked_for_a_video(models, indexed, make_video, sentences):
    scorer = models.matcher or models.embedder
    scores = scorer.score_matrix([make_video(30)], sentences)[0]
    hits = indexed[models].rank_texts(make_video(30), sentences, top=len(sentences))
    assert [hit.name for hit in hits] == [sentences[i] for i in np.argsort(-scores, kind="stable")]
    np.testing.assert_allclose([hit.score for hit in hits], -np.sort(-scores), atol=1e-4)
    vectors = models.embed_texts(sentences) @ models.encode([make_video(30)]).embeddings[0]
    few = indexed[models].rank_texts(make_video(30), sentences, top=2, rerank=2)
    assert {hit.name for hit in few} == {sentences[i] for i in np.argsort(-vectors)[:2]}


def test_an_index_finds_the_bundles_that_made_it(both, make_sources, tiny_bundle, fse_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_bundle, "bundle")
    shutil.copytree(fse_root, "fse")
    add_videos(Path("index"), Models.load(Path("bundle"), Path("fse"), "cpu"), make_sources(range(3)))
    expected = Searcher.load(Path("index"), device="cpu").search("a red circle")
    monkeypatch.chdir("/")
    assert Searcher.load(tmp_path / "index", device="cpu").search("a red circle") == expected
    (tmp_path / "fse").rename(tmp_path / "moved")
    with pytest.raises(JsfError, match="fse is not a bundle"):
        Searcher.load(tmp_path / "index", device="cpu")
    found = Searcher.load(tmp_path / "index", None, tmp_path / "moved", "cpu")
    assert found.search("a red circle") == expected


def test_other_bundles_are_refused(indexed, pooled, flat, variant_bundle, fse_root):
    folder = indexed[pooled].collection.folder
    with pytest.raises(JsfError, match=r"made with the matcher .* given is the matcher"):
        Searcher.load(folder, variant_bundle("official", "retrieval"), None, "cpu")
    with pytest.raises(JsfError, match="made with no embedding; given is the embedding"):
        Searcher.load(folder, None, fse_root, "cpu")
    with pytest.raises(JsfError, match="made with the embedding"):
        Searcher.load(indexed[flat].collection.folder, variant_bundle("official", "retrieval"), None, "cpu")


def changed(model, **attributes):
    """A copy of a model that says something else of itself."""
    copied = copy.copy(model)
    vars(copied).update(attributes)
    return copied


def test_models_that_do_not_go_together_are_refused(tiny_bundle, fse_root, pooled, flat):
    with pytest.raises(JsfError, match="bundle of fse, which compares no frame"):
        Models.load(fse_root, fse_root, "cpu")
    with pytest.raises(JsfError, match="which embeds neither"):
        Models.load(tiny_bundle, tiny_bundle, "cpu")
    with pytest.raises(JsfError, match="scores words, not sentences"):
        Models(changed(pooled.matcher, task="fill-in-the-blank"), None)
    with pytest.raises(JsfError, match=r"takes features of toy 1, and .* takes features of other 2"):
        Models(pooled.matcher, changed(flat.embedder, extractor="other 2"))
    with pytest.raises(JsfError, match=r"features as wide as 12, .* features as wide as 13"):
        Models(pooled.matcher, changed(flat.embedder, feature_width=13))


def test_videos_padded_on_the_left_are_found_too(variant_bundle, make_sources, make_video, tmp_path):
    models = Models.load(variant_bundle("official", "retrieval"), None, "cpu")
    assert models.matcher.bundle.manifest.left_padded
    add_videos(tmp_path, models, make_sources(range(8)))
    hits = Searcher(Collection.open(tmp_path), models).search("a red circle", 8, 8)
    scores = models.matcher.score_matrix([make_video(n) for n in range(8)], ["a red circle"])[:, 0]
    found = {int(hit.name[1:]): hit.score for hit in hits}
    np.testing.assert_allclose([found[n] for n in range(8)], scores, atol=3e-3 * np.ptp(scores))


def test_a_query_without_a_known_word_is_refused(models, indexed):
    with pytest.raises(JsfError, match="none of the words"):
        indexed[models].search("quixotic zebras")
