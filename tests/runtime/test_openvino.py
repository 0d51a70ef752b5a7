"""The OpenVINO backend: what it takes and refuses, and that its scores and embeddings are ONNX Runtime's."""

import functools
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino
import pytest

from jsf.calibration.fp16 import add_fp16
from jsf.calibration.gate import Limits
from jsf.calibration.publish import Choices, add_int8
from jsf.calibration.table import Table
from jsf.data.blanks import Blank
from jsf.data.captions import Caption
from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.runtime.backends import openvino as backend
from jsf.runtime.backends.openvino import OpenVinoGraph
from jsf.runtime.bundle import Bundle
from jsf.runtime.embedder import Embedder
from jsf.runtime.graphs import load_graphs
from jsf.runtime.scorer import Scorer

VERSION = openvino.__version__.partition("-")[0]
SENTENCES = ["a red circle", "blue", "a square then a red square then rings while blue circle a red a blue circle"]
BLANKS = ["a red _____ then rings", "__", "then a square while a red circle then rings a blue _____ circle"]


@pytest.fixture(scope="module")
def graph(sums_graph):
    """rows [B, T, 3] and index [P] -> the sums [P] of the rows that `index` names."""
    return OpenVinoGraph(sums_graph("T"))


def check_sums(graph, batch, steps):
    rows = np.random.default_rng([batch, steps]).standard_normal((batch, steps, 3)).astype(np.float32)
    index = np.array([batch - 1, 0, batch - 1], np.int32)
    assert np.allclose(graph.run({"index": index, "rows": rows})["total"], rows.sum((1, 2))[index], atol=1e-5)


def test_it_describes_itself(graph):
    assert [(spec.name, spec.dtype, spec.shape) for spec in graph.inputs] == [
        ("rows", np.dtype(np.float32), ("?", "?", 3)),
        ("index", np.dtype(np.int32), ("?",)),
    ]
    assert [spec.name for spec in graph.outputs] == ["total"]
    assert graph.description == f"openvino {VERSION} on cpu"


@pytest.mark.parametrize("batch", [4, 1])
@pytest.mark.parametrize("steps", [2, 7, 2])
def test_it_runs_any_lengths_in_turn(graph, batch, steps):
    check_sums(graph, batch, steps)


def test_results_outlive_the_next_run_and_do_not_hang_on_the_inputs(graph):
    rows, index = np.ones((2, 4, 3), np.float32), np.array([1], np.int32)
    first = graph.run({"rows": rows, "index": index})["total"]
    rows[:] = 5
    second = graph.run({"rows": rows, "index": index})["total"]
    assert (first, second) == (12, 60)
    first += 1
    assert graph.run({"rows": rows, "index": index})["total"] == 60


def test_threads_take_turns(graph):
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(check_sums, graph, batch, steps) for batch in (1, 5, 9) for steps in range(1, 40)]:
            done.result()


def test_it_computes_in_fp32_whatever_the_cpu_offers(write_graph, tmp_path):
    path = write_graph(
        tmp_path / "square.onnx", "g (float[B, 40] x) => (float[B, B] y) { z = Transpose(x) y = MatMul(x, z) }"
    )
    x = np.random.default_rng(0).standard_normal((300, 40)).astype(np.float32)
    exact = x.astype(np.float64) @ x.T
    assert np.abs(OpenVinoGraph(path).run({"x": x})["y"] - exact).max() < 1e-6 * np.ptp(exact)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"rows": np.ones((1, 1, 3))}, r"takes \['rows', 'index'\], got \['rows'\]"),
        (
            {"rows": np.ones((1, 1, 4)), "index": np.zeros(1, np.int32)},
            r"'rows' is \[1, 1, 4\], expected \['\?', '\?', 3\]",
        ),
        ({"rows": np.ones((1, 1, 3)), "index": np.ones(1)}, "'index' is float64, expected int32"),
    ],
    ids=["missing", "width", "type"],
)
def test_wrong_inputs_are_refused(graph, inputs, message):
    with pytest.raises(JsfError, match=message):
        graph.run(inputs)


def test_lengths_that_do_not_fit_each_other_are_refused(write_graph, tmp_path):
    graph = OpenVinoGraph(
        write_graph(tmp_path / "add.onnx", "g (float[B] x, float[C] y) => (float[D] z) { z = Add(x, y) }")
    )
    with pytest.raises(JsfError, match=r"openvino cannot run .*add\.onnx: .*[Ss]hape"):
        graph.run({"x": np.ones(2), "y": np.ones(3)})
    assert graph.run({"x": np.ones(3), "y": np.ones(3)})["z"].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "Could not open the file"),
        (b"", "it holds no graph"),
        (b"not a graph", "parse|protobuf"),
        (b"\x08\x09", "it holds no graph"),
    ],
    ids=["absent", "empty", "text", "cut"],
)
def test_a_file_that_is_no_graph_is_refused(tmp_path, capfd, content, why):
    path = tmp_path / "broken.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JsfError, match=rf"broken\.onnx cannot be loaded by openvino {VERSION}: .*({why})") as refusal:
        OpenVinoGraph(path)
    assert "Exception from" not in str(refusal.value)
    assert capfd.readouterr() == ("", "")


def test_an_operation_that_it_does_not_have_is_named(write_graph, tmp_path):
    path = write_graph(tmp_path / "op.onnx", "g (float[B] x) => (float[B] y) { y = made.up.Wave(x) }")
    with pytest.raises(JsfError, match=r"op\.onnx cannot be loaded by openvino .*made\.up\.Wave"):
        OpenVinoGraph(path)


def test_a_build_of_openvino_without_this_processor_is_refused(graph, monkeypatch):
    class Core:
        def compile_model(self, model, device, options):
            raise RuntimeError('Exception from core.cpp:1:\nDevice with "CPU" name is not registered')

    monkeypatch.setattr(openvino, "Core", Core)
    with pytest.raises(JsfError, match=r'cannot be loaded by openvino .*: Device with "CPU" name is not registered'):
        OpenVinoGraph(graph._path)


def test_a_missing_package_is_named_with_its_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(JsfError, match="'openvino'") as refusal:
        OpenVinoGraph(tmp_path / "any.onnx")
    assert refusal.value.fix == "Install it with, in the folder of jsf's sources: pip install '.[openvino]'"


USE = """
import sys
from pathlib import Path
from jsf.runtime.backends import openvino as backend
from jsf.runtime.backends.openvino import OpenVinoGraph
OpenVinoGraph(Path(sys.argv[1]))
assert "openvino.tools.ovc" in sys.modules
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
"""


def test_its_import_reports_to_nobody_and_says_nothing(graph, tmp_path):
    home = {"HOME": str(tmp_path), "PATH": ""}  # not that of a CI, where OpenVINO keeps quiet anyway
    done = subprocess.run([sys.executable, "-c", USE, graph._path], env=home, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def videos():
    random = np.random.default_rng(3)
    return [random.standard_normal((length, 12)).astype(np.float32) for length in (1, 6, 21, 40, 95)]


@pytest.fixture(scope="module")
def reduced(variant_bundle, videos, tmp_path_factory):
    """task -> the bundle of a tiny model of it, with FP16 and INT8 graphs; treat it as read-only."""
    loose = Choices(limits=Limits(max_drop=100, min_correlation=-1, max_error=1000))
    rows = {
        "retrieval": [Caption(f"v{i}", text) for i, text in enumerate(SENTENCES)],
        "multiple-choice": [Question(f"v{i}", tuple(SENTENCES), i) for i in range(3)],
        "fill-in-the-blank": [Blank(f"v{i}", text, "red") for i, text in enumerate(BLANKS)],
    }

    @functools.cache
    def make(task):
        root = tmp_path_factory.mktemp("reduced")
        for i, video in enumerate(videos):
            FeatureSequence(video, 5.0, "toy 1", "").save(root / "features" / f"v{i}.npz")
        preset = "official" if task == "multiple-choice" else "paper"  # the former is padded on the left
        bundle = Bundle.open(shutil.copytree(variant_bundle(preset, task), root / "bundle"))
        add_fp16(bundle)
        split = Split(open_features(root / "features"), rows[task])
        add_int8(bundle, Table.draw(split, "val.csv", bundle.vocabulary), loose, lambda _: None)
        return bundle.root

    return make


def scores(root, device, precision, videos):
    scorer = Scorer.load(root, device, precision)
    if scorer.task != "fill-in-the-blank":
        return scorer.score_matrix(videos, SENTENCES)
    rows, columns = np.divmod(np.arange(len(videos) * len(BLANKS)), len(BLANKS))
    return scorer.score_words(videos, BLANKS, rows, columns)


def largest_difference(found, expected):
    """Relative to the range of what is expected."""
    assert found.dtype == expected.dtype
    assert np.ptp(expected) > 0.1
    return np.abs(found.astype(np.float64) - expected).max() / np.ptp(expected)


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice", "fill-in-the-blank"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 5e-3), ("int8", 5e-2)])
def test_scores_are_those_of_onnxruntime(reduced, videos, task, precision, tolerance):
    found = scores(reduced(task), "openvino", precision, videos)
    assert largest_difference(found, scores(reduced(task), "cpu", precision, videos)) < tolerance


def test_scores_of_an_lstm_in_the_matcher_are_those_of_onnxruntime(variant_bundle, videos):
    root = variant_bundle("paper", "retrieval", "lstm-fusion")
    found, expected = (scores(root, device, "fp32", videos) for device in ("openvino", "cpu"))
    assert largest_difference(found, expected) < 1e-5


@pytest.mark.parametrize("hierarchical", [True, False], ids=["hse", "fse"])
def test_embeddings_are_those_of_onnxruntime(embedding_bundle, tmp_path, videos, hierarchical):
    bundle = Bundle.open(shutil.copytree(embedding_bundle(hierarchical), tmp_path / "bundle"))
    clips = [Clips.of(video, ((0.1, 0.3), (0.3, 0.9), (0.5, 1.0))) for video in videos if len(video) > 20]
    texts = ["red", "a red circle. Then a blue square!", ["a circle", "red", "blue"]]
    add_fp16(bundle)
    onnxruntime = Embedder.load(bundle.root, "cpu")
    for precision, tolerance in (("fp32", 1e-5), ("fp16", 5e-3)):
        both = Embedder.load(bundle.root, "openvino", precision), onnxruntime
        assert largest_difference(*(each.embed_videos([*videos, *clips]) for each in both)) < tolerance
        assert largest_difference(*(each.embed_texts(texts) for each in both)) < tolerance


def test_what_runs_is_said(reduced):
    found = [load_graphs(Bundle.open(reduced("retrieval")), "openvino", name) for name in ("auto", "fp16", "int8")]
    assert [graphs.description for graphs in found] == [
        f"openvino {VERSION} on cpu, fp32",
        f"openvino {VERSION} on cpu (products in fp32), fp16",
        f"openvino {VERSION} on cpu, int8",
    ]


@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_a_device_without_onnxruntime_scores(reduced, precision):
    root = reduced("retrieval")
    program = "import sys; sys.modules['onnxruntime'] = None; from jsf.cli import main; main()"
    command = ["score", root.parent / "features" / "v1.npz", SENTENCES[0], "--bundle", root, "--json"]
    options = ["--device", "openvino", "--precision", precision]
    done = subprocess.run([sys.executable, "-c", program, *command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    expected = Scorer.load(root, "openvino", precision).score(str(root.parent / "features" / "v1.npz"), SENTENCES[0])
    assert shown["scores"][0]["score"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("variant", "alone"), [("fp32", 2), ("int8-cpu", 0)])
def test_shapes_that_come_often_are_compiled_for_alone(monkeypatch, reduced, variant, alone):
    """No score changes by it: so INT8, whose roundings could move, has none."""
    monkeypatch.setattr(backend, "OFTEN", 2)
    monkeypatch.setattr(backend, "FEW", 2)
    graph = OpenVinoGraph(Bundle.open(reduced("retrieval")).graph(variant, "frame_encoder"))
    compile_model, compiled = graph._compiled, []
    monkeypatch.setattr(graph, "_compiled", lambda model: compiled.append(model) or compile_model(model))
    random = np.random.default_rng(0)
    shape = graph.inputs[0].shape[1:]
    batches = [
        {"features": random.standard_normal((rows, *shape)).astype(np.float32), "lengths": np.full(rows, 9, np.int32)}
        for rows in (1, 2, 3)
    ]
    first = [graph.run(batch)["videos"] for batch in batches]
    again = [[graph.run(batch)["videos"] for batch in batches] for _ in range(2)]
    assert len(compiled) == alone
    assert all(np.array_equal(found, expected) for run in again for found, expected in zip(run, first, strict=True))
