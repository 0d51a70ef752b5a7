"""The whole chain on a dozen clips: real video files to a report, and the verbs on what it leaves behind."""

import dataclasses
import json

import pytest

pytest.importorskip("tensorrt_rtx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from jsf.demo import scenes
    from jsf.demo.run import run_demo
    from jsf.training.recipe import RECIPES

    out = tmp_path_factory.mktemp("demo") / "jsf-demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "SPLITS", {"train": 6, "val": 1, "test": 2})
        recipes = RECIPES["retrieval"]
        patch.setitem(recipes, "small", dataclasses.replace(recipes["small"], epochs=1, alone=0))
        report = run_demo(out)
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(dataclasses.asdict(report)))
    return out


@pytest.fixture
def report(folder):
    return json.loads((folder / "report.json").read_text())


def test_every_held_out_clip_is_ranked_both_ways_by_the_model_and_the_control(report):
    assert report["clips"] == {"train": 24, "val": 4, "test": 8}
    for scorer in ("matcher", "control"):
        for way in ("text_to_video", "video_to_text"):
            assert report["retrieval"][scorer][way]["queries"] == report["retrieval"][scorer][way]["gallery"] == 8
        assert set(report["hard_negatives"][scorer]) == {"order", "attribute", "sound"}
    assert report["hard_negatives"]["control"]["order"] == 50


def test_the_graphs_agree_with_pytorch_and_engines_are_built(report, folder):
    assert len(report["parity"]) == 4
    assert max(report["parity"].values()) < 1e-4
    assert len(report["engine"]["bytes"]) == 3
    for engine, size in report["engine"]["bytes"].items():
        assert (folder / "bundle" / engine).stat().st_size == size


def test_a_video_file_and_its_features_score_the_same_through_the_bundle(folder):
    from jsf import Scorer
    from jsf.verbs.videos import VideoReader

    scorer = Scorer.load(folder / "bundle", "cpu")
    video = VideoReader(scorer.bundle).read(str(folder / "clips" / "test" / "test-0003.mp4"))
    features = folder / "features" / "test" / "test-0003.npz"
    sentence = "a red circle then a blue square while a bell sounds"
    assert scorer.score(video, sentence) == pytest.approx(scorer.score(features, sentence), abs=1e-5)


def test_another_seed_is_refused_and_every_stage_was_timed(folder, report, monkeypatch, capsys):
    from jsf.cli import main

    monkeypatch.setattr("sys.argv", ["jsf", "demo", "-o", str(folder), "--seed", "1"])
    with pytest.raises(SystemExit):
        main()
    assert "holds the demo of seed 0" in capsys.readouterr().err
    assert list(report["seconds"]) == [
        "render",
        "extract",
        "train",
        "export",
        "build engines",
        "evaluate",
        "control",
        "search",
    ]
