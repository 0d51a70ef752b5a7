"""The stored samples are what the graphs take, and anything else in their place is refused."""

import shutil

import numpy as np
import pytest

from jsf.calibration.samples import load_samples, save_samples
from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.data.vocabulary import BLANK_ID
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import Bundle


@pytest.fixture(params=[True, False], ids=["hse", "fse"])
def embedding(request, embedding_bundle):
    return Bundle.open(embedding_bundle(request.param))


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice", "fill-in-the-blank"])
def test_every_video_is_paired_with_every_sentence(tiny_bundle, variant_bundle, task):
    bundle = Bundle.open(tiny_bundle if task == "retrieval" else variant_bundle("official", task))
    pairs = load_samples(bundle)
    videos, sentences = pairs.videos, pairs.sentences
    assert len(set(zip(pairs.video_index.tolist(), pairs.sentence_index.tolist(), strict=True))) >= 64
    assert (videos["features"].shape[1:], sentences["words"].shape[1:]) == ((40, 12), (40,))
    assert (videos["features"].dtype, sentences["words"].dtype) == (np.float32, np.int32)
    assert pairs.left_padded == (task != "retrieval")
    order = np.arange(40)
    for lengths in (videos["lengths"], sentences["lengths"]):
        assert (lengths.min(), lengths.max()) == (1, 40) and lengths.dtype == np.int32
    there = order >= 40 - videos["lengths"][:, None] if pairs.left_padded else order < videos["lengths"][:, None]
    assert np.array_equal(videos["features"].any(axis=2), there)
    assert np.array_equal(sentences["words"] > 0, order < sentences["lengths"][:, None])
    assert sentences["words"].max() < len(bundle.vocabulary)
    if task == "fill-in-the-blank":
        assert (pairs.blanks < sentences["lengths"]).all()
        assert (sentences["words"][np.arange(len(pairs.blanks)), pairs.blanks] == BLANK_ID).all()
    else:
        assert pairs.blanks is None


def test_the_samples_of_an_embedding_are_its_graphs_inputs(embedding):
    samples = load_samples(embedding)
    assert set(samples) == set(embedding.manifest.graphs)
    assert len(samples["video_encoder"]["lengths"]) * len(samples["text_encoder"]["lengths"]) >= 64
    for name, inputs in samples.items():
        graph = OnnxRuntimeGraph(embedding.graph("fp32", name))
        assert {spec.name: spec.dtype for spec in graph.inputs} == {key: value.dtype for key, value in inputs.items()}
        (found,) = graph.run(inputs).values()
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        for values, lengths in zip(list(inputs.values())[::2], list(inputs.values())[1::2], strict=True):
            within = np.arange(values.shape[lengths.ndim]) < lengths[..., None]
            filled = values.any(-1) if values.ndim > within.ndim else values > 0
            np.testing.assert_array_equal(filled, within)
            assert lengths.max() == values.shape[lengths.ndim]


@pytest.fixture
def root(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def opened(root):
    """The bundle, whose manifest is of the samples that are there now."""
    bundle = Bundle.open(root)
    bundle.manifest.samples = sha256(root / "samples.npz")
    return bundle


def stored(**changes):
    """Samples of the tiny model with some arrays exchanged; None leaves one out."""
    arrays = {
        "frame_encoder.features": np.zeros((2, 40, 12), np.float32),
        "frame_encoder.lengths": np.ones(2, np.int32),
        "word_encoder.words": np.ones((3, 40), np.int32),
        "word_encoder.lengths": np.ones(3, np.int32),
    }
    arrays |= {name.replace("__", "."): array for name, array in changes.items()}
    return {name: array for name, array in arrays.items() if array is not None}


def test_what_is_saved_is_loaded(root):
    features = np.random.default_rng(0).standard_normal((2, 40, 12)).astype(np.float32)
    frames = {"features": features, "lengths": np.array([40, 3], np.int32)}
    words = {"words": np.ones((3, 40), np.int32), "lengths": np.array([1, 2, 40], np.int32)}
    save_samples(root / "samples.npz", {"frame_encoder": frames, "word_encoder": words})
    pairs = load_samples(opened(root))
    for saved, loaded in ((frames, pairs.videos), (words, pairs.sentences)):
        assert saved.keys() == loaded.keys()
        assert all(np.array_equal(saved[name], loaded[name]) for name in saved)
    assert pairs.video_index.tolist() == [0, 0, 0, 1, 1, 1]
    assert pairs.sentence_index.tolist() == [0, 1, 2, 0, 1, 2]


DAMAGES = {
    "of another width": stored(frame_encoder__features=np.zeros((2, 40, 13), np.float32)),
    "of doubles": stored(frame_encoder__features=np.zeros((2, 40, 12))),
    "one video, not a batch": stored(frame_encoder__features=np.zeros((40, 12), np.float32)),
    "a number": stored(frame_encoder__lengths=np.int32(1)),
    "no video": stored(frame_encoder__features=np.zeros((0, 40, 12), np.float32)),
    "too many": stored(word_encoder__words=np.ones((10_000, 40), np.int32)),
    "objects": stored(word_encoder__words=np.full((3, 40), None)),
    "without words": stored(word_encoder__words=None),
    "more lengths than videos": stored(frame_encoder__lengths=np.ones(3, np.int32)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_arrays_that_the_model_does_not_take_are_refused(root, damage):
    np.savez(root / "samples.npz", **DAMAGES[damage])
    with pytest.raises(JsfError, match=r"samples\.npz does not hold inputs of this model: ") as refusal:
        load_samples(opened(root))
    assert refusal.value.fix == "Export the bundle again: jsf export --ckpt best.pt"


def test_what_is_no_archive_is_refused(root):
    (root / "samples.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(JsfError, match=r"samples\.npz does not hold inputs of this model"):
        load_samples(opened(root))


def test_blanks_are_stored_where_they_are_filled(variant_bundle, tmp_path):
    root = shutil.copytree(variant_bundle("official", "fill-in-the-blank"), tmp_path / "bundle")
    np.savez(root / "samples.npz", **stored(word_encoder__blanks=np.zeros(2, np.int32)))
    with pytest.raises(JsfError, match="does not hold inputs of this model"):  # three sentences, two blanks
        load_samples(opened(root))
    np.savez(root / "samples.npz", **stored(word_encoder__blanks=np.zeros(3, np.int32)))
    assert load_samples(opened(root)).blanks.tolist() == [0, 0, 0]
