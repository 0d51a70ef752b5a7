"""A run on tiny models: every number of the report is there, for each kind of bundle."""

import json
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest

from jsf.calibration.fp16 import add_fp16
from jsf.data.errors import JsfError
from jsf.runtime.bench import floor, memory, run
from jsf.runtime.bench.candidates import Candidate
from jsf.runtime.bench.run import bench
from jsf.runtime.bundle import Bundle
from jsf.runtime.graphs import Graphs, load_graphs

PAIRS = 100


@pytest.fixture(autouse=True)
def little_work(monkeypatch):
    monkeypatch.setattr(floor, "WIDTH", 64)
    monkeypatch.setattr(run, "PAIRS", PAIRS)


@pytest.fixture
def without_memory(monkeypatch):
    """A system that does not say how much memory a process has taken."""
    monkeypatch.setattr(memory, "STATUS", Path("/absent"))


def test_a_report_has_all_numbers(tiny_bundle):
    report = bench(Bundle.open(tiny_bundle), ["cpu"], rounds=1)
    found = json.loads(json.dumps(asdict(report), allow_nan=False))
    assert set(found["machine"]) == {"processor", "cores", "gpu", "system", "load", "python", "versions"}
    assert found["machine"]["versions"]["onnxruntime"]
    assert found["bundle"]["preset"] == "tiny"
    assert sum(found["workload"]["words"].values()) == pytest.approx(1)
    assert (found["workload"]["pairs"], found["workload"]["frames"], found["rounds"]) == (PAIRS, 40, 1)
    assert found["absent"] == {}
    rows = {row["name"]: row for row in found["matching"]}
    assert set(rows) == {"ONNX Runtime FP32", "ONNX Runtime FP32 40x40"}
    assert found["baseline"] == "ONNX Runtime FP32 40x40"
    for name, row in rows.items():
        assert row["ratio"] == pytest.approx(
            row["pairs_per_second"] / rows["ONNX Runtime FP32 40x40"]["pairs_per_second"]
        )
        assert row["floor"] > 0
        assert row["memory_bytes"] > 1 << 20
        assert sum(size["share"] for size in row["sizes"]) == pytest.approx(1)
        assert all(size["pairs_per_second"] > 0 and size["batch"] > 0 for size in row["sizes"])
        assert row["buckets"] == (name == "ONNX Runtime FP32")
    full = rows["ONNX Runtime FP32 40x40"]["sizes"]
    assert [(size["frames"], size["words"]) for size in full] == [(40, 40)]
    sizes = {(size["frames"], size["words"]) for size in rows["ONNX Runtime FP32"]["sizes"]}
    assert len(sizes) > 3 and {frames for frames, _ in sizes} == {39}
    assert rows["ONNX Runtime FP32"]["difference"] < 1e-4
    (encoding,) = found["encoding"]
    assert encoding["videos_per_second"] > 0 and encoding["texts_per_second"] > 0
    for latency in (encoding["pair"], encoding["query"]):
        assert 0 < latency["p50_ms"] <= latency["p95_ms"]
    assert found["floor"]["operations"] < found["floor"]["full_operations"]
    assert set(found["floor"]["rates"]["fp32"]) == {"cpu", "numpy"}


@pytest.mark.parametrize("task", ["multiple-choice", "fill-in-the-blank"])
def test_other_tasks_and_left_padding_are_measured(task, variant_bundle, without_memory):
    report = bench(Bundle.open(variant_bundle("official", task)), ["cpu"], frames=17, rounds=1)
    in_buckets = next(row for row in report.matching if row.buckets)
    assert in_buckets.difference < 1e-4
    assert {row.memory_bytes for row in report.matching} == {None}
    frames = {size.frames for size in in_buckets.sizes}
    assert len(frames) == 1 and 17 <= frames.pop() < 40


def test_without_onnx_the_floor_alone_is_absent(tiny_bundle, without_memory, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx.helper", None)
    report = bench(Bundle.open(tiny_bundle), ["cpu"], rounds=1)
    assert report.floor is None
    assert [row.floor for row in report.matching] == [None, None]
    assert "needs the Python package 'onnx'" in report.absent["the arithmetic's floor"]


def as_peer(bundle):
    """A bundle's matcher in the place of a peer's."""
    return Candidate("peer FP32", "cpu", "fp32", partial(load_graphs, bundle, "cpu", "fp32"), peer=True)


def test_ratios_refer_to_the_first_peer(tiny_bundle, without_memory):
    bundle = Bundle.open(tiny_bundle)
    report = bench(bundle, ["cpu"], rounds=1, peers=[as_peer(bundle)])
    assert report.baseline == "peer FP32 40x40"
    assert {row.name: row.ratio for row in report.matching}["peer FP32 40x40"] == 1
    assert len(report.matching) == 3 and len(report.encoding) == 1


def test_a_peer_of_another_model_is_refused(tiny_bundle, variant_bundle, without_memory):
    bundle, other = Bundle.open(tiny_bundle), Bundle.open(variant_bundle("official", "multiple-choice"))
    with pytest.raises(JsfError, match="peer FP32 runs another model than the bundle's: their scores differ by"):
        bench(bundle, ["cpu"], rounds=1, peers=[as_peer(other)])
    blanks = Bundle.open(variant_bundle("official", "fill-in-the-blank"))
    with pytest.raises(JsfError, match="it takes 7 arrays and videos 8 wide, expected 6 and 8"):
        bench(bundle, ["cpu"], rounds=1, peers=[as_peer(blanks)])


def test_a_peer_needs_the_fp32_scores_of_the_bundle(tiny_bundle, tmp_path, without_memory):
    bundle = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    add_fp16(bundle)
    with pytest.raises(
        JsfError, match="peer FP32 is compared with the bundle's FP32 scores, and FP32 is left out"
    ) as error:
        bench(bundle, ["cpu"], ["fp16"], rounds=1, peers=[as_peer(bundle)])
    assert error.value.fix == "Add --precision fp32, or leave out --ckpt."
    assert bench(bundle, ["cpu"], ["fp16"], rounds=1).baseline == "ONNX Runtime FP16 40x40"


def test_a_peer_that_does_not_run_is_named(tiny_bundle, without_memory):
    bundle = Bundle.open(tiny_bundle)
    graphs = load_graphs(bundle, "cpu")

    def fail(arrays):
        raise JsfError("no compiler")

    graphs["matcher.buckets"]._run = fail
    peer = Candidate("compiled FP32", "cpu", "fp32", partial(Graphs, graphs.by_name, "compiled"), peer=True)
    report = bench(bundle, ["cpu"], rounds=1, peers=[peer])
    assert report.absent == {"compiled FP32": "no compiler"}
    assert report.baseline == "ONNX Runtime FP32 40x40"


def test_of_an_embedding_the_encoders_are_measured(embedding_bundle, tmp_path):
    embedding = Bundle.open(embedding_bundle(True))
    report = bench(embedding, ["cpu"], rounds=1)
    assert (report.matching, report.baseline, report.floor, report.workload) == ([], None, None, None)
    (row,) = report.encoding
    assert row.videos_per_second > 0 and row.texts_per_second > 0 and row.memory_bytes > 1 << 20
    assert (row.pair, row.query) == (None, None)
    for wrong in ({"captions": tmp_path / "captions.csv"}, {"frames": 10}):
        with pytest.raises(JsfError, match="whose graphs have one size"):
            bench(embedding, **wrong)


def test_a_matcher_of_one_size_has_one_row(variant_bundle, without_memory):
    report = bench(Bundle.open(variant_bundle("paper", "retrieval", "lstm-fusion")), ["cpu"], rounds=1)
    assert [(row.name, row.buckets) for row in report.matching] == [("ONNX Runtime FP32 40x40", False)]
