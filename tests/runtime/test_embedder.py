"""The embedder of a bundle gives what its checkpoint gives, needs no PyTorch, and says what is wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jsf.data.clips import Clips, equal_spans
from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.runtime import embedding
from jsf.runtime.bundle import Bundle
from jsf.runtime.embedder import Embedder
from jsf.runtime.load import load_scorer
from jsf.runtime.scorer import Scorer
from jsf.training.hse.embedder import CheckpointEmbedder
from jsf.training.scorer import CheckpointScorer

TEXTS = ["red", "a red circle. Then a blue square!", ["a circle", "red", "blue"], "words unknown", ["a then"] * 5]


def array(steps=3, width=12, seed=0):
    return np.random.default_rng(seed).standard_normal((steps, width)).astype(np.float32)


VIDEOS = [array(1), array(6), array(40), Clips.of(array(9), ((0.1, 0.3), (0.3, 0.9), (0.5, 1.0))), array(2)]


@pytest.fixture(scope="module")
def checkpoint(tiny_embedding, tmp_path_factory):
    """`best.pt` of a tiny HSE."""
    path = tmp_path_factory.mktemp("run") / "best.pt"
    tiny_embedding(True).save(path)
    return path


@pytest.fixture(scope="module")
def root(embedding_bundle):
    """Its bundle; treat it as read-only."""
    return embedding_bundle(True)


@pytest.fixture(scope="module")
def embedder(root):
    return Embedder.load(root, "cpu")


@pytest.fixture(scope="module", params=["bundle", "checkpoint"])
def either(request, embedder, checkpoint):
    return embedder if request.param == "bundle" else CheckpointEmbedder.load(checkpoint, "cpu")


def test_both_embedders_are_alike(embedder, checkpoint):
    other = CheckpointEmbedder.load(checkpoint, "cpu")
    for name in ("task", "vocabulary", "extractor", "hierarchical", "width", "feature_width", "limits"):
        assert getattr(embedder, name) == getattr(other, name)
    assert (embedder.task, embedder.hierarchical, embedder.width) == ("embedding", True, 10)
    assert " on cpu, fp32" in embedder.description and " on cpu, fp32" in other.description
    np.testing.assert_allclose(embedder.embed_videos(VIDEOS), other.embed_videos(VIDEOS), atol=1e-5)
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), other.embed_texts(TEXTS), atol=1e-5)
    np.testing.assert_allclose(embedder.score_matrix(VIDEOS, TEXTS), other.score_matrix(VIDEOS, TEXTS), atol=1e-5)


def test_vectors_are_of_unit_length_and_scores_are_their_cosines(either):
    videos, texts = either.embed_videos(VIDEOS), either.embed_texts(TEXTS)
    assert videos.shape == (5, 10) and texts.shape == (5, 10) and videos.dtype == texts.dtype == np.float32
    for vectors in (videos, texts):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert len(np.unique(vectors.round(3), axis=0)) == 5
    scores = either.score_matrix(VIDEOS, TEXTS)
    np.testing.assert_allclose(scores, videos @ texts.T, atol=1e-6)
    rows, columns = np.array([3, 0, 0, 4]), np.array([1, 1, 4, 2])
    np.testing.assert_allclose(either.match_pairs(VIDEOS, TEXTS, rows, columns), scores[rows, columns], atol=1e-6)
    pairs = [(VIDEOS[row], TEXTS[column]) for row, column in ((3, 1), (0, 1), (0, 4))]
    np.testing.assert_allclose(either.score_pairs(pairs), scores[[3, 0, 0], [1, 1, 4]], atol=1e-6)
    assert either.score(VIDEOS[2], TEXTS[2]) == pytest.approx(scores[2, 2], abs=1e-6)


def test_a_video_without_clips_is_cut_into_equal_ones(either):
    plain, cut = (either.embed_videos([video])[0] for video in (VIDEOS[1], Clips.of(VIDEOS[1], equal_spans(2))))
    np.testing.assert_array_equal(plain, cut)
    otherwise = either.embed_videos([Clips.of(VIDEOS[1], equal_spans(3))])[0]
    assert np.abs(otherwise - plain).max() > 1e-3


def test_a_text_is_cut_into_its_sentences(either):
    found = either.embed_texts(["a red circle. Then a blue square!", ["A red circle.", "then a blue square"], "red"])
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 1e-3
    np.testing.assert_array_equal(*either.embed_texts(["zz red zz", ["red"]]))


def test_batches_change_nothing(either, monkeypatch):
    whole = either.embed_videos(VIDEOS), either.embed_texts(TEXTS)
    monkeypatch.setattr(embedding, "AT_ONCE", 2)
    np.testing.assert_allclose(either.embed_videos(VIDEOS), whole[0], atol=1e-6)
    np.testing.assert_allclose(either.embed_texts(TEXTS), whole[1], atol=1e-6)


def test_half_precision_features_embed_as_their_single_ones(either):
    half = array(6).astype(np.float16)
    np.testing.assert_array_equal(*either.embed_videos([half, half.astype(np.float32)]))


def test_features_are_read_where_a_file_is_named(either, tmp_path):
    FeatureSequence(VIDEOS[1], 5, "toy 1").save(tmp_path / "clip.npz")
    for video in (tmp_path / "clip.npz", str(tmp_path / "clip.npz"), FeatureSequence(VIDEOS[1], 5, "toy 1")):
        np.testing.assert_array_equal(either.embed_videos([video]), either.embed_videos([VIDEOS[1]]))


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (array(width=9), "the video has features 9 wide; the model takes 12"),
        (Clips.of(array(width=9), ((0.0, 0.5),)), "the video has features 9 wide; the model takes 12"),
        (FeatureSequence(array(), 5, "toy 2", "clip 7"), "clip 7 was extracted by 'toy 2'; the model was trained on"),
        (array()[0], r"features are float32 \[12\], expected float16 or float32 \[T, D\]"),
        (array(0), "the video has no frames"),
        (np.full((3, 12), np.nan, np.float32), "features hold NaN or infinity"),
        ("gone.npz", "gone.npz does not exist"),
    ],
)
def test_features_that_the_model_cannot_take_are_refused(either, video, message):
    for embed in (
        lambda: either.embed_videos([VIDEOS[1], video]),
        lambda: either.score(video, "red"),
        lambda: either.score_matrix([video], ["red"]),
    ):
        with pytest.raises(JsfError, match=message):
            embed()


@pytest.mark.parametrize(("text", "message"), [("", "has no words"), ("zz", "none of the"), (["zz", "y"], "none")])
def test_a_single_text_without_a_known_word_is_refused(either, text, message):
    with pytest.raises(JsfError, match=message):
        either.score(VIDEOS[0], text)


def test_there_must_be_something_to_embed(either):
    for embed in (lambda: either.embed_videos([]), lambda: either.embed_texts([]), lambda: either.score_matrix([], [])):
        with pytest.raises(JsfError, match="there is nothing to embed"):
            embed()


WITHOUT_TORCH = """
import json, sys
from pathlib import Path
import numpy as np

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "onnxscript"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from jsf.data.clips import Clips
from jsf.runtime.load import load_scorer
embedder = load_scorer(Path(sys.argv[1]), "cpu")
video = np.load(sys.argv[2])
print(json.dumps(embedder.score_matrix([video, Clips.of(video, ((0.0, 0.5),))], ["red", ["a circle", "red"]]).tolist()))
"""


def test_it_needs_no_pytorch(embedder, root, tmp_path):
    np.save(tmp_path / "video.npy", VIDEOS[2])
    command = [sys.executable, "-c", WITHOUT_TORCH, root, tmp_path / "video.npy"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    videos = [VIDEOS[2], Clips.of(VIDEOS[2], ((0.0, 0.5),))]
    expected = embedder.score_matrix(videos, ["red", ["a circle", "red"]])
    np.testing.assert_allclose(json.loads(found.stdout), expected, atol=1e-6)


def test_bundles_are_opened_by_what_they_hold(root, tiny_bundle, monkeypatch):
    assert isinstance(load_scorer(root, "cpu"), Embedder)
    assert isinstance(load_scorer(tiny_bundle, "cpu"), Scorer)
    monkeypatch.setenv("JSF_BUNDLE", str(root))
    assert isinstance(load_scorer(device="cpu"), Embedder)
    assert Embedder.load(device="cpu").bundle.root == root


def test_models_of_the_other_kind_are_refused(root, tiny_bundle, checkpoint, tiny_checkpoint):
    with pytest.raises(JsfError, match="is a bundle of hse, which compares no frame with a word") as caught:
        Scorer.load(root)
    assert "JSFusion" in caught.value.fix
    with pytest.raises(JsfError, match="is a bundle of jsfusion, which embeds neither videos nor texts") as caught:
        Embedder.load(tiny_bundle)
    assert "jsf train --model hse" in caught.value.fix
    with pytest.raises(JsfError, match="a model for embedding, which compares no frame with a word") as caught:
        CheckpointScorer.load(checkpoint)
    assert "jsf train --model jsfusion" in caught.value.fix
    with pytest.raises(JsfError, match="a model for retrieval, which embeds neither videos nor texts") as caught:
        CheckpointEmbedder.load(tiny_checkpoint)
    assert "jsf train --model hse" in caught.value.fix


LIMITS = {"frames": 6, "words": 4, "text_words": 9, "clips": 3, "segments": 2}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (None, "lacks: limits"),
        ([6, 4, 9, 3, 2], "'limits' is .*, expected a dict"),
        ({}, "'limits' is {}, expected a positive number for each of: .*frames.*text_words.*segments"),
        ({**LIMITS, "frames": -6}, "'limits' is .*-6.*, expected a positive number"),
        ({**LIMITS, "clips": 0}, "expected a positive number"),
        ({**LIMITS, "words": "4"}, "expected a positive number"),
        ({**LIMITS, "words": 4.0}, "expected a positive number"),
        ({**LIMITS, "words": True}, "expected a positive number"),
        ({**LIMITS, "colours": 2}, "expected a positive number"),
        ({name: LIMITS[name] for name in list(LIMITS)[1:]}, "expected a positive number"),
    ],
)
def test_damaged_limits_are_refused(root, tmp_path, limits, message):
    copy = Path(shutil.copytree(root, tmp_path / "bundle"))
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest.pop("limits") == LIMITS
    (copy / "manifest.json").write_text(json.dumps(manifest if limits is None else {**manifest, "limits": limits}))
    with pytest.raises(JsfError, match=message) as caught:
        Bundle.open(copy)
    assert "jsf export --ckpt best.pt" in caught.value.fix


def test_jsfusion_has_no_limits(tiny_bundle, tmp_path):
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest["limits"] == {}
    (copy / "manifest.json").write_text(json.dumps({**manifest, "limits": LIMITS}))
    with pytest.raises(JsfError, match="'limits' is"):
        Bundle.open(copy)


@pytest.mark.parametrize("frames", [5, 7, 10**13])
def test_limits_that_are_not_those_of_the_graphs_are_refused(root, tmp_path, frames):
    copy = Path(shutil.copytree(root, tmp_path / "bundle"))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "limits": {**LIMITS, "frames": frames}}))
    with pytest.raises(JsfError):
        Embedder.load(copy, "cpu").embed_videos(VIDEOS)


def test_a_bundle_of_an_unknown_model_is_refused(root, tmp_path):
    copy = Path(shutil.copytree(root, tmp_path / "bundle"))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "model": "fsehse"}))
    with pytest.raises(JsfError):
        Bundle.open(copy)


def test_a_video_or_a_text_is_embedded_once(root, monkeypatch):
    embedder, runs = Embedder.load(root, "cpu"), []
    for name, graph in embedder._graphs.by_name.items():
        run = graph.run
        monkeypatch.setattr(graph, "run", lambda a, n=name, r=run: (runs.append((n, len(a["lengths"]))), r(a))[1])
    first, vectors = embedder.embed_videos(VIDEOS), embedder.embed_texts(TEXTS)
    changed = Clips(VIDEOS[3].whole, VIDEOS[3].clips[:2])
    again = embedder.embed_videos([VIDEOS[3], changed, VIDEOS[0].copy()])
    np.testing.assert_array_equal(again[[0, 2]], first[[3, 0]])
    assert np.abs(again[1] - again[0]).max() > 1e-4
    np.testing.assert_array_equal(embedder.embed_texts([TEXTS[2], "blue"])[0], vectors[2])
    assert runs == [("video_encoder", 5), ("text_encoder", 5), ("video_encoder", 1), ("text_encoder", 1)]
    with pytest.raises(JsfError, match="nothing to embed"):
        embedder.embed_videos([])
