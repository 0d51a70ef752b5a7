import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import pytest
from rich.progress import Progress

from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.export.engine import build_engines, choose_backend
from jsf.export.layer_types import built_types, count_types, inspected_layers, logged_layers
from jsf.export.options import BuildOptions
from jsf.export.profiles import BUCKETS
from jsf.export.progress import cancelling
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.backends.sidecar import EngineSidecar, Machine, this_platform
from jsf.runtime.bundle import RUNNING, Bundle

SPEC = importlib.util.spec_from_file_location("reduced_graphs", Path(__file__).parents[1] / "reduced_graphs.py")
graphs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(graphs)

ORIN = Gpu("Orin", "8.7")


@pytest.fixture
def machine(monkeypatch):
    """Simulates a machine: its GPU, and the packages that are installed."""

    def simulate(gpu, *packages):
        monkeypatch.setattr("jsf.export.engine.find_gpu", lambda: gpu)
        monkeypatch.setattr("jsf.runtime.backends.driver.find_gpu", lambda: gpu)
        monkeypatch.setattr("jsf.export.engine.find_spec", lambda name: name in packages or None)
        for name in {"tensorrt", "tensorrt_rtx"} - set(packages):
            monkeypatch.setitem(sys.modules, name, None)

    return simulate


@pytest.mark.parametrize(
    ("gpu", "packages", "backend", "reason"),
    [
        (ORIN, ["tensorrt", "tensorrt_rtx"], "tensorrt", "TensorRT and a GPU (Orin) are here"),
        (ORIN, ["tensorrt_rtx"], "tensorrt-rtx", "TensorRT is not installed"),
        (None, ["tensorrt", "tensorrt_rtx"], "tensorrt-rtx", "there is no GPU for TensorRT to build on"),
        (None, [], "onnxruntime", "which --precision scores with on the CPU"),
        (ORIN, [], "onnxruntime", "pip install '.[tensorrt]'"),
    ],
)
def test_auto_takes_the_best_that_is_here_and_says_why(machine, gpu, packages, backend, reason):
    machine(gpu, *packages)
    choice = choose_backend()
    assert choice.backend == backend
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("gpu", "packages", "backend", "message", "fix"),
    [
        (None, ["tensorrt"], "tensorrt", "no usable NVIDIA GPU", "Run this command on the machine with the GPU"),
        (ORIN, [], "tensorrt", "'tensorrt'", "pip install '.[tensorrt]'"),
        (None, [], "tensorrt-rtx", "'tensorrt_rtx'", "pip install '.[tensorrt-rtx]'"),
        (None, [], "openvino", "backend 'openvino' is not known", ""),
    ],
)
def test_an_explicit_backend_that_is_not_here_is_an_error(machine, gpu, packages, backend, message, fix):
    machine(gpu, *packages)
    with pytest.raises(JsfError) as refusal:
        choose_backend(backend)
    assert message in refusal.value.message
    assert fix in refusal.value.fix


def test_onnxruntime_can_be_asked_for(machine):
    machine(None)
    assert choose_backend("onnxruntime").backend == "onnxruntime"


@pytest.fixture
def bundle(reduced_bundle, tmp_path, monkeypatch):
    """A copy of `reduced_bundle` to build in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(reduced_bundle, tmp_path / "bundle")
    return Bundle.open(tmp_path / "bundle")


def test_onnxruntime_needs_no_engines(bundle):
    assert build_engines(bundle, "fp16", "onnxruntime") == []
    assert not bundle.engines.exists()


def test_a_precision_that_cannot_be_built_is_refused(bundle):
    with pytest.raises(JsfError, match="precision 'fp64' cannot be built"):
        build_engines(bundle, "fp64", "onnxruntime")


@pytest.mark.parametrize(
    ("options", "backend", "message"),
    [
        (BuildOptions(hardware_compatible=True), "tensorrt-rtx", "with --hardware-compatible: its engines run on many"),
        (BuildOptions(version_compatible=True), "tensorrt-rtx", "and only with the version that built them"),
        (BuildOptions(True, True), "onnxruntime", "with --hardware-compatible and --version-compatible: it runs the"),
    ],
)
def test_options_that_a_backend_does_not_have_are_refused(bundle, options, backend, message):
    with pytest.raises(JsfError, match=message) as refusal:
        build_engines(bundle, "fp32", backend, options)
    assert "--backend tensorrt" in refusal.value.fix


FRAME_ENCODER = ["context.convolutions.0", "context.convolutions.1", "context.convolutions.2", "d1"]
WORD_ENCODER = ["context.lstm", "d1"]
MATCHER = ["jst.d2", "jst.d3", "jst.w", "jst.d4"]
MATCHER += [f"chd.stages.{n}.{part}" for n in range(3) for part in ("convolution", "gate.taps", "gate.sum")]
HEAD = ["head.d5", "head.d6", "head.d7", "head.d8"]


def wanted_types(precision):
    """Graph -> its layers with weights, each with the type that it must compute in."""
    kind = {"fp32": "float32", "fp16": "float16", "int8": "int8"}[precision]
    wide = "float32" if precision == "fp32" else "float16"
    return {
        "frame_encoder": dict.fromkeys(FRAME_ENCODER, kind),
        "word_encoder": dict.fromkeys(WORD_ENCODER, wide),
        "matcher.buckets": dict.fromkeys(MATCHER, kind) | dict.fromkeys(HEAD, wide),
    }


class TestTensorRTRTX:
    """Engines built for real: TensorRT-RTX needs no GPU for that."""

    @pytest.fixture(autouse=True)
    def rtx(self):
        return pytest.importorskip("tensorrt_rtx")

    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    def test_engines_of_all_graphs_in_the_precision_asked_for(self, rtx, bundle, precision):
        engines = build_engines(bundle, precision, "tensorrt-rtx")
        folder = bundle.engines / f"tensorrt-rtx-{rtx.__version__}-aot" / precision
        assert engines == [folder / f"{name}.engine" for name in RUNNING]
        for name, engine in zip(RUNNING, engines, strict=True):
            sidecar = EngineSidecar.read(engine.with_suffix(".json"))
            assert engine.stat().st_size > 100_000
            assert sidecar.engine_sha256 == sha256(engine)
            assert sidecar.graph_sha256 == bundle.manifest.hashes[precision][name]
            assert (sidecar.graph, sidecar.precision, sidecar.backend) == (name, precision, "tensorrt-rtx")
            assert sidecar.built == {"jsf": version("jsf"), "device": "none (ahead of time)"}
            assert sidecar.types == wanted_types(precision)[name]
            here = Machine(rtx.__version__, this_platform(), "8.9")
            assert sidecar.mismatch(here) is None
            assert "compute capability 8.0, 8.6, 8.9" in sidecar.mismatch(
                Machine(rtx.__version__, this_platform(), "7.5")
            )

    @pytest.mark.parametrize(("precision", "other"), [("fp32", "float16"), ("fp16", "float32")])
    def test_hardly_a_layer_touches_another_type(self, bundle, precision, other):
        for engine in build_engines(bundle, precision, "tensorrt-rtx"):
            layers = EngineSidecar.read(engine.with_suffix(".json")).layers
            # One layer of a half graph touches FP32: the one that reads `features`, or the one that writes `scores`.
            profiles = len(BUCKETS) if engine.stem == "matcher.buckets" else 1
            assert layers.get(other, 0) <= (profiles if precision == "fp16" else 0)
            assert layers["float32" if precision == "fp32" else "float16"] > 5
            assert "int8" not in layers

    @pytest.mark.parametrize(
        "variant", [("official", "multiple-choice"), ("paper", "fill-in-the-blank")], ids=", ".join
    )
    def test_matchers_of_other_tasks_have_the_types_asked_for(self, variant_bundle, tmp_path, variant):
        shutil.copytree(variant_bundle(*variant), tmp_path / "bundle")
        bundle = Bundle.open(tmp_path / "bundle")
        for precision in ("fp32", "fp16", "int8"):
            if precision != "fp32":
                graphs.add_graphs(bundle, precision)
            matcher = build_engines(bundle, precision, "tensorrt-rtx")[2]
            assert EngineSidecar.read(matcher.with_suffix(".json")).types == wanted_types(precision)["matcher.buckets"]

    def test_embeddings_have_the_types_asked_for(self, embedding_bundle, tmp_path):
        bundle = graphs.add_graphs(Bundle.open(shutil.copytree(embedding_bundle(True), tmp_path / "bundle")), "fp16")
        for precision, kind in (("fp32", "float32"), ("fp16", "float16")):
            for engine in build_engines(bundle, precision, "tensorrt-rtx"):
                types = EngineSidecar.read(engine.with_suffix(".json")).types
                assert types == dict.fromkeys(["low.gru", "low.gru@2", "high.gru"], kind)

    def test_what_the_builder_said_lies_beside_the_engine(self, bundle):
        engine = build_engines(bundle, "fp16", "tensorrt-rtx")[0]
        log = engine.with_suffix(".log").read_text()
        assert "INFO: Total Activation Memory" in log
        assert "VERBOSE" not in log
        assert log.index("Detected 2 inputs and 1 output") < log.index("Engine generation completed")

    def test_the_sidecar_tells_the_shapes(self, bundle):
        engine = build_engines(bundle, "fp16", "tensorrt-rtx")[2]
        sidecar = json.loads(engine.with_suffix(".json").read_text())
        shape = ["V", "frames", bundle.manifest.joint_width]
        assert sidecar["inputs"]["videos"] == {"dtype": "float16", "shape": shape}
        assert sidecar["inputs"]["video_index"] == {"dtype": "int32", "shape": ["P"]}
        lengths = {"P": [1, 64, 64], "S": [1, 64, 4096], "V": [1, 64, 4096]}
        assert sidecar["profiles"] == [{**lengths, "frames": [n] * 3, "words": [m] * 3} for n, m in BUCKETS]
        encoder = json.loads(engine.with_name("frame_encoder.json").read_text())
        assert encoder["profiles"] == [{"B": [1, 16, 256]}]

    def test_fp32_graphs_under_the_name_of_fp16_are_caught(self, bundle):
        shutil.rmtree(bundle.root / "fp16")
        shutil.copytree(bundle.root / "fp32", bundle.root / "fp16")
        bundle.manifest.hashes["fp16"] = bundle.manifest.hashes["fp32"]
        with pytest.raises(
            JsfError,
            match=r"fp16 engine of 'frame_encoder' was not built in float16: its layers by type are \{'float32'",
        ):
            build_engines(bundle, "fp16", "tensorrt-rtx")
        assert not bundle.engines.exists()

    def test_fp16_graphs_under_the_name_of_int8_are_caught(self, bundle):
        shutil.rmtree(bundle.root / "int8")
        shutil.copytree(bundle.root / "fp16", bundle.root / "int8")
        bundle.manifest.hashes["int8"] = bundle.manifest.hashes["fp16"]
        with pytest.raises(JsfError, match="the int8 graphs quantize no layer"):
            build_engines(bundle, "int8", "tensorrt-rtx")
        assert not bundle.engines.exists()

    def test_a_graph_that_cannot_be_parsed_is_refused_and_leaves_the_log(self, bundle, tmp_path):
        path = bundle.root / "fp32" / "word_encoder.onnx"
        path.write_bytes(b"not a graph")
        bundle.manifest.hashes["fp32"]["word_encoder"] = sha256(path)
        with pytest.raises(JsfError, match="cannot parse") as refusal:
            build_engines(bundle, "fp32", "tensorrt-rtx")
        log = next((tmp_path / "cache" / "jsf" / "build-logs").glob("tensorrt-rtx-*-aot-fp32-word_encoder.log"))
        assert f"All that TensorRT said is in {log}." in refusal.value.message
        assert "ERROR: " in log.read_text()
        assert not bundle.engines.exists()

    def test_the_builders_phases_show_on_standard_error(self, bundle, capfd, monkeypatch):
        shown = []
        add_task = Progress.add_task
        monkeypatch.setattr(
            Progress, "add_task", lambda *args, **kwargs: (shown.append(args[1]), add_task(*args, **kwargs))[1]
        )
        build_engines(bundle, "fp32", "tensorrt-rtx")
        assert shown[0] == "tensorrt-rtx fp32"
        assert shown.count("  Building engine") == 3
        assert capfd.readouterr().out == ""

    def test_it_builds_where_torch_cannot_be_imported(self, bundle):
        code = (
            "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
            "from pathlib import Path\n"
            "from jsf.export.engine import build_engines\n"
            "from jsf.runtime.bundle import Bundle\n"
            "print(len(build_engines(Bundle.open(Path(sys.argv[1])), 'fp32', 'tensorrt-rtx')))"
        )
        run = subprocess.run([sys.executable, "-c", code, bundle.root], capture_output=True, text=True, check=True)
        assert run.stdout == "3\n"


RTX_GEMM = (
    "Name: d1+d2_myl0_2, LayerType: gemm, Inputs: [ { Name: x, Dimensions: [-1,2], Datatype: Int8, Format: NHWC }], "
    "Constants: [ { Name: w, Dimensions: [1], Datatype: Int8 }, { Name: alpha, Datatype: Float, Format: Row major }], "
    "Outputs: [ { Name: y, Dimensions: [-1,2], Datatype: Half, Format: NHWC }], TacticName: t, StreamId: 0, "
    "Metadata: [ONNX Layer: d1][ONNX Layer: d2]"
)
RTX_AROUND = (
    "Name: __myl_MulAdd_myl0_3, LayerType: kgen, Inputs: [ { Name: y, Datatype: Half }], Constants: [], "
    "Outputs: [ { Name: z, Datatype: Float }], TacticName: , Metadata: [ONNX Layer: d1][ONNX Layer: d1/Tanh]"
)
RTX_SIGNAL = "Name: Half, LayerType: signal, Inputs: [], Constants: [], Outputs: [], TacticName: , Metadata: "
CONVOLUTION = {
    "Name": "d1 + d2",
    "LayerType": "CaskConvolution",
    "Inputs": [{"Name": "x", "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
    "Outputs": [{"Name": "y", "Format/Datatype": "Row major linear FP16 format"}],
    "Weights": {"Type": "Int8", "Count": 9},
    "Metadata": "[ONNX Layer: d1]\x1e[ONNX Layer: d2]",
}


@pytest.mark.parametrize(
    ("layers", "counts"),
    [
        (logged_layers([RTX_GEMM, RTX_AROUND, RTX_SIGNAL])[0], {"int8": 1, "float16": 2, "float32": 1}),
        (inspected_layers([CONVOLUTION, "a name alone"]), {"int8": 1, "float16": 1}),
    ],
)
def test_types_are_read_from_either_form_of_a_layer(layers, counts):
    assert count_types(layers) == counts
    assert built_types(layers, ["d1", "d2", "gone"]) == {"d1": "int8", "d2": "int8"}


def test_a_layer_computes_in_what_its_product_reads():
    assert built_types(logged_layers([RTX_AROUND])[0], ["d1"]) == {"d1": "float16"}
    half = RTX_GEMM.replace("Datatype: Int8, Format: NHWC", "Datatype: Half, Format: NHWC")
    quantizes = RTX_AROUND.replace("Datatype: Half", "Datatype: Int8")
    assert built_types(logged_layers([quantizes, half])[0], ["d1"]) == {"d1": "float16"}


def test_a_recurrent_layer_computes_in_what_the_nameless_products_read():
    nameless = RTX_GEMM.replace("[ONNX Layer: d1][ONNX Layer: d2]", "")
    half = nameless.replace("Datatype: Int8, Format: NHWC", "Datatype: Half, Format: NHWC")
    around = RTX_AROUND.replace("ONNX Layer: d1]", "ONNX Layer: gru]")
    assert built_types(logged_layers([nameless, around])[0], ["gru"]) == {"gru": "int8"}
    assert built_types(logged_layers([nameless, half, around])[0], ["gru"]) == {"gru": "float16"}
    assert built_types(logged_layers([nameless, half])[0], ["gru"]) == {}


class TestCtrlC:
    class Watch:
        interrupted = False

    def test_it_is_raised_when_the_build_has_ended_and_not_within_it(self):
        watch, ended = self.Watch(), False
        with pytest.raises(KeyboardInterrupt), cancelling(watch):
            signal.raise_signal(signal.SIGINT)
            ended = watch.interrupted
        assert ended

    def test_afterwards_it_is_as_before(self):
        before = signal.getsignal(signal.SIGINT)
        with cancelling(self.Watch()):
            assert signal.getsignal(signal.SIGINT) is not before
        assert signal.getsignal(signal.SIGINT) is before

    def test_elsewhere_than_in_the_main_thread_it_is_left_alone(self):
        def build():
            with cancelling(self.Watch()):
                seen.append(signal.getsignal(signal.SIGINT))

        seen, thread = [], Thread(target=lambda: build())
        thread.start()
        thread.join()
        assert seen == [signal.getsignal(signal.SIGINT)]
