"""The maps of a pair, from a bundle: cut to what is valid, and those of the score that the scorer gives."""

import shutil
import sys
from itertools import product

import numpy as np
import onnx
import pytest

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.data.sequence import FeatureSequence
from jsf.data.vocabulary import Vocabulary
from jsf.runtime.bundle import MAPS, Bundle, graph_path
from jsf.runtime.explain import Inputs, explain
from jsf.runtime.scorer import Scorer

SENTENCES = ["red", "a red circle then a blue square", "rings " * 45]


@pytest.fixture
def bundle(tiny_bundle):
    return Bundle.open(tiny_bundle)


def draw(length, width=12):
    return np.random.default_rng(length).standard_normal((length, width)).astype(np.float32)


def shapes(n, m):
    """By the paper's sizes: two stages take 2 off, the third halves what is left; never less than 1."""
    first, second = [max(1, n - 2), max(1, m - 2)], [max(1, n - 4), max(1, m - 4)]
    return [(n, m), tuple(first), tuple(second), tuple(max(1, (size - 1) // 2) for size in second)]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 39, 40, 61])
def test_the_maps_cover_the_valid_cells_and_no_others(bundle, length):
    found = explain(bundle, draw(length), SENTENCES)
    for explanation, words in zip(found, (1, 7, 40), strict=True):
        expected = shapes(min(length, 40), words)
        assert [explanation.attention.shape, *(stage.shape for stage in explanation.stages)] == expected
        assert [gate.shape for gate in explanation.gates] == expected[1:]
        assert 0 < explanation.attention.min() <= explanation.attention.max() < 1
        assert all(0 < gate.min() <= gate.max() < 1 for gate in explanation.gates)
        assert all(stage.min() > 0 for stage in explanation.stages)


def test_the_score_is_the_scorers(bundle):
    scorer = Scorer.load(bundle.root, "cpu", "fp32")
    videos = [draw(length) for length in (1, 9, 40, 90)]
    found = [explanation.score for video in videos for explanation in explain(bundle, video, SENTENCES)]
    expected = scorer.score_pairs(list(product(videos, SENTENCES)))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_the_rows_are_the_words_that_the_model_knows(bundle):
    (found,) = explain(bundle, draw(9), ["A strange Red circle, then?"])
    assert found.words == ("a", "red", "circle", "then")
    assert found.answer == ""


def test_the_graph_in_the_bundle_stays_as_it_is(bundle):
    explain(bundle, draw(9), SENTENCES)
    graph = onnx.load(bundle.graph("fp32", "matcher"))
    assert [value.name for value in graph.graph.output] == ["scores"]


def test_padding_on_the_left_and_a_blank_alone():
    """Steps count from the end of the array; the only word is the blank."""
    vocabulary = Vocabulary((BLANK, "door", "eyes"))
    inputs = Inputs.of(draw(5), ["he shuts the _____ door"], vocabulary, fills=True, left=True)
    np.testing.assert_array_equal(inputs.frames[0, 35:], draw(5))
    frames = np.arange(40.0, dtype=np.float32)[None, :, None]
    stages = [np.stack([x, x], 1) for x in (frames[:, :38], frames[:, :36], frames[:, :17])]
    scores = np.log(np.array([[1, 1, 0.25, 0.75]], np.float32))
    (found,) = inputs.explanations(scores, frames, stages, [stage[:, :1] for stage in stages])
    assert found.words == (BLANK,)
    assert found.answer == "eyes"
    np.testing.assert_array_equal(found.attention[:, 0], [35, 36, 37, 38, 39])
    for cells, expected in zip(found.gates, ([35, 36, 37], [35], [16]), strict=True):
        np.testing.assert_array_equal(cells[:, 0], expected)
    np.testing.assert_allclose(found.stages[1], [[35 * np.sqrt(2)]], rtol=1e-6)


def test_a_graph_without_maps_is_refused(tiny_bundle, tmp_path):
    root = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    path = graph_path(root, "fp32", "matcher")
    model = onnx.load(path)
    kept = [value for value in model.graph.value_info if value.name not in MAPS]
    assert len(kept) == len(model.graph.value_info) - len(MAPS)
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    onnx.save(model, path)
    bundle = Bundle.open(root)
    bundle.manifest.hashes["fp32"]["matcher"] = sha256(path)
    with pytest.raises(JsfError, match="has no maps") as caught:
        explain(bundle, draw(9), SENTENCES)
    assert "JST and CHD" in caught.value.fix


def test_without_onnx_the_extra_is_named(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(JsfError, match="'onnx'") as caught:
        explain(bundle, draw(9), SENTENCES)
    assert "'.[explain]'" in caught.value.fix


@pytest.mark.parametrize(
    ("video", "sentence", "message"),
    [
        (draw(9, 7), "red", "7 wide"),
        (FeatureSequence(draw(9), extractor="toy 2"), "red", "extracted by 'toy 2'"),
        (draw(9), "nothing known", "none of the words"),
        (draw(9), "", "has no words"),
    ],
)
def test_what_cannot_be_scored_cannot_be_explained(bundle, video, sentence, message):
    with pytest.raises(JsfError, match=message):
        explain(bundle, video, ["a red circle", sentence])
