"""What `jsf inspect` says of bundles and engines: whole, damaged, foreign, and by whose hand."""

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.export.engine import build_engines
from jsf.export.options import BuildOptions
from jsf.export.profiles import BUCKETS
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.backends.sidecar import EngineSidecar, obstacle, this_platform
from jsf.runtime.bundle import GRAPHS, MATCHER, Bundle
from jsf.runtime.inspect import inspect_bundle, inspect_engine
from jsf.runtime.layer_times import layer_times
from jsf.verbs.inspect import show_inspection

SPEC = importlib.util.spec_from_file_location("tensorrt_standin", Path(__file__).with_name("tensorrt_standin.py"))
standin = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(standin)

ORIN = Gpu("a simulated Orin", "8.7")


@pytest.fixture
def root(tiny_bundle, tmp_path):
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def gpu(monkeypatch):
    """A function that gives this machine a GPU and a TensorRT over host memory, and returns both."""

    def give(version="10.3", card=ORIN):
        device = standin.HostDevice()
        trt = standin.make_tensorrt(version, device)
        for module in ("jsf.runtime.backends.driver", "jsf.runtime.inspect"):
            monkeypatch.setattr(f"{module}.find_gpu", lambda: card)
        monkeypatch.setitem(sys.modules, "tensorrt", trt)
        return trt, device

    return give


def edit(root, **changes):
    path = root / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def write_engine(root, graph="matcher", precision="fp32", content=b"a plan", **changes):
    """An engine of a bundle, as TensorRT 10.3 built it for an Orin."""
    engine = root / "engines" / "tensorrt-10.3.0-sm87" / precision / f"{graph}.engine"
    engine.parent.mkdir(parents=True, exist_ok=True)
    engine.write_bytes(content)
    values = {
        "graph": graph,
        "precision": precision,
        "backend": "tensorrt",
        "version": "10.3.0",
        "platform": this_platform(),
        "compute_capabilities": ["8.7"],
        "hardware_compatible": False,
        "version_compatible": False,
        "graph_sha256": json.loads((root / "manifest.json").read_text())["hashes"]["fp32"][graph],
        "engine_sha256": sha256(engine),
        "inputs": {
            "videos": {"dtype": "float32", "shape": ["V", "frames", 8]},
            "sentences": {"dtype": "float32", "shape": ["P", "words", 8]},
        },
        "outputs": {"scores": {"dtype": "float32", "shape": ["P"]}},
        "profiles": [{"P": [1, 64, 64], "V": [1, 64, 4096], "frames": [24] * 3, "words": [9] * 3}],
        "layers": {"float32": 11, "float16": 2},
        "types": {"jst.d2": "float32"},
        "built": {"jsf": "0.1.0", "device": "Orin"},
    }
    EngineSidecar(**{f.name: {**values, **changes}[f.name] for f in fields(EngineSidecar) if f.name != "schema"}).write(
        engine.with_suffix(".json")
    )
    return engine


def shown(path, capsys):
    """What `jsf inspect --json` prints, and the error that it ends with, if it does."""
    try:
        show_inspection(path, json=True)
        error = None
    except JsfError as raised:
        error = raised
    return json.loads(capsys.readouterr().out), error


# Bundles


def test_a_whole_bundle(root, capsys):
    report = inspect_bundle(root)
    assert [(graph.variant, graph.graph, graph.status) for graph in report.graphs] == [
        ("fp32", g, "ok") for g in GRAPHS
    ]
    assert all(graph.bytes == (root / "fp32" / f"{graph.graph}.onnx").stat().st_size for graph in report.graphs)
    assert {graph.graph: graph.parity for graph in report.graphs} == report.bundle.manifest.parity
    assert (report.engines, report.calibration, report.problems) == ([], {}, [])
    show_inspection(root, json=False)
    text = " ".join(capsys.readouterr().out.split())
    for words in ("jsfusion, retrieval, preset tiny", "12 wide, of toy 1", "8 words", "joint width 8", "fp32/matcher"):
        assert words in text


def test_the_default_bundle(root, monkeypatch, capsys):
    monkeypatch.setenv("JSF_BUNDLE", str(root))
    assert shown(None, capsys)[0]["bundle"] == str(root)


def test_one_damaged_graph_is_named_beside_the_others(root, capsys):
    (root / "fp32" / "matcher.onnx").write_bytes(b"damaged")
    (root / "fp32" / "word_encoder.onnx").unlink()
    values, error = shown(root, capsys)
    states = {graph["graph"]: graph["status"] for graph in values["graphs"]}
    assert states == {"frame_encoder": "ok", "word_encoder": "missing", "matcher": "CHANGED", "matcher.buckets": "ok"}
    assert values["manifest"]["task"] == "retrieval"
    assert len(values["problems"]) == 2
    assert "matcher.onnx is CHANGED." in error.message
    assert error.fix == f"Export the bundle again: jsf export --ckpt best.pt -o {root}"


def test_changed_samples_and_a_damaged_calibration_are_named(root, capsys):
    (root / "samples.npz").write_bytes(b"damaged")
    values, error = shown(root, capsys)
    assert "samples.npz was changed" in error.message
    assert {graph["status"] for graph in values["graphs"]} == {"ok"}


def test_a_calibration_is_told_without_its_ranges(root, capsys):
    value = {
        "method": "entropy",
        "pairs": 256,
        "data": "ab" * 32,
        "graphs": {"matcher": "cd" * 32},
        "inputs": {"m": {}},
    }
    (root / "calibration.json").write_text(json.dumps(value))
    assert shown(root, capsys)[0]["calibration"] == {
        name: value[name] for name in ("method", "pairs", "data", "graphs")
    }
    show_inspection(root, json=False)
    assert "calibration  entropy, 256 pairs, data abababababab..." in capsys.readouterr().out
    (root / "calibration.json").write_text("{")
    assert "is not readable JSON" in shown(root, capsys)[1].message


def test_what_a_precision_costs(root, capsys):
    loss = {
        "score_error_max": 0.02,
        "score_error_mean": 0.005,
        "score_range": 2.0,
        "pairs": 64,
        "rank_correlation": 0.9987,
        "accuracy": "measured on 1000 queries",
        "samples": "val.csv",
        "metrics": {"R@1": [41.5, 41.2, -0.8, 0.2], "MedR": [3.0, 3.0]},
        "layers_fp16": ["jst.d2", "chd.stages.0.gate"],
        "fp32_nodes": {"matcher": ["jst.w"], "word_encoder": []},
    }
    edit(root, losses={"int8": loss, "fp16": {"score_error_max": 0.1, "score_range": 2.0, "accuracy": "not measured"}})
    show_inspection(root, json=False)
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "0.25%",
        "0.9987",
        "fp16 accuracy: not measured; samples: not named",
        "int8 accuracy: measured on 1000 queries; samples: val.csv",
        "int8 R@1: 41.5 in FP32, 41.2 reduced; 95% interval of the difference -0.8 to 0.2",
        "int8 MedR: 3 in FP32, 3 reduced",
        "int8 keeps in FP16: jst.d2, chd.stages.0.gate",
        "int8 keeps in FP32, of matcher: jst.w",
    ):
        assert words in text
    assert "of word_encoder" not in text


@pytest.mark.parametrize("losses", [{"fp16": 3}, {"fp16": {"metrics": {"R@1": 4}}}, {"fp16": {"score_range": "wide"}}])
def test_losses_in_another_form_are_refused_in_words(losses, root):
    losses = {
        name: {"score_error_max": 1.0, **loss} if isinstance(loss, dict) else loss for name, loss in losses.items()
    }
    edit(root, losses=losses)
    with pytest.raises(JsfError, match="'losses' cannot be read") as caught:
        show_inspection(root, json=False)
    assert "jsf export" in caught.value.fix


def test_an_extractor_that_was_changed(root, capsys):
    (root / "extractor").mkdir()
    (root / "extractor" / "extractor.json").write_text("{}")
    values, error = shown(root, capsys)
    assert values["extractor"] == "DAMAGED"
    assert "is not a whole extractor" in error.message


@pytest.mark.parametrize("name", ["best.pt", "matcher.onnx"])
def test_another_file_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(JsfError, match="neither a bundle's folder nor an") as caught:
        show_inspection(tmp_path / name, json=False)
    assert "jsf inspect" in caught.value.fix


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(JsfError, match="is not a bundle") as caught:
            show_inspection(path, json=False)
        assert "jsf export" in caught.value.fix


# Engines


def test_engines_of_a_bundle_and_why_they_do_not_run_here(root, capsys, monkeypatch):
    monkeypatch.setattr("jsf.runtime.inspect.find_gpu", lambda: None)
    for graph in ("matcher", "frame_encoder"):
        write_engine(root, graph)
    report = inspect_bundle(root)
    assert [engine.path.stem for engine in report.engines] == ["frame_encoder", "matcher"]
    assert {engine.obstacle for engine in report.engines} == {"this machine has no NVIDIA GPU"}
    assert report.problems == []
    show_inspection(root, json=False)
    text = capsys.readouterr().out
    assert "engines/tensorrt-10.3.0-sm87, GPUs 8.7" in text
    assert "float32 11, float16 2" in text
    assert text.count("does not run here: this machine has no NVIDIA GPU") == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda engine: engine.write_bytes(b"another plan"), "is damaged"),
        (lambda engine: engine.unlink(), "is missing; its sidecar is there"),
        (lambda engine: engine.with_suffix(".json").unlink(), "is missing: an engine is of no use"),
        (lambda engine: engine.with_suffix(".json").write_text("{"), "is not readable JSON"),
    ],
)
def test_a_damaged_engine_is_named_beside_the_others(damage, words, root, capsys):
    damage(write_engine(root))
    write_engine(root, "frame_encoder")
    values, error = shown(root, capsys)
    assert words in error.message
    assert [bool(engine["problem"]) for engine in values["engines"]] == [False, True]
    assert not any(engine["runs_here"] for engine in values["engines"])
    with pytest.raises(JsfError):
        show_inspection(root, json=False)
    assert "UNUSABLE" in capsys.readouterr().out


def test_an_engine_of_another_graph_is_named(root):
    engine = write_engine(root, graph_sha256="0" * 64)
    assert "was built from another graph" in inspect_engine(engine).problem
    assert "--backend tensorrt" in inspect_engine(engine).fix


def test_an_engine_of_a_precision_that_the_bundle_does_not_have(root):
    assert "a graph that" in inspect_engine(write_engine(root, precision="fp16")).problem


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"version": "10.7.0"}, "built by tensorrt 10.7.0"),
        ({"platform": "windows-amd64"}, "built for windows-amd64"),
        ({"compute_capabilities": ["9.0"]}, "compute capability 9.0, this GPU has 8.7"),
        ({"backend": "tensorrt-rtx"}, "tensorrt-rtx"),
    ],
)
def test_whether_an_engine_runs_on_this_machine(changes, words, root, gpu, monkeypatch):
    gpu()
    monkeypatch.setattr("jsf.runtime.backends.sidecar.find_spec", lambda name: name == "tensorrt" or None)
    engine = inspect_engine(write_engine(root, **changes))
    assert words in engine.obstacle
    assert engine.runs_here == (not words)
    assert engine.problem == ""


def test_an_engine_is_shown_in_full(root, capsys):
    engine = write_engine(root)
    engine.with_suffix(".log").write_text("INFO: built\n")
    show_inspection(engine, json=False)
    captured = capsys.readouterr()
    text, table = captured.out.split("layers with weights\n")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table.splitlines()]
    assert ["jst.d2", "float32"] in rows
    assert ["1-64 (64)", "1-4096 (64)", "24", "9"] in rows
    lines = dict(line.split("  ", 1) for line in text.splitlines())
    facts = {name: value.strip() for name, value in lines.items()}
    assert facts["version"] == "10.3.0"
    assert facts["inputs"] == "videos float32 V frames 8, sentences float32 P words 8"
    assert facts["layers"] == "float32 11, float16 2"
    assert facts["build log"] == str(engine.with_suffix(".log"))
    assert facts["runs here"] == "no: this machine has no NVIDIA GPU"
    assert "no times of layers: this machine has no NVIDIA GPU" in captured.err


def test_an_engine_outside_a_bundle(root, tmp_path, monkeypatch, capsys):
    engine = write_engine(root)
    folder = tmp_path / "fp32"
    folder.mkdir()
    for suffix in (".engine", ".json"):
        shutil.copy(engine.with_suffix(suffix), folder)
    monkeypatch.chdir(folder)
    values, error = shown(Path("matcher.engine"), capsys)
    assert error is None
    assert (values["path"], values["layer_ms"]) == (str(folder / "matcher.engine"), [])


def test_an_engine_that_is_not_there(tmp_path):
    with pytest.raises(JsfError, match="does not exist"):
        show_inspection(tmp_path / "matcher.engine", json=False)


# Layers by time


@pytest.fixture
def profiled(gpu, monkeypatch):
    """A TensorRT whose runs report each node of the graph: the first for as many ms as there are nodes, then less."""
    trt, device = gpu()
    trt.IProfiler = standin._interface("IProfiler", {"IProfiler": ["report_layer_time"]}, {})
    execute = standin._Context.execute_async_v3

    def execute_and_report(self, stream_handle):
        done = execute(self, stream_handle)
        if profiler := getattr(self, "profiler", None):
            nodes = self._engine._model.graph.node
            for i, node in enumerate(nodes):
                profiler.report_layer_time(node.name, float(len(nodes) - i))
        return done

    monkeypatch.setattr(standin._Context, "execute_async_v3", execute_and_report)
    monkeypatch.setattr("jsf.runtime.layer_times.open_device", lambda: device)
    return device


@pytest.mark.parametrize(("graph", "profiles"), [("frame_encoder", 1), ("word_encoder", 1), (MATCHER, len(BUCKETS))])
def test_layers_by_time(graph, profiles, root, profiled, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    engines = {path.stem: path for path in build_engines(Bundle.open(root), "fp32", "tensorrt")}
    found = layer_times(engines[graph], runs=3)
    assert len(found) == profiles
    for times in found:
        assert len(times) > 5
        assert list(times.values()) == [float(n) for n in range(len(times), 0, -1)]
    assert all(not array.any() for array in profiled.uploads)
    assert len(profiled.memory) == 0, "the buffers are freed"


def test_an_engine_that_carries_code_is_timed_too(root, profiled, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = BuildOptions(version_compatible=True)
    engine, *_ = build_engines(Bundle.open(root), "fp32", "tensorrt", options)
    assert all(layer_times(engine, runs=1))


def test_the_slowest_layers_are_shown(root, gpu, monkeypatch, capsys):
    gpu()
    times = [{f"layer {i}": 20.0 - i for i in range(20)}]
    monkeypatch.setattr("jsf.verbs.inspect.layer_times", lambda path: times)
    show_inspection(write_engine(root), json=False)
    text = capsys.readouterr().out
    assert "the 15 slowest of 20 layers, 210.00 ms in all" in text
    assert "layer 14" in text
    assert "layer 15" not in text
    assert "9.5" in text
    show_inspection(write_engine(root), json=True)
    assert json.loads(capsys.readouterr().out)["layer_ms"] == times


def test_an_engine_that_tensorrt_refuses(root, gpu, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    gpu("10.3")
    engine = build_engines(Bundle.open(root), "fp32", "tensorrt")[0]
    _, device = gpu("10.16")
    with pytest.raises(JsfError, match="version of the plan does not match") as caught:
        layer_times(engine, device)
    assert "jsf build-engine" in caught.value.fix


def test_layers_are_not_timed_without_a_gpu(root, monkeypatch):
    monkeypatch.setattr("jsf.runtime.backends.driver.find_gpu", lambda: None)
    with pytest.raises(JsfError, match="no usable NVIDIA GPU"):
        layer_times(write_engine(root))


def test_obstacles_come_before_tensorrt_is_touched(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # importing it raises
    sidecar = EngineSidecar.read(write_engine(root).with_suffix(".json"))
    assert obstacle(sidecar, None) == "this machine has no NVIDIA GPU"


def test_a_bundle_is_inspected_where_nothing_but_the_base_is_installed(root):
    code = (
        "from importlib.machinery import PathFinder\n"
        "absent, find = ('onnxruntime', 'onnx', 'torch', 'tensorrt_rtx', 'cuda', 'av', 'h5py'), PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *r: None if name.partition('.')[0] in absent else find(name, *r)\n"
        "import sys, pathlib\n"
        "from jsf.verbs.inspect import show_inspection\n"
        "show_inspection(pathlib.Path(sys.argv[1]), True)\n"
    )
    write_engine(root)
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert np.unique([graph["status"] for graph in json.loads(done.stdout)["graphs"]]) == ["ok"]
