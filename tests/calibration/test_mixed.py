"""INT8 and FP16 in one graph: quantized as TensorRT takes it, the rest converted, simulated, and built."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

from jsf.calibration.fp16 import to_fp16
from jsf.calibration.simulate import simulate_fp16
from jsf.runtime.backends.log import keeping_log
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph

LAYERS = ("a", "b", "c")


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).standard_normal((64, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def fp32(tmp_path_factory):
    """features -> tanh(. @ a) -> tanh(. @ b) -> tanh(. @ c)."""
    random = np.random.default_rng(0)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 8]) for name in ("features", "scores")]
    values = ["features", "a/out", "b/out", "scores"]
    nodes, weights = [], []
    for name, source, target in zip(LAYERS, values, values[1:], strict=False):
        weights.append(numpy_helper.from_array((random.standard_normal((8, 8)) / 2).astype(np.float32), name))
        nodes.append(helper.make_node("MatMul", [source, name], [f"{name}/product"], name=f"layer.{name}"))
        nodes.append(helper.make_node("Tanh", [f"{name}/product"], [target], name=f"layer.{name}/Tanh"))
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], weights)
    path = tmp_path_factory.mktemp("mixed") / "fp32.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def int8(fp32, x):
    """The layers a and b in INT8, the rest FP32."""

    class Reader(quantization.CalibrationDataReader):
        batches = iter([{"features": x}])

        def get_next(self):
            return next(self.batches, None)

    path = fp32.with_name("int8.onnx")
    quantization.quantize_static(
        fp32,
        path,
        Reader(),
        per_channel=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=["layer.a", "layer.b"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "AddQDQPairToWeight": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["MatMul"],
        },
    )
    return path


@pytest.fixture(params=[(), ("layer.b",)], ids=["rest in FP16", "layer b in FP32"])
def mixed(request, int8, tmp_path):
    to_fp16(int8, tmp_path / "mixed.onnx", request.param)
    return tmp_path / "mixed.onnx", request.param


def types_of(path):
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    return kinds | {weight.name: weight.data_type for weight in model.graph.initializer}


def test_scales_and_arithmetic_are_fp16_but_where_kept(mixed):
    path, kept = mixed
    types, nodes = types_of(path), onnx.load(path).graph.node
    of = {node.name: node for node in nodes}
    for name in LAYERS:
        wanted = TensorProto.FLOAT if f"layer.{name}" in kept else TensorProto.FLOAT16
        layer = of[f"layer.{name}"]
        assert {types[value] for value in (*layer.input, *layer.output)} == {wanted}
        makers = [node for node in nodes if {*node.output} & {*layer.input}]
        quantized = [node for node in makers if node.op_type == "DequantizeLinear"]
        assert len(quantized) == (0 if name == "c" else 2)
        assert {types[node.input[0]] for node in quantized} <= {TensorProto.INT8}
        assert {types[node.input[1]] for node in quantized} <= {wanted}


def test_it_is_simulated_in_fp32(mixed, tmp_path, fp32, int8, x):
    simulate_fp16(mixed[0], tmp_path / "simulated.onnx")
    model = onnx.load(tmp_path / "simulated.onnx")
    onnx.checker.check_model(model, full_check=True)
    types = types_of(tmp_path / "simulated.onnx")
    quantizers = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(quantizers) == 8
    assert {types[node.input[1]] for node in quantizers} == {TensorProto.FLOAT}
    scales = [numpy_helper.to_array(w) for w in model.graph.initializer if w.name.endswith("_scale")]
    assert sum((scale == scale.astype(np.float16)).all() for scale in scales) >= 2
    whole, quantized, found = (
        OnnxRuntimeGraph(path).run({"features": x})["scores"] for path in (fp32, int8, tmp_path / "simulated.onnx")
    )
    step = np.abs(quantized - whole).max()
    assert 0 < np.abs(found - whole).max() < 1.5 * step < 0.1
    assert np.array_equal(found, found.astype(np.float16))


def test_tensorrt_builds_int8_layers_of_it(mixed):
    rtx = pytest.importorskip("tensorrt_rtx")
    log = keeping_log(rtx)
    builder = rtx.Builder(log)
    network = builder.create_network(1 << int(rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert rtx.OnnxParser(network, log).parse_from_file(str(mixed[0])), log.errors
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    config.profiling_verbosity = rtx.ProfilingVerbosity.DETAILED
    profile.set_shape("features", (1, 8), (4, 8), (8, 8))
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config), log.errors
    products = {layer for layer in log.layers if "LayerType: gemm" in layer and "Datatype: Int8" in layer}
    assert {name for name in LAYERS if any(f"Name: layer.{name}_" in layer for layer in products)} == {
        "a",
        "b",
    }
    assert any("Datatype: Half" in layer for layer in log.layers)
