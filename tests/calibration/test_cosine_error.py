"""The error of reduced embedding graphs, on graphs made by hand, and the inputs that it is measured on."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jsf.calibration.cosine_error import cosine_error, generated_levels
from jsf.data.errors import JsfError
from jsf.data.levels import Levels
from jsf.runtime.bundle import Manifest

LIMITS = {"frames": 6, "words": 4, "text_words": 9, "clips": 3, "segments": 2}


def manifest(model):
    return Manifest(model, "embedding", "tiny", 2, "", False, 2, 20, "", limits=LIMITS)


@pytest.fixture
def graphs(tmp_path):
    """(name, scale) -> two graphs: a video is its first frame, a text its first two ids, each times the scale."""

    def build(name, scale):
        paths = {}
        for graph, inputs, kind in (
            ("video_encoder", ("features", "lengths"), TensorProto.FLOAT),
            ("text_encoder", ("words", "lengths"), TensorProto.INT32),
        ):
            steps = ["B", 1, 2] if graph == "video_encoder" else ["B", 2]
            ends = [
                helper.make_tensor_value_info(inputs[0], kind, steps),
                helper.make_tensor_value_info(inputs[1], TensorProto.INT32, ["B"]),
            ]
            nodes = [
                helper.make_node("Cast", [inputs[0]], ["float"], to=TensorProto.FLOAT),
                helper.make_node("Reshape", ["float", "shape"], ["flat"]),
                helper.make_node("Mul", ["flat", "scale"], ["out"]),
            ]
            weights = [
                numpy_helper.from_array(np.array([-1, 2]), "shape"),
                numpy_helper.from_array(np.float32(scale), "scale"),
            ]
            out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["B", 2])
            model = helper.make_model(
                helper.make_graph(nodes, "graph", ends, [out], weights),
                opset_imports=[helper.make_opsetid("", 20)],
                ir_version=10,
            )
            paths[graph] = tmp_path / f"{name}-{graph}.onnx"
            onnx.save(model, paths[graph])
        return paths

    return build


@pytest.fixture
def samples():
    ones = np.ones(2, np.int32)
    videos = np.array([[[1, 0]], [[0.6, 0.8]]], np.float32)
    return {
        "video_encoder": Levels(videos, ones),
        "text_encoder": Levels(np.array([[1, 0], [0, 1]], np.int32), ones),
    }


def test_the_error_is_that_of_every_pair(graphs, samples):
    found = cosine_error(graphs("fp32", 1.0), graphs("fp16", 1.1), samples)
    cosines = np.array([1, 0, 0.6, 0.8])
    assert found["pairs"] == 4
    assert found["score_range"] == pytest.approx(1)
    assert found["score_error_max"] == pytest.approx(0.21, abs=1e-6)  # each side is scaled
    assert found["score_error_mean"] == pytest.approx(np.mean(cosines * 0.21), abs=1e-6)


def test_equal_graphs_have_no_error(graphs, samples):
    found = cosine_error(graphs("fp32", 0.7), graphs("fp16", 0.7), samples)
    assert found["score_error_max"] == found["score_error_mean"] == 0


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(graphs, samples, scale):
    with pytest.raises(JsfError, match="4 of 4 scores are not finite in reduced precision"):
        cosine_error(graphs("fp32", 1.0), graphs("fp16", scale), samples)


@pytest.mark.parametrize("model", ["hse", "fse"])
def test_generated_inputs_are_as_the_graphs_take_them(model):
    levels = generated_levels(manifest(model), vocabulary=5, count=8)
    videos, texts = levels["video_encoder"], levels["text_encoder"]
    assert videos.whole.shape == (8, 6, 2) and texts.whole.shape == (8, 9)
    assert videos.lengths.min() == 1 and videos.lengths.max() == 6
    assert texts.lengths.min() >= 1 and texts.lengths.max() <= 9
    if model == "fse":
        assert len(videos.arrays) == len(texts.arrays) == 2
    else:
        assert videos.parts.shape == (8, 3, 6, 2) and texts.parts.shape == (8, 3, 4)
        assert [str(array.dtype) for array in texts.arrays] == ["int32"] * 4
        for side in (videos, texts):
            there = side.part_lengths > 0
            assert sorted(set(there.sum(1))) == [1, 2, 3]
            assert (there[:, :-1] >= there[:, 1:]).all()  # no gap
    for side in (videos, texts):
        for values, lengths in zip(side.arrays[::2], side.arrays[1::2], strict=True):
            within = np.arange(values.shape[lengths.ndim]) < lengths[..., None]
            filled = values.any(-1) if values.ndim > within.ndim else values > 0
            np.testing.assert_array_equal(filled, within)
    assert texts.whole.max() == 4 and texts.whole.min() == 0
    again = generated_levels(manifest(model), vocabulary=5, count=8)
    assert all((a == b).all() for a, b in zip(videos.arrays, again["video_encoder"].arrays, strict=True))
