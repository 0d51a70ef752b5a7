import json
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest
from rich.progress import Progress

from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.export.engine import build_engines, choose_backend
from jsf.export.plan import count_types
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.backends.sidecar import EngineSidecar, Machine, this_platform
from jsf.runtime.bundle import STATIC_GRAPHS, Bundle

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
        (None, [], "onnxruntime", "Scoring on this machine stays FP32"),
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
def bundle(tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    return Bundle.open(tmp_path / "bundle")


def test_onnxruntime_gets_the_graphs_alone(bundle):
    assert build_engines(bundle, "fp16", "onnxruntime") == []
    assert Bundle.open(bundle.root).graph("fp16", "matcher.buckets").is_file()
    assert not bundle.engines.exists()


def test_a_precision_that_cannot_be_built_is_refused(bundle):
    with pytest.raises(JsfError, match="precision 'fp64' cannot be built"):
        build_engines(bundle, "fp64", "onnxruntime")


class TestTensorRTRTX:
    """Engines built for real: TensorRT-RTX needs no GPU for that."""

    @pytest.fixture(autouse=True)
    def rtx(self):
        return pytest.importorskip("tensorrt_rtx")

    @pytest.mark.parametrize(
        ("precision", "wanted", "other"), [("fp32", "float32", "float16"), ("fp16", "float16", "float32")]
    )
    def test_engines_of_all_graphs_in_the_precision_asked_for(self, rtx, bundle, precision, wanted, other):
        engines = build_engines(bundle, precision, "tensorrt-rtx")
        folder = bundle.engines / f"tensorrt-rtx-{rtx.__version__}-aot" / precision
        assert engines == [folder / f"{name}.engine" for name in STATIC_GRAPHS]
        for name, engine in zip(STATIC_GRAPHS, engines, strict=True):
            sidecar = EngineSidecar.read(engine.with_suffix(".json"))
            assert engine.stat().st_size > 100_000
            assert sidecar.engine_sha256 == sha256(engine)
            assert sidecar.graph_sha256 == bundle.manifest.hashes[precision][name]
            assert (sidecar.graph, sidecar.precision, sidecar.backend) == (name, precision, "tensorrt-rtx")
            assert sidecar.built == {"jsf": version("jsf"), "device": "none (ahead of time)"}
            # One layer of a half graph touches FP32: the one that reads `features`, or the one that writes `scores`.
            assert sidecar.layers[wanted] > 5
            assert sidecar.layers.get(other, 0) <= (1 if precision == "fp16" else 0)
            here = Machine(rtx.__version__, this_platform(), "8.9")
            assert sidecar.mismatch(here) is None
            assert "compute capability 8.0, 8.6, 8.9" in sidecar.mismatch(
                Machine(rtx.__version__, this_platform(), "7.5")
            )

    def test_the_sidecar_tells_the_shapes(self, bundle):
        engine = build_engines(bundle, "fp16", "tensorrt-rtx")[2]
        sidecar = json.loads(engine.with_suffix(".json").read_text())
        assert sidecar["inputs"]["videos"] == {"dtype": "float16", "shape": ["V", 40, bundle.manifest.joint_width]}
        assert sidecar["inputs"]["video_index"] == {"dtype": "int32", "shape": ["P"]}
        assert sidecar["profile"] == {"P": [1, 64, 64], "S": [1, 64, 4096], "V": [1, 64, 4096]}

    def test_fp32_graphs_under_the_name_of_fp16_are_caught(self, bundle):
        shutil.copytree(bundle.root / "fp32", bundle.root / "fp16")
        bundle.manifest.hashes["fp16"] = bundle.manifest.hashes["fp32"]
        with pytest.raises(
            JsfError,
            match=r"fp16 engine of 'frame_encoder' was not built in float16: its layers by type are \{'float32'",
        ):
            build_engines(bundle, "fp16", "tensorrt-rtx")
        assert not bundle.engines.exists()

    def test_a_graph_that_cannot_be_parsed_is_refused(self, bundle):
        path = bundle.root / "fp32" / "frame_encoder.onnx"
        path.write_bytes(b"not a graph")
        bundle.manifest.hashes["fp32"]["frame_encoder"] = sha256(path)
        with pytest.raises(JsfError, match="cannot parse"):
            build_engines(bundle, "fp32", "tensorrt-rtx")

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
            "import sys; sys.modules['torch'] = None\n"
            "from pathlib import Path\n"
            "from jsf.export.engine import build_engines\n"
            "from jsf.runtime.bundle import Bundle\n"
            "print(len(build_engines(Bundle.open(Path(sys.argv[1])), 'fp16', 'tensorrt-rtx')))"
        )
        run = subprocess.run([sys.executable, "-c", code, bundle.root], capture_output=True, text=True, check=True)
        assert run.stdout == "3\n"


@pytest.mark.parametrize(
    ("layer", "types"),
    [
        (
            "Name: conv, LayerType: gemm, Inputs: [ { Name: x, Dimensions: [1,2], Datatype: Half, Format: NHWC }], "
            "Constants: [ { Name: alpha, Dimensions: [1], Datatype: Float, Format: Row major }], "
            "Outputs: [ { Name: y, Dimensions: [1,2], Datatype: Half, Format: NHWC }], TacticName: t",
            {"float16": 1},
        ),
        (
            '{"Name": "conv", "LayerType": "CaskConvolution", "Inputs": [{"Name": "x", "Dimensions": [1, 3], '
            '"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}], '
            '"Outputs": [{"Name": "y", "Format/Datatype": "Row major linear FP16 format"}]}',
            {"float16": 1, "int8": 1},
        ),
        ("Name: Half, LayerType: signal, Inputs: [], Constants: [], Outputs: [], TacticName: ", {}),
    ],
)
def test_types_are_read_from_either_form_of_a_layer(layer, types):
    assert count_types([layer]) == types
