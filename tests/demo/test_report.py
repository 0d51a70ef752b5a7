import json
from dataclasses import asdict
from pathlib import Path

import pytest

from jsf.data.errors import JsfError
from jsf.demo.report import print_report
from jsf.demo.run import Report, run_demo
from jsf.demo.search import Hit
from jsf.evaluation.metrics import chance
from jsf.evaluation.retrieval import Retrieval


@pytest.fixture
def report():
    ranking = chance(100, 100)
    rates = {"order": 50.0, "attribute": 97.0, "sound": 99.0}
    return Report(
        seed=0,
        clips={"train": 300, "val": 40, "test": 100},
        retrieval={name: Retrieval(ranking, ranking) for name in ("matcher", "control")},
        hard_negatives={"matcher": {**rates, "order": 96.0}, "control": rates},
        search={"a red circle": [Hit("test-0001", 1.5, "first a red circle", True)]},
        parity={"matcher": 2e-6},
        engine={
            "backend": "tensorrt-rtx",
            "reason": "it builds ahead of time",
            "bytes": {"engines/matcher.engine": 123_456},
            "fp16": {"score_error_max": 0.01, "score_range": 9.0},
            "scored by": "onnxruntime on cpu, fp32",
        },
        seconds={"render": 12.5, "train": 100.0},
    )


def test_the_report_shows_every_measure(report, capsys):
    print_report(report, Path("jsf-demo"))
    shown = capsys.readouterr().out
    for text in (
        "96%",
        "50%",
        "chance",
        "median rank",
        "50.5",
        "2.0e-06",
        "tensorrt-rtx",
        "test-0001",
        "112.5",
        "right",
    ):
        assert text in shown, text


def test_the_report_is_json(report):
    value = json.loads(json.dumps(asdict(report)))
    assert value["hard_negatives"]["matcher"]["order"] == 96.0
    assert value["retrieval"]["control"]["text_to_video"]["recall"]["10"] == 10.0


def test_a_folder_of_another_seed_is_refused_before_anything_runs(tmp_path):
    for package in ("av", "lightning", "onnxscript"):
        pytest.importorskip(package)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "demo.json").write_text('{"seed": 1}')
    with pytest.raises(JsfError, match="holds the demo of seed 1"):
        run_demo(tmp_path, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]
