"""`jsf bench`: what it prints and writes, and what it refuses."""

import json
import sys

import pytest

from jsf.cli import main
from jsf.data.errors import JsfError
from jsf.runtime.bench import floor
from jsf.runtime.bench.report import Encoding, Report
from jsf.verbs.bench import print_report, show_bench
from jsf.verbs.bench_chart import draw_chart

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def small_products(monkeypatch):
    monkeypatch.setattr(floor, "WIDTH", 64)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def bench(tiny_bundle):
    """bench(name=value, ...) -> `jsf bench` of one round on the CPU, with other options than those."""

    def call(**options):
        nothing = {"precisions": (), "captions": None, "ckpt": None, "out": None, "chart": None}
        chosen = {"devices": ["cpu"], "frames": 40, "rounds": 1, "bundle": tiny_bundle, "json": False}
        show_bench(**{**nothing, **chosen, **options})

    return call


def test_tables_json_and_a_chart_beside_pytorch(bench, tiny_checkpoint, tmp_path, capsys, monkeypatch):
    def no_compiler(matcher, dynamic):
        def run(*inputs):
            raise RuntimeError("no compiler is here")

        return run

    monkeypatch.setattr("torch.compile", no_compiler)
    captions = tmp_path / "captions.csv"
    captions.write_text("video_id,sentence\nv0,a red circle\nv1,blue square then a red circle while blue rings\n")
    files = {"out": tmp_path / "new" / "bench.json", "chart": tmp_path / "bench.png"}
    bench(captions=captions, ckpt=tiny_checkpoint, **files)
    text = capsys.readouterr().out
    report = json.loads(files["out"].read_text())
    assert report["baseline"] == "PyTorch eager FP32 40x40"
    for row in report["matching"]:
        assert row["name"] in text and f"{row['ratio']:.2f}" in text
    assert "2 sentences of captions.csv, 6.0 known words in the mean" in " ".join(text.split())
    assert "39x7" in text and "39x9" in text
    assert report["machine"]["processor"] in text and "onnxruntime" in text
    assert "no compiler is here" in report["absent"]["torch.compile FP32"]
    assert "not here: torch.compile FP32" in text
    assert files["chart"].read_bytes().startswith(PNG)


def test_json_is_all_of_standard_output(bench, capsys):
    bench(json=True)
    report = json.loads(capsys.readouterr().out)
    assert [row["device"] for row in report["encoding"]] == ["cpu"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": ["tpu"]}, "device 'tpu' is not known"),
        ({"precisions": ["int8"]}, "has no int8-cpu graphs, only: fp32"),
        ({"devices": ["cuda"]}, "'cuda' is not here"),
        ({"captions": "absent.csv"}, "absent.csv does not exist"),
        ({"ckpt": "absent.pt"}, "absent.pt does not exist"),
        ({"chart": "bench.mp3"}, "cannot be written as 'bench.mp3'"),
        ({"bundle": "absent"}, "absent is not a bundle"),
    ],
)
def test_what_is_not_there_is_an_error(options, message, bench, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    paths = {name: Path(value) for name, value in options.items() if isinstance(value, str)}
    with pytest.raises(JsfError, match=message):
        bench(**{**options, **paths})
    assert not list(tmp_path.iterdir())


def test_options_reach_the_measurement(tiny_bundle, monkeypatch, capsys):
    options = ["--device", "cpu", "--precision", "fp32", "--frames", "9", "--rounds", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["jsf", "bench", "--bundle", str(tiny_bundle), *options])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    report = json.loads(capsys.readouterr().out)
    assert (report["workload"]["frames"], report["rounds"]) == (9, 1)
    in_buckets = next(row for row in report["matching"] if row["buckets"])
    assert {size["frames"] for size in in_buckets["sizes"]} == {11}


def test_of_an_embedding_encoding_alone_is_shown(tmp_path, capsys):
    machine = {"processor": "a CPU", "cores": 2, "load": 0.0, "system": "Linux", "versions": {"jsf": "0.1.0"}}
    rows = [Encoding("OpenVINO FP32", "openvino", "openvino", "fp32", 1234.5, 6789.0, None, None, 42_000_000)]
    bundle = {"model": "hse", "preset": "paper"}
    report = Report("today", machine, bundle, None, 5, None, [], rows, None, {"CUDA FP32": "no GPU"})
    print_report(report)
    text = capsys.readouterr().out
    assert "1,234.5" in text and "6,789.0" in text and " 42 " in text and "not here: CUDA FP32  no GPU" in text
    draw_chart(report, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(PNG)
