"""An extractor's CNN in FP16 and INT8: made, refused, used, named."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.data.identity import full_precision
from jsf.data.sequence import FeatureSequence, load_sequence
from jsf.export.engine import build_engines
from jsf.extraction import Extractor
from jsf.extraction.folder import ExtractorFolder
from jsf.extraction.spec import ExtractorSpec
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.backends.sidecar import EngineSidecar
from jsf.runtime.features import model_features

SPEC = importlib.util.spec_from_file_location(
    "tensorrt_standin", Path(__file__).parents[1] / "runtime" / "tensorrt_standin.py"
)
standin = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(standin)

SIZE, WIDTH = 16, 24


def write_cnn(path, scale=1.0):
    """A convolution, a depthwise one and a pointwise one, each with another cut; some nodes have no name."""
    random = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (WIDTH, 8, 1, 1)}
    values = {name: random.standard_normal(shape) / np.sqrt(np.prod(shape[1:])) for name, shape in shapes.items()}
    values["w1"] *= scale
    values |= {"b1": np.full(8, 0.1), "b2": np.full(8, 0.3), "low": np.array(0.0), "high": np.array(6.0)}
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["images", "w1", "b1"], ["a"], name="stem", strides=[2, 2], pads=[1, 1, 1, 1]),
        make("Clip", ["a", "low", "high"], ["a6"]),
        make("Conv", ["a6", "w2", "b2"], ["d"], name="depthwise", group=8, pads=[1, 1, 1, 1]),
        make("Relu", ["d"], ["d0"], name="cut"),
        make("Conv", ["d0", "w3"], ["p"]),
        make("Relu", ["p"], ["p0"]),
        make("GlobalAveragePool", ["p0"], ["pooled"], name="pool"),
        make("Flatten", ["pooled"], ["features"], name="flat"),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "cnn",
        [onnx.helper.make_tensor_value_info("images", 1, ["B", 3, SIZE, SIZE])],
        [onnx.helper.make_tensor_value_info("features", 1, ["B", WIDTH])],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)


def write_extractor(folder, scale=1.0):
    folder.mkdir()
    write_cnn(folder / "visual.onnx", scale)
    channels = (127.0, 127.0, 127.0)
    sha = sha256(folder / "visual.onnx")
    ExtractorSpec("tiny", 1, "images", "features", SIZE, WIDTH, channels, channels, sha).save(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_extractor(tmp_path / "tiny")


@pytest.fixture
def clips(write_video, tmp_path):
    """Four clips of coloured noise."""
    random = np.random.default_rng(1)
    for i in range(4):
        colours = random.integers(0, 256, (5, 6, 8, 3), np.uint8)
        images = [np.kron(colour, np.ones((8, 8, 1), np.uint8)) for colour in colours]
        write_video(f"clips/{i}.mkv", range(0, 1000, 200), images=images)
    return tmp_path / "clips"


@pytest.fixture
def reduce(cli, clips, folder):
    """Runs `jsf build-engine --extractor` without engines."""

    def run(*options):
        return cli("build-engine", "--extractor", folder, "--videos", clips, "--backend", "onnxruntime", *options)

    return run


@pytest.fixture
def reduced(reduce, folder):
    """The folder, with all precisions."""
    for flag in ("--fp16", "--int8"):
        shown = reduce(flag)
        assert shown.status == 0, shown.err
    return folder


def test_it_writes_the_graphs_and_says_what_they_cost(reduced, folder):
    spec = ExtractorSpec.load(folder)
    assert set(spec.reduced) == set(spec.losses) == {"fp16", "int8", "int8-cpu"}
    for variant, sha in spec.reduced.items():
        assert sha256(folder / variant / "visual.onnx") == sha
        loss = spec.losses[variant]
        assert (loss["frames"], loss["videos"]) == (10, 2)
        assert 0.99 < loss["cosine_least"] <= loss["cosine_mean"] <= 1
        assert 0 < loss["error"] < 0.1
    assert spec.losses["int8"]["calibration"] == "minmax, 10 frames of 2 videos"


def test_each_variant_computes_in_its_types(reduced, folder):
    kinds = {
        variant: [node.op_type for node in onnx.load(folder / variant / "visual.onnx").graph.node]
        for variant in ("fp16", "int8", "int8-cpu")
    }
    assert "QuantizeLinear" not in kinds["fp16"]
    for variant in ("int8", "int8-cpu"):
        assert kinds[variant].count("Conv") == 3
        assert kinds[variant].count("QuantizeLinear") >= 3
    cuts = ("Clip", "Relu")  # the ends of a range without negative numbers cut as they do
    assert [sum(kind in cuts for kind in kinds[variant]) for variant in ("fp16", "int8", "int8-cpu")] == [3, 3, 0]
    model = onnx.load(folder / "fp16" / "visual.onnx")
    assert {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)} == {1}
    assert {weight.data_type for weight in model.graph.initializer} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("flag", ["--fp16", "--int8"])
def test_the_gate_refuses_with_a_table_and_leaves_the_folder_as_it_was(reduce, folder, flag):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shown = reduce(flag, "--min-cosine", "1")
    assert shown.status == 1
    assert "mean cosine" in shown.out
    assert "worse than allowed: the mean cosine with FP32 features is " in shown.err
    assert "Nothing was published." in shown.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_gate_names_layers_and_they_can_be_kept(reduce, folder):
    refused = reduce("--int8", "--min-cosine", "1")
    assert "--keep-fp16 " in refused.err
    assert reduce("--int8", "--keep-fp16", "stem", "--keep-fp16", "depthwise").status == 0
    spec = ExtractorSpec.load(folder)
    assert spec.losses["int8"]["layers_fp16"] == ["stem", "depthwise"]
    shown = reduce("--int8", "--keep-fp16", "stam")
    assert "--keep-fp16 stam: the model has no layer of this name" in shown.err
    assert "It has: stem, depthwise, Conv.4" in shown.err


def test_auto_keeps_layers_until_the_gate_passes(reduce, folder):
    reduce("--int8")
    wanted = ExtractorSpec.load(folder).losses["int8"]["cosine_mean"]
    shown = reduce("--int8", "--auto", "--min-cosine", f"{wanted + (1 - wanted) / 100:.9f}")
    assert shown.status == 0, shown.err
    assert "stays in higher precision: the mean cosine" in shown.err
    spec = ExtractorSpec.load(folder)
    assert spec.losses["int8"]["layers_fp16"]
    assert spec.losses["int8"]["cosine_mean"] > wanted


def test_json_tells_the_same(reduce):
    shown = reduce("--int8", "--json")
    assert set(json.loads(shown.out)["losses"]) == {"int8", "int8-cpu"}
    refused = reduce("--int8", "--json", "--min-cosine", "1")
    assert refused.status == 1
    assert json.loads(refused.out)["published"] is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--int8"], "--int8 needs videos"),
        (["--fp16"], "--fp16 needs videos"),
        (["--videos", "clips"], "--videos measure --fp16 or --int8"),
        (["--fp16", "--auto", "--videos", "clips"], "choices of --int8"),
        (["--fp16", "--videos", "clips/0.mkv"], "two are needed"),
        (["--int8", "--videos", "clips", "--method", "guess"], "method 'guess' is not known"),
        (["--int8", "--videos", "clips", "--min-cosine", "nan"], "--min-cosine is nan"),
        (["--int8", "--videos", "clips", "--bundle", "b"], "no bundle"),
    ],
)
def test_what_does_not_go_together_is_refused(cli, clips, folder, options, message):
    shown = cli("build-engine", "--extractor", folder, "--backend", "onnxruntime", *options)
    assert shown.status != 0
    assert message in " ".join(shown.err.replace("│", " ").split())


def test_videos_without_an_extractor_are_refused(cli):
    shown = cli("build-engine", "--fp16", "--videos", "clips")
    assert shown.status != 0
    assert "--extractor" in shown.err


def test_a_video_that_cannot_be_read_is_left_out(cli, clips, folder):
    (clips / "broken.mkv").write_bytes(b"not a video")
    shown = cli("build-engine", "--extractor", folder, "--fp16", "--videos", clips, "--backend", "onnxruntime")
    assert shown.status == 0
    assert "left out:" in shown.err


def test_a_value_that_fp16_does_not_hold_stays_fp32(cli, clips, tmp_path):
    wide = write_extractor(tmp_path / "wide", scale=3e5)
    model = onnx.load(wide / "visual.onnx")
    next(value for value in model.graph.initializer if value.name == "high").CopyFrom(
        onnx.numpy_helper.from_array(np.array(1e6, np.float32), "high")
    )
    onnx.save(model, wide / "visual.onnx")
    spec = json.loads((wide / "extractor.json").read_text())
    (wide / "extractor.json").write_text(json.dumps({**spec, "sha256": sha256(wide / "visual.onnx")}))
    shown = cli("build-engine", "--extractor", wide, "--fp16", "--videos", clips, "--backend", "onnxruntime")
    assert shown.status == 0, shown.err
    assert "stem" in ExtractorSpec.load(wide).losses["fp16"]["fp32_nodes"]


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_extraction_in_a_precision_gives_nearly_the_features_of_fp32(cli, reduced, clips, precision, device):
    if device == "openvino":
        pytest.importorskip("openvino")
    arguments = "extract", clips / "0.mkv", "--extractor", reduced, "--device", device
    assert cli(*arguments, "-o", "fp32.npz").status == 0
    shown = cli(*arguments, "-o", "other.npz", "--precision", precision)
    assert shown.status == 0, shown.err
    assert f"on cpu, {precision}" in shown.err or f"(products in fp32), {precision}" in shown.err
    exact, found = (load_sequence(clips.parent / f"{name}.npz") for name in ("fp32", "other"))
    assert found.extractor == ExtractorSpec.load(reduced).identity_in(precision) != exact.extractor
    assert full_precision(found.extractor) == exact.extractor
    assert not np.array_equal(exact.features, found.features)
    assert np.abs(exact.features - found.features).max() < 0.1 * np.abs(exact.features).max()


def test_a_store_holds_one_precision(cli, reduced, clips):
    arguments = "extract", clips / "0.mkv", "--extractor", reduced, "-o", "features.h5"
    assert cli(*arguments).status == 0
    shown = cli(*arguments[:1], clips / "1.mkv", *arguments[2:], "--precision", "int8")
    assert shown.status == 1
    assert "holds features of 'tiny 1 " in shown.err


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_that_is_not_there_names_the_command(cli, folder, clips, precision):
    shown = cli("extract", clips, "--extractor", folder, "-o", "out", "--precision", precision)
    assert shown.status == 1
    assert f"jsf build-engine --{precision} --videos VIDEOS --extractor {folder}" in shown.err


def test_a_precision_that_does_not_exist_is_refused(folder):
    with pytest.raises(JsfError, match="precision 'fp8' is not known"):
        Extractor.open(folder, "cpu", "fp8")


@pytest.mark.parametrize(("precision", "variant"), [("fp16", "fp16"), ("int8", "int8-cpu")])
def test_a_changed_or_missing_graph_is_refused(reduced, precision, variant):
    path = reduced / variant / "visual.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(JsfError, match="was changed"):
        Extractor.open(reduced, "cpu", precision)
    path.unlink()
    with pytest.raises(JsfError, match="is missing") as refusal:
        Extractor.open(reduced, "cpu", precision)
    assert f"jsf build-engine --{precision}" in refusal.value.fix
    Extractor.open(reduced)  # the others are as they were


@pytest.mark.parametrize(
    "change",
    [
        {"reduced": {"fp8": "0"}},
        {"reduced": {"fp16": 1}},
        {"reduced": {"int8-cpu": "0"}},
        {"reduced": 1},
        {"losses": {"fp32": {}}},
    ],
)
def test_a_description_of_other_variants_is_refused(folder, change):
    spec = json.loads((folder / "extractor.json").read_text())
    (folder / "extractor.json").write_text(json.dumps(spec | change))
    with pytest.raises(JsfError, match="is not an extractor's description"):
        Extractor.open(folder)


def test_a_folder_of_an_earlier_version_has_fp32_alone(folder):
    spec = json.loads((folder / "extractor.json").read_text())
    del spec["reduced"], spec["losses"]
    (folder / "extractor.json").write_text(json.dumps(spec))
    assert ExtractorFolder.open(folder).hashes == {"fp32": {"visual": spec["sha256"]}}


def test_another_extractor_written_meanwhile_is_not_given_foreign_graphs(folder):
    opened = ExtractorFolder.open(folder)
    spec = json.loads((folder / "extractor.json").read_text())
    (folder / "extractor.json").write_text(json.dumps({**spec, "version": 2}))
    with pytest.raises(JsfError, match="was written again meanwhile"):
        opened.publish({"fp16": {"visual": "0" * 64}}, {})


def test_a_model_takes_features_of_its_extractor_in_any_precision(reduced):
    spec = ExtractorSpec.load(reduced)
    features = np.ones((2, 3), np.float32)
    for theirs in ("fp32", "int8"):
        for ours in ("fp32", "fp16"):
            video = FeatureSequence(features, 5.0, spec.identity_in(theirs))
            assert model_features(video, spec.identity_in(ours), 3) is features
    with pytest.raises(JsfError, match="was extracted by"):
        model_features(FeatureSequence(features, 5.0, f"other {spec.identity_in('int8')}"), spec.identity, 3)


class TestScoring:
    """Video files scored with a bundle whose model takes this extractor's features."""

    @pytest.fixture
    def bundle(self, golden_weights, folder, tmp_path):
        from jsf.data.vocabulary import Vocabulary
        from jsf.export.bundle import export_bundle
        from jsf.models.checkpoint import Checkpoint
        from jsf.models.hse.config import HSEConfig
        from jsf.models.hse.hse import HSE

        config = HSEConfig("tiny", WIDTH + 128, 3, False, 6, 4, 9, 3, 2, word_width=5, hidden=8)
        identity = ExtractorSpec.load(folder).identity
        checkpoint = Checkpoint(golden_weights(HSE(config)), Vocabulary(("red", "blue")), identity)
        return lambda: export_bundle(checkpoint, tmp_path / "bundle", folder).root

    def test_the_cnn_runs_in_the_precision_where_it_can_and_says_so(self, cli, bundle, reduced, clips):
        root = bundle()
        arguments = "score", clips / "0.mkv", "red", "--bundle", root
        assert cli("build-engine", "--fp16", "--bundle", root, "--backend", "onnxruntime").status == 0
        shown = cli(*arguments, "--precision", "fp16")
        assert shown.status == 0, shown.err
        assert "extracting with onnxruntime" in shown.err
        assert " on cpu, fp16\n" in shown.err
        assert "extracting with" not in cli(*arguments, "--precision", "fp16").err  # the features are kept
        assert " on cpu, fp32\n" in cli(*arguments).err

    def test_where_it_cannot_it_runs_in_fp32_and_says_why(self, cli, bundle, clips):
        root = bundle()
        assert cli("build-engine", "--fp16", "--bundle", root, "--backend", "onnxruntime").status == 0
        shown = cli("score", clips / "0.mkv", "red", "--bundle", root, "--precision", "fp16")
        assert shown.status == 0, shown.err
        assert "fp32: the bundle's extractor has no fp16" in shown.err


class TestEngines:
    """Built for real, ahead of time; and built and run on a simulated GPU."""

    def test_tensorrt_rtx_builds_each_precision_in_its_type(self, reduced, tmp_path, monkeypatch):
        rtx = pytest.importorskip("tensorrt_rtx")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        folder = ExtractorFolder.open(reduced)
        for precision, kind in (("fp32", "float32"), ("fp16", "float16"), ("int8", "int8")):
            (engine,) = build_engines(folder, precision, "tensorrt-rtx")
            assert engine == reduced / "engines" / f"tensorrt-rtx-{rtx.__version__}-aot" / precision / "visual.engine"
            sidecar = EngineSidecar.read(engine.with_suffix(".json"))
            assert sidecar.profiles == [{"B": [1, 16, 16]}]
            assert sidecar.graph_sha256 == folder.hashes[precision]["visual"]
            assert set(sidecar.types.values()) == {kind}
            assert f"--extractor {reduced}" in sidecar.rebuild(engine)

    @pytest.fixture
    def gpu(self, monkeypatch, tmp_path):
        """A simulated machine with a GPU and TensorRT."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        device, gpu = standin.HostDevice(), Gpu("a simulated Orin", "8.7")
        for place in ("jsf.runtime.backends.driver", "jsf.runtime.graphs"):
            monkeypatch.setattr(f"{place}.find_gpu", lambda: gpu)
        monkeypatch.setattr("jsf.runtime.backends.tensorrt.open_device", lambda: device)
        monkeypatch.setitem(sys.modules, "tensorrt", standin.make_tensorrt("10.3", device))

    @pytest.mark.parametrize("device", ["auto", "cuda"])
    def test_extraction_takes_the_engine_of_the_precision(self, reduced, gpu, clips, device):
        build_engines(ExtractorFolder.open(reduced), "fp16", "tensorrt")
        extractor = Extractor.open(reduced, device, "fp16")
        assert extractor.description == "tensorrt 10.3.0 on a simulated Orin, fp16"
        assert extractor.graph.limits == {"B": 16}
        exact, found = Extractor.open(reduced).extract(clips / "0.mkv"), extractor.extract(clips / "0.mkv")
        assert np.abs(exact.features - found.features).max() < 0.01 * np.abs(exact.features).max()
        assert " on cpu, fp16" in Extractor.open(reduced, "cpu", "fp16").description
        assert " on cpu, fp32" in Extractor.open(reduced, "auto").description  # there is no engine in FP32

    def test_a_copied_folder_keeps_its_engines(self, reduced, gpu, tmp_path):
        build_engines(ExtractorFolder.open(reduced), "int8", "tensorrt")
        copy = shutil.copytree(reduced, tmp_path / "copy")
        assert "simulated" in Extractor.open(copy, "cuda", "int8").description

    def test_an_engine_of_another_graph_is_refused_with_the_command(self, reduced, gpu, reduce):
        build_engines(ExtractorFolder.open(reduced), "int8", "tensorrt")
        assert reduce("--int8", "--keep-fp16", "stem").status == 0
        with pytest.raises(JsfError, match="was built from another graph") as refusal:
            Extractor.open(reduced, "cuda", "int8")
        assert f"jsf build-engine --int8 --backend tensorrt --extractor {reduced}" in refusal.value.fix


def test_reducing_needs_no_pytorch(reduce, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert reduce("--int8").status == 0
