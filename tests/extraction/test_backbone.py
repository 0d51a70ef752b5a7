"""The real CNN, written once for the whole file: it takes some ten seconds."""

import sys

import numpy as np
import onnx
import pytest
import torch

from jsf.extraction import Extractor, default_extractor
from jsf.extraction.backbone import PooledFeatures
from jsf.extraction.make import LITE0, backbone, make_extractor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield default_extractor()


def test_it_is_written_once_into_the_users_cache(folder, monkeypatch):
    assert sorted(file.name for file in folder.iterdir()) == ["extractor.json", "visual.onnx"]
    monkeypatch.setitem(sys.modules, "torch", None)
    assert default_extractor() == folder


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_equals_pytorch(folder, batch, device):
    images = np.random.default_rng(batch).uniform(-1, 1, (batch, 3, 224, 224)).astype(np.float32)
    with torch.inference_mode():
        expected = PooledFeatures()(torch.from_numpy(images)).numpy()
    found = Extractor.open(folder, device).graph.run({"images": images})["features"]
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_features_are_those_the_classifier_reads(folder):
    """The pooled features through the published classifier give the whole network's answer."""
    network = PooledFeatures().network
    images = torch.rand(1, 3, 224, 224) * 2 - 1
    features = Extractor.open(folder).graph.run({"images": images.numpy()})["features"]
    with torch.inference_mode():
        torch.testing.assert_close(network._fc(torch.from_numpy(features)), network(images), atol=1e-3, rtol=1e-3)


def test_the_graph_is_one_file_folded_and_without_traces_of_the_machine(folder):
    model = onnx.load(folder / "visual.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= {"Conv", "Clip", "Add", "ReduceMean"}
    assert model.opset_import[0].version >= 19
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert b"stack_trace" not in (folder / "visual.onnx").read_bytes()


def test_the_real_extractor_reads_a_real_video(folder, write_video):
    extractor = Extractor.open(folder)
    sequence = extractor.extract(write_video("clip.mp4"))
    assert sequence.features.shape == (2, 1408) == (2, extractor.width)
    assert sequence.features[:, :1280].std() > 0.1
    assert extractor.identity.startswith("efficientnet-lite0+logmel 1 ")


@pytest.mark.slow
def test_equal_graphs_have_equal_hashes(folder, tmp_path):
    make_extractor(tmp_path / "again", backbone(LITE0))
    assert Extractor.open(tmp_path / "again").identity == Extractor.open(folder).identity
