"""The error of reduced graphs, on graphs made by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jsf.calibration.error import differences, score_error
from jsf.data.errors import JsfError


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
        "video_encoder": {"features": videos, "lengths": ones},
        "text_encoder": {"words": np.array([[1, 0], [0, 1]], np.int32), "lengths": ones},
    }


def test_the_error_of_embeddings_is_that_of_every_pair(graphs, samples):
    found = score_error(graphs("fp32", 1.0), graphs("fp16", 1.1), samples)
    cosines = np.array([1, 0, 0.6, 0.8])
    assert found["pairs"] == 4
    assert found["score_range"] == pytest.approx(1)
    assert found["score_error_max"] == pytest.approx(0.21, abs=1e-6)  # each side is scaled
    assert found["score_error_mean"] == pytest.approx(np.mean(cosines * 0.21), abs=1e-6)


def test_equal_graphs_have_no_error(graphs, samples):
    found = score_error(graphs("fp32", 0.7), graphs("fp16", 0.7), samples)
    assert found["score_error_max"] == found["score_error_mean"] == 0


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(graphs, samples, scale):
    with pytest.raises(JsfError, match="4 of 4 scores are not finite in reduced precision"):
        score_error(graphs("fp32", 1.0), graphs("fp16", scale), samples)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_score_that_is_not_finite_is_enough(value):
    scores = np.zeros((3, 2), np.float32)
    with pytest.raises(JsfError, match=r"1 of 6 scores are not finite .* range of FP16 \(65,504\)") as refusal:
        differences(scores, np.where(np.arange(6).reshape(3, 2) == 4, value, scores))
    assert "--precision fp32" in refusal.value.fix


def test_the_error_of_word_scores_counts_pairs():
    expected = np.array([[0, 1, 2], [3, 4, 8]], np.float32)
    found = differences(expected, expected + np.array([[0, 0, 0.5], [0, -1, 0]], np.float32))
    assert found == {"score_error_max": 1, "score_error_mean": 0.25, "score_range": 8, "pairs": 2}
