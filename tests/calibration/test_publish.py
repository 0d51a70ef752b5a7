import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from jsf.calibration.collect import calibrated_layers
from jsf.calibration.gate import Limits
from jsf.calibration.inputs import draw_pairs
from jsf.calibration.publish import Choices, add_int8, add_measured_fp16
from jsf.calibration.ranges import Calibration
from jsf.calibration.report import GateError
from jsf.calibration.table import Table
from jsf.data.blanks import Blank
from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.runtime.bundle import Bundle
from jsf.runtime.graph_folder import CPU_INT8
from jsf.runtime.scorer import Scorer

LOOSE = Limits(max_drop=100, min_correlation=0.7, max_error=20)
"""Of tiny models, whose layers are so narrow that eight bits show."""

SENTENCES = ["a red circle", "a blue square", "red then blue", "a circle rings", "blue while red", "a square"]
VIDEOS = 12


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """A folder of videos of mixed lengths, and one in which every other video is a thousand times as large."""
    random = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("features")
    for video in range(VIDEOS):
        values = random.standard_normal((5 + 3 * video, 12)).astype(np.float32)
        FeatureSequence(values, 5.0, "toy 1", "").save(root / "sound" / f"v{video}.npz")
        wrong = values * (1e-3 if video % 2 else 1)
        FeatureSequence(wrong, 5.0, "toy 1", "").save(root / "wrong" / f"v{video}.npz")
    return root


def rows_for(task):
    texts = [SENTENCES[video % len(SENTENCES)] for video in range(VIDEOS)]
    if task == "multiple-choice":
        options = [tuple(texts[(video + i) % VIDEOS] for i in range(3)) for video in range(VIDEOS)]
        return [Question(f"v{video}", options[video], 0) for video in range(VIDEOS)]
    if task == "fill-in-the-blank":
        return [Blank(f"v{video}", "a _____ circle", ("red", "blue")[video % 2]) for video in range(VIDEOS)]
    return [Caption(f"v{video}", text) for video, text in enumerate(texts)]


def table_of(bundle, folder, task="retrieval"):
    return Table.draw(Split(open_features(folder), rows_for(task)), "val.csv", bundle.vocabulary)


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    return Bundle.open(tmp_path / "bundle")


def types(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def quiet(_):
    pass


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice", "fill-in-the-blank"])
@pytest.mark.parametrize("preset", ["paper", "official"])
def test_int8_graphs_of_every_task_are_published_with_what_they_cost(variant_bundle, tmp_path, features, preset, task):
    shutil.copytree(variant_bundle(preset, task), tmp_path / "bundle")
    bundle = Bundle.open(tmp_path / "bundle")
    loose = Limits(max_drop=100, min_correlation=-1, max_error=1000)
    reports = add_int8(bundle, table_of(bundle, features / "sound", task), Choices(limits=loose), quiet)
    assert [report.variant for report in reports] == ["int8", CPU_INT8]
    opened = Bundle.open(bundle.root)
    for report in reports:
        for name in opened.manifest.graphs:
            found = types(opened.graph(report.variant, name))
            assert ("QuantizeLinear" in found) == (name != "word_encoder"), (report.variant, name)
        loss = opened.manifest.losses[report.variant]
        assert loss["samples"] == "val.csv"
        assert loss["accuracy"] == f"measured on {VIDEOS} queries: too few to tell, 500 are needed"
        assert 0 < loss["score_error_mean"] < loss["score_range"]
        assert report.held_out is not None
    scores = Scorer.load(bundle.root, "cpu", "int8").description
    assert scores.endswith("on cpu, int8")


def test_what_the_gate_measured_is_what_a_user_then_gets(bundle, features):
    reports = add_int8(bundle, table_of(bundle, features / "sound"), Choices(limits=LOOSE), quiet)
    videos = [str(features / "sound" / f"v{video}.npz") for video in range(VIDEOS)]
    texts = [row.sentence for row in rows_for("retrieval")]
    fp32, int8 = (Scorer.load(bundle.root, "cpu", name).score_matrix(videos, texts) for name in ("fp32", "int8"))
    assert np.abs(fp32 - int8).mean() == pytest.approx(reports[1].whole.score_error_mean, rel=1e-3)
    assert reports[1].whole.rank_correlation > 0.7


def test_a_second_run_on_the_same_data_calibrates_no_more(bundle, features):
    table = table_of(bundle, features / "sound")
    said = []
    add_int8(bundle, table, Choices(limits=LOOSE), said.append)
    first = (bundle.root / "calibration.json").read_bytes()
    assert said == ["measuring on 144 pairs, in each of 2 variants"]
    add_int8(bundle, table, Choices(limits=LOOSE), said.append)
    assert said[1].endswith("it is used again")
    assert (bundle.root / "calibration.json").read_bytes() == first
    add_int8(bundle, table, Choices(method="minmax", limits=LOOSE), said.append)
    assert "is refused: its method is percentile, minmax was asked for. Calibrating again" in said[3]


def test_a_stale_calibration_is_refused_and_made_again(bundle, features):
    table, said = table_of(bundle, features / "sound"), []
    add_int8(bundle, table, Choices(limits=LOOSE), said.append)
    path = bundle.root / "calibration.json"
    good = Calibration.read(path)
    replace(good, graphs={**good.graphs, "frame_encoder": "0" * 64}).write(path)
    add_int8(bundle, table, Choices(limits=LOOSE), said.append)
    assert "is refused: it is of another frame_encoder (SHA-256 000000000000..." in said[1]
    assert Calibration.read(path) == good


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_a_layer_scaled_out_of_its_range_is_stopped_and_named(bundle, features, factor):
    table = table_of(bundle, features / "sound")
    add_int8(bundle, table, Choices(limits=LOOSE), quiet)
    before = {path: path.read_bytes() for path in bundle.root.rglob("*.*") if path.name != "calibration.json"}
    path = bundle.root / "calibration.json"
    good = Calibration.read(path)
    low, high = good.inputs["matcher.buckets"]["jst.d4"]
    layers = {**good.inputs["matcher.buckets"], "jst.d4": (factor * low, factor * high)}
    replace(good, inputs={**good.inputs, "matcher.buckets": layers}).write(path)
    limits = Limits(max_drop=100, min_correlation=-1, max_error=5)
    with pytest.raises(GateError, match="is worse than allowed: the mean score error is") as error:
        add_int8(bundle, table, Choices(limits=limits), quiet)
    assert "goes without: jst.d4 " in error.value.message
    assert error.value.message.endswith("Nothing was published.")
    assert error.value.fix.startswith("Keep layers in FP16: --keep-fp16 jst.d4 ")
    assert len(error.value.reports) == 2
    assert {path: path.read_bytes() for path in before} == before
    said = []
    reports = add_int8(bundle, table, Choices(auto=True, limits=limits), said.append)
    assert any(line.startswith("jst.d4 stays in higher precision: the mean score error is") for line in said)
    assert "jst.d4" in reports[0].layers_fp16
    assert Bundle.open(bundle.root).manifest.losses["int8"]["layers_fp16"] == reports[0].layers_fp16


def test_a_calibration_on_wrong_data_is_stopped_on_the_videos_held_out(bundle, features):
    with pytest.raises(GateError, match="on held-out videos the"):
        add_int8(bundle, table_of(bundle, features / "wrong"), Choices(limits=Limits(100, 0.9, 5)), quiet)
    assert not (bundle.root / "int8").exists()
    assert not (bundle.root / CPU_INT8).exists()
    assert sorted(Bundle.open(bundle.root).manifest.hashes) == ["fp32"]


def test_a_layer_that_is_kept_is_not_quantized(bundle, features):
    table = table_of(bundle, features / "sound")
    add_int8(bundle, table, Choices(limits=LOOSE), quiet)
    whole = quantizers(bundle)
    reports = add_int8(bundle, table, Choices(keep=("chd.stages.1.convolution",), limits=LOOSE), quiet)
    assert reports[0].layers_fp16 == ["chd.stages.1.convolution"]
    assert quantizers(bundle) < whole
    with pytest.raises(JsfError, match=r"--keep-fp16 jst\.d9: the model has no layer of this name") as error:
        add_int8(bundle, table, Choices(keep=("jst.d9",)), quiet)
    assert "context.convolutions.0, context.convolutions.1" in error.value.fix


def quantizers(bundle):
    nodes = onnx.load(bundle.graph("int8", "matcher")).graph.node
    return sum(node.op_type == "DequantizeLinear" for node in nodes)


def test_a_method_that_is_not_known_is_refused_before_anything_runs(bundle, features):
    with pytest.raises(JsfError, match="calibration method 'kl' is not known, expected one of: minmax, entropy"):
        add_int8(bundle, table_of(bundle, features / "sound"), Choices(method="kl"), quiet)


def test_int8_of_no_layer_is_refused(bundle, variant_bundle, tmp_path, features):
    table = table_of(bundle, features / "sound")
    layers = tuple(name for names in calibrated_layers(bundle).values() for name in names)
    with pytest.raises(JsfError, match="no layer is left for INT8"):
        add_int8(bundle, table, Choices(keep=layers), quiet)
    shutil.copytree(variant_bundle("paper", "retrieval", "lstm-fusion"), tmp_path / "without")
    without = Bundle.open(tmp_path / "without")
    with pytest.raises(JsfError, match="no layer is left for INT8") as error:
        add_int8(without, table_of(without, features / "sound"), Choices(), quiet)
    assert error.value.fix == "Take FP16: jsf build-engine --fp16"
    assert not (without.root / "int8").exists()


def test_every_video_is_calibrated_on_where_each_has_several_captions(bundle, features):
    rows = [Caption(f"v{video}", text) for video in range(VIDEOS) for text in SENTENCES]
    table = Table.draw(Split(open_features(features / "sound"), rows), "val.csv", bundle.vocabulary)
    pairs = draw_pairs(Scorer.load(bundle.root, "cpu"), table.calibration)
    assert len(pairs.videos["lengths"]) == len(table.calibrated) == VIDEOS // 2


def test_fp16_is_measured_on_a_table_and_refused_where_it_costs_too_much(bundle, features):
    table = table_of(bundle, features / "sound")
    (report,) = add_measured_fp16(bundle, table, Limits())
    assert report.whole.rank_correlation > 0.999
    assert report.held_out is None
    assert Bundle.open(bundle.root).manifest.losses["fp16"]["samples"] == "val.csv"
    before = (bundle.root / "manifest.json").read_bytes()
    with pytest.raises(GateError, match="fp16 is worse than allowed: the rank correlation is") as error:
        add_measured_fp16(bundle, table, Limits(min_correlation=1.1))
    assert error.value.fix == "Score with --precision fp32, or allow more."
    assert (bundle.root / "manifest.json").read_bytes() == before


def test_both_matchers_have_the_same_layers_in_int8(bundle, features):
    add_int8(bundle, table_of(bundle, features / "sound"), Choices(limits=LOOSE), quiet)
    read = [quantized(bundle.graph("int8", name)) for name in ("matcher", "matcher.buckets")]
    assert read[0] == read[1]
    assert {"jst.d2", "jst.d3", "jst.d4", "chd.stages.0.convolution", "chd.stages.2.gate.taps"} <= read[0]
    assert not any(name.startswith("head") for name in read[0])
    saved = json.loads((bundle.root / "calibration.json").read_text())
    assert set(saved["inputs"]["matcher.buckets"]) == read[0]


def quantized(path):
    """The layers whose inputs come out of a DequantizeLinear."""
    nodes = onnx.load(path).graph.node
    made = {output: node for node in nodes for output in node.output}
    return {
        node.name
        for node in nodes
        if node.op_type in ("Conv", "MatMul", "Gemm")
        and all(made[name].op_type == "DequantizeLinear" for name in node.input[:2] if name in made)
        and node.input[0] in made
        and node.input[1] in made
    }
