"""Which graph runs where: only "auto" chooses; what was asked for by name is there or is an error."""

import shutil

import pytest

from jsf.calibration.fp16 import add_fp16
from jsf.data.errors import JsfError
from jsf.runtime import graphs
from jsf.runtime.backends import driver
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.backends.tensorrt import NoEngineError
from jsf.runtime.bundle import MATCHER, RUNNING, Bundle
from jsf.runtime.graphs import load_graphs


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def machine(monkeypatch):
    """Simulates a machine with or without a GPU, and records the engines that are opened on it."""
    opened = []

    class Engine:
        def __init__(self, bundle, precision, name):
            opened.append((precision, name))
            self.description = "tensorrt 11.4 on a simulated Orin"

    def simulate(gpu):
        monkeypatch.setattr(graphs, "find_gpu", lambda: gpu)
        monkeypatch.setattr(driver, "find_gpu", lambda: gpu)
        if gpu:
            monkeypatch.setattr("jsf.runtime.backends.tensorrt.open_engine", Engine)
        return opened

    return simulate


def place_engines(bundle, *precisions):
    for precision in precisions:
        folder = bundle.engines / "tensorrt-11.4-sm87" / precision
        folder.mkdir(parents=True)
        for name in RUNNING:
            (folder / f"{name}.engine").touch()


def names(loaded):
    return [[spec.name for spec in graph.inputs] for graph in (loaded["frame_encoder"], loaded["word_encoder"])]


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_cpu_runs_fp32_with_the_symbolic_matcher(bundle, machine, device):
    machine(None)
    loaded = load_graphs(bundle, device)
    assert names(loaded) == [["features", "lengths"], ["words", "lengths"]]
    assert loaded[MATCHER].inputs[0].shape == ("V", "frames", 8)
    assert loaded.description == f"{loaded[MATCHER].description}, fp32"
    assert " on cpu" in loaded.description


def test_a_precision_runs_when_it_is_asked_for(bundle, machine):
    machine(None)
    add_fp16(bundle)
    assert load_graphs(bundle).description.endswith("fp32")
    loaded = load_graphs(bundle, precision="fp16")
    assert loaded.description.endswith("fp16")
    assert loaded[MATCHER].inputs[0].dtype == "float16"
    assert loaded[MATCHER].outputs[0].dtype == "float32"


def test_auto_with_engines_and_no_gpu_runs_fp32_on_the_cpu(bundle, machine):
    opened = machine(None)
    place_engines(bundle, "fp32", "fp16")
    assert load_graphs(bundle).description.endswith(" on cpu, fp32")
    assert opened == []


@pytest.mark.parametrize("device", ["auto", "cuda"])
@pytest.mark.parametrize(
    ("built", "asked", "runs"),
    [
        (["fp32", "fp16"], "auto", "fp16"),
        (["fp32"], "auto", "fp32"),
        (["fp32", "fp16"], "fp32", "fp32"),
        (["fp16"], "fp16", "fp16"),
    ],
)
def test_a_gpu_runs_the_smallest_engine_or_the_one_asked_for(bundle, machine, device, built, asked, runs):
    opened = machine(Gpu("a simulated Orin", "8.7"))
    place_engines(bundle, *built)
    loaded = load_graphs(bundle, device, asked)
    assert opened == [(runs, name) for name in RUNNING]
    assert loaded.description == f"tensorrt 11.4 on a simulated Orin, {runs}"


def test_cpu_never_opens_an_engine(bundle, machine):
    opened = machine(Gpu("a simulated Orin", "8.7"))
    place_engines(bundle, "fp16")
    assert load_graphs(bundle, "cpu").description.endswith(" on cpu, fp32")
    assert opened == []


def test_auto_on_a_gpu_without_the_engine_asked_for_runs_the_graph_on_the_cpu(bundle, machine):
    opened = machine(Gpu("a simulated Orin", "8.7"))
    place_engines(bundle, "fp16")
    assert load_graphs(bundle, "auto", "fp32").description.endswith(" on cpu, fp32")
    assert opened == []


@pytest.mark.parametrize("built", [[], ["fp16"]])
def test_cuda_that_is_not_there_is_an_error(bundle, machine, monkeypatch, built):
    machine(None)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    place_engines(bundle, *built)
    with pytest.raises(JsfError, match="no usable NVIDIA GPU" if built else "device 'cuda' is not here") as refusal:
        load_graphs(bundle, "cuda")
    assert "--device cpu" in refusal.value.fix


def refusing(monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr("jsf.runtime.backends.tensorrt.open_engine", refuse)


def test_auto_says_why_it_leaves_the_engines_of_another_gpu(bundle, machine, monkeypatch):
    machine(Gpu("a simulated Orin", "8.7"))
    place_engines(bundle, "fp16")
    refusing(monkeypatch, NoEngineError("built for compute capability 8.0, this GPU has 8.7.", "Build it here."))
    description = load_graphs(bundle).description
    assert description.endswith(f" on cpu, fp32; no engine of {bundle.root} is for this GPU: --device cuda says why")
    with pytest.raises(NoEngineError):
        load_graphs(bundle, "cuda")


def test_a_damaged_engine_is_an_error_on_auto_too(bundle, machine, monkeypatch):
    machine(Gpu("a simulated Orin", "8.7"))
    place_engines(bundle, "fp16")
    refusing(monkeypatch, JsfError("the engine is damaged.", "Build it here."))
    with pytest.raises(JsfError, match="the engine is damaged"):
        load_graphs(bundle)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"device": "tpu"}, "device 'tpu' is not known, expected one of: auto, cpu, openvino, cuda"),
        ({"precision": "fp8"}, "precision 'fp8' is not known, expected one of: fp32, fp16"),
        ({"precision": "fp16"}, "has no fp16 graphs, only: fp32"),
    ],
)
def test_what_is_not_there_is_an_error(bundle, machine, how, message):
    machine(None)
    with pytest.raises(JsfError, match=message):
        load_graphs(bundle, **how)
