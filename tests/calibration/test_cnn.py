import numpy as np
import onnx

from jsf.calibration.cnn import calibrated
from jsf.calibration.features import Frames


def test_a_node_without_a_name_gets_one_that_no_other_has(tmp_path):
    weights = np.ones((3, 3, 1, 1), np.float32)
    make, nodes = onnx.helper.make_node, []
    for source, target, name in (("x", "a", "Conv.1"), ("a", "b", ""), ("b", "c", ""), ("c", "d", "Conv.3")):
        nodes.append(make("Conv", [source, "w"], [target], name=name))
    graph = onnx.helper.make_graph(
        [*nodes, make("GlobalAveragePool", ["d"], ["p"]), make("Flatten", ["p"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, ["B", 3, 4, 4])],
        [onnx.helper.make_tensor_value_info("y", 1, ["B", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = onnx.helper.make_opsetid("", 20)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "visual.onnx")
    (tmp_path / "named").mkdir()
    seen = Frames(2, 1, 1, lambda: [{"x": np.ones((2, 3, 4, 4), np.float32)}])
    cnn = calibrated(tmp_path / "visual.onnx", tmp_path / "named", "int8", seen, "minmax")
    assert len(cnn.inputs) == 4
    assert [high for _, high in cnn.inputs.values()] == [1, 3, 9, 27]
