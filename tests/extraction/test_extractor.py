import json
import sys

import numpy as np
import onnx
import pytest

from jsf.data.errors import JsfError
from jsf.data.files import read_json, sha256, write_json
from jsf.data.sequence import load_sequence
from jsf.extraction import Extractor, default_extractor
from jsf.extraction.audio import LogMel
from jsf.extraction.decode import read_clip
from jsf.extraction.preprocess import Square

RATE = 16_000


def test_features_are_the_cnns_then_the_sounds(extractor, write_video):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    path = write_video("clip.mkv", range(0, 1000, 40), sound=tone)
    sequence = extractor.extract(path)
    assert sequence.features.shape == (5, 3 + 128) == (5, extractor.width)
    assert sequence.features.dtype == np.float32
    # The sampled frames 2, 7, 12, ... are flat greys of 16 + 8 i.
    grey = (16 + 8 * np.arange(2, 25, 5) - 127) / 128
    np.testing.assert_allclose(sequence.features[:, :3], np.repeat(grey[:, None], 3, 1), atol=0.02)
    written = (tone * 32767).astype(np.int16).astype(np.float32) / 32768
    heard = LogMel().features([written], 0.0, read_clip(path, Square(16)).times)
    np.testing.assert_allclose(sequence.features[:, 3:], heard, atol=1e-5)
    assert sequence.fps == pytest.approx(5, abs=0.01)
    assert sequence.source == str(path)


def test_a_silent_video_has_zeros_for_sound(extractor, write_video):
    features = extractor.extract(write_video("clip.mkv")).features
    assert features[:, :3].any()
    assert not features[:, 3:].any()


def test_at_most_40_frames_reach_the_cnn_and_batches_join_without_a_seam(extractor, write_video):
    images = [np.full((16, 16, 3), 4 * i, np.uint8) for i in range(60)]
    features = extractor.extract(write_video("clip.mkv", range(0, 12_000, 200), images=images)).features
    grey = (4 * (np.arange(40) * 60 // 40) - 127) / 128
    np.testing.assert_allclose(features[:, 0], grey, atol=0.03)


def test_the_identity_names_recipe_and_graph_and_is_kept(extractor, extractor_folder, write_video, tmp_path):
    digest = sha256(extractor_folder / "visual.onnx")
    assert extractor.identity == f"channels 1 {digest[:12]}"
    extractor.extract(write_video("clip.mkv")).save(tmp_path / "clip.npz")
    assert load_sequence(tmp_path / "clip.npz").extractor == extractor.identity


def test_a_folder_that_is_no_extractor_is_refused(tmp_path):
    with pytest.raises(JsfError, match="is not an extractor"):
        Extractor.open(tmp_path)


def test_a_changed_graph_is_refused(extractor_folder):
    graph = onnx.load(extractor_folder / "visual.onnx")
    graph.producer_name = "another"
    onnx.save(graph, extractor_folder / "visual.onnx")
    with pytest.raises(JsfError, match="was changed") as caught:
        Extractor.open(extractor_folder)
    assert str(extractor_folder) in caught.value.fix


@pytest.mark.parametrize(
    "change",
    [
        {"size": "large"},
        {"mean": [127.0]},
        {"std": [128.0, 0.0, 128.0]},
        {"audio": {"bands": 10**9}},
        {"audio": {"pitch": 1}},
        {"audio": {"rate": 10**9}},
        {"audio": {"hop": 1e-9}},
        {"mean": [10**400, 0, 0]},
        {"size": float("inf")},
        {"audio": {"rate": "fast"}},
        {"size": 10**6},
        {"width": 4},
        {"output": "logits"},
        {"surprise": 1},
    ],
)
def test_a_spec_that_does_not_fit_is_refused(extractor_folder, change):
    path = extractor_folder / "extractor.json"
    write_json(path, read_json(path) | change)
    with pytest.raises(JsfError, match=r"extractor\.json"):
        Extractor.open(extractor_folder)


def test_a_spec_that_lacks_something_or_is_no_json_is_refused(extractor_folder):
    path = extractor_folder / "extractor.json"
    whole = read_json(path)
    path.write_text(json.dumps({key: value for key, value in whole.items() if key != "sha256"}))
    with pytest.raises(JsfError, match="sha256"):
        Extractor.open(extractor_folder)
    path.write_text("{")
    with pytest.raises(JsfError, match="not readable JSON"):
        Extractor.open(extractor_folder)


def test_a_device_that_is_not_there_is_refused(extractor_folder):
    with pytest.raises(JsfError, match="tpu"):
        Extractor.open(extractor_folder, "tpu")


def test_without_pytorch_the_default_extractor_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(JsfError, match=r"pip install '\.\[export\]'"):
        default_extractor()
