"""`jsf explain` as a user sees it: the picture, the numbers, and what is refused."""

import json
import sys
from functools import partial

import av
import numpy as np
import onnx
import pytest
from PIL import Image

from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.data.sequence import FeatureSequence
from jsf.data.vocabulary import Vocabulary
from jsf.extraction import DEFAULT
from jsf.extraction.audio import LogMel
from jsf.extraction.spec import ExtractorSpec
from jsf.models.checkpoint import Checkpoint
from jsf.runtime.bundle import Bundle
from jsf.runtime.explain import Explanation, explain
from jsf.runtime.scorer import Scorer
from jsf.verbs.maps import draw_maps

SENTENCE, NEGATIVE = "a red circle then a blue square", "rings while rings"


@pytest.fixture
def jsf(cli, monkeypatch, tiny_bundle):
    """Runs `jsf explain ...`, as `cli`, on the tiny bundle."""
    monkeypatch.setenv("JSF_BUNDLE", str(tiny_bundle))
    return partial(cli, "explain")


@pytest.fixture
def video(jsf, tmp_path):
    """video.mp4, a second of pure green: 5 steps."""
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=64, height=48)
        for _ in range(10):
            image = np.full((48, 64, 3), (0, 255, 0), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path


@pytest.fixture
def save(jsf, tmp_path):
    """A function that writes features.npz of so many steps, from a source."""

    def write(steps, source="", fps=5.0):
        features = np.random.default_rng(steps).standard_normal((steps, 12)).astype(np.float32)
        FeatureSequence(features, fps, "toy 1", str(source)).save(tmp_path / "features.npz")
        return tmp_path / "features.npz"

    return write


@pytest.fixture
def extractor(jsf, tmp_path, monkeypatch):
    """The default extractor becomes one that averages an image's channels; 12 wide. Its identity."""
    folder = tmp_path / "cache" / "jsf" / "extractors" / DEFAULT
    folder.mkdir(parents=True)
    graph = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 20]>'
        "channels (float[B, 3, 16, 16] images) => (float[B, 4] features) {"
        "pooled = GlobalAveragePool(images)  rgb = Flatten(pooled)  first = Constant<value_ints: ints = [0, 1, 2, 0]>()"
        "features = Gather<axis = 1>(rgb, first) }"
    )
    onnx.save(graph, folder / "visual.onnx")
    size = {"size": 16, "width": 4, "audio": LogMel(bands=4), "mean": (127.0,) * 3, "std": (128.0,) * 3}
    spec = ExtractorSpec(DEFAULT, 1, "images", "features", **size, sha256=sha256(folder / "visual.onnx"))
    spec.save(folder)
    return spec.identity


def pixels(path):
    """[height, width, 3] integers."""
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def greens(path):
    """How many pixels of a picture are green, which nothing but the thumbnails is."""
    red, green, blue = np.moveaxis(pixels(path), 2, 0)
    return int(((green > 200) & (red < 100) & (blue < 100)).sum())


def test_a_picture_of_features(jsf, save):
    shown = jsf(save(9), SENTENCE, "-o", "map.png")
    assert (shown.status, shown.out) == (0, "map.png\n")
    assert "no thumbnails: " in shown.err
    assert greens("map.png") == 0
    height, width, _ = pixels("map.png").shape
    assert min(height, width) > 800


def test_the_negative_stands_beside_the_positive(jsf, save):
    jsf(save(9), SENTENCE, "-o", "one.png")
    assert jsf(save(9), SENTENCE, "--against", NEGATIVE, "-o", "two.png").status == 0
    assert pixels("two.png").shape[1] > 1.7 * pixels("one.png").shape[1]


def test_the_video_that_features_came_from_is_shown(jsf, save, video):
    shown = jsf(save(5, video), SENTENCE, "-o", "map.png")
    assert (shown.status, shown.err) == (0, "")
    assert greens("map.png") > 10_000


@pytest.mark.parametrize("source", ["gone.mp4", "", "x" * 300])
def test_a_source_that_is_gone_is_noted(source, jsf, save):
    shown = jsf(save(5, source), SENTENCE, "-o", "map.png")
    assert shown.status == 0
    assert shown.err == f"no thumbnails: {save(5)} does not name a video file that is there\n"


def test_a_source_of_other_frames_is_noted_and_not_shown(jsf, save, video):
    shown = jsf(save(7, video), SENTENCE, "-o", "map.png")
    assert shown.status == 0
    assert "video.mp4 has 5 sampled frames, and the features 7" in shown.err
    assert greens("map.png") == 0


def test_a_source_that_is_no_video_is_noted(jsf, save, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    shown = jsf(save(5, tmp_path / "text.mp4"), SENTENCE, "-o", "map.png")
    assert shown.status == 0
    assert "no thumbnails: " in shown.err and "cannot be decoded" in shown.err


def test_a_video_file_with_a_checkpoint(jsf, video, extractor, tiny_model, tmp_path):
    words = ("red", "blue", "circle", "square", "then", "a", "while", "rings")
    Checkpoint(tiny_model, Vocabulary(words), extractor).save(tmp_path / "best.pt")
    shown = jsf(video, SENTENCE, "-o", "map.png", "--ckpt", "best.pt")
    assert (shown.status, shown.err) == (0, "")
    assert greens("map.png") > 10_000


def test_a_video_file_by_another_extractor_is_refused(jsf, video, extractor, tiny_checkpoint):
    shown = jsf(video, SENTENCE, "-o", "map.png", "--ckpt", tiny_checkpoint)
    assert shown.status == 1
    assert f"video.mp4 was extracted by '{extractor}'; the model was trained on features of 'toy 1'" in shown.err


def test_a_video_file_needs_an_extractor_in_the_bundle(jsf, video):
    shown = jsf(video, SENTENCE, "-o", "map.png")
    assert shown.status == 1
    assert "has no extractor" in shown.err


def test_numbers_without_matplotlib(jsf, save, tiny_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    shown = jsf(save(9), SENTENCE, "--against", NEGATIVE, "--json")
    assert (shown.status, shown.err) == (0, "")
    value = json.loads(shown.out)
    assert [each["sentence"] for each in value["maps"]] == [SENTENCE, NEGATIVE]
    assert value["picture"] is None
    expected = explain(Bundle.open(tiny_bundle), str(save(9)), [SENTENCE, NEGATIVE])
    for found, explanation in zip(value["maps"], expected, strict=True):
        assert found["score"] == pytest.approx(Scorer.load().score(save(9), found["sentence"]), abs=1e-4)
        assert found["words"] == list(explanation.words)
        np.testing.assert_allclose(found["attention"], explanation.attention, rtol=1e-6)
        assert np.shape(found["attention"]) == (9, len(explanation.words))
        for name in ("stages", "gates"):
            for ours, theirs in zip(found[name], getattr(explanation, name), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_numbers_of_a_checkpoint_and_a_picture_at_once(jsf, save, tiny_checkpoint, tmp_path):
    found = json.loads(jsf(save(9), SENTENCE, "--ckpt", tiny_checkpoint, "--json", "-o", "map.svg").out)
    expected = json.loads(jsf(save(9), SENTENCE, "--json").out)
    assert found["picture"] == "map.svg"
    assert (tmp_path / "map.svg").read_text().startswith("<?xml")
    assert found["maps"][0]["score"] == pytest.approx(expected["maps"][0]["score"], abs=1e-4)


def test_unknown_words_are_named(jsf, save):
    shown = jsf(save(9), "a strange circle", "--against", "a peculiar square", "--json")
    assert "words that the model does not know are left out: strange, peculiar" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([SENTENCE], "-o was not given"),
        ([SENTENCE, "-o", "map.docx"], "cannot be written as 'map.docx'"),
        ([SENTENCE, "-o", "map"], "cannot be written as 'map'"),
        ([SENTENCE, "--json", "--ckpt", "best.pt", "--bundle", "bundle"], "both given"),
        ([SENTENCE, "--json", "--ckpt", "absent.pt"], "absent.pt does not exist"),
        (["nothing known", "--json"], "none of the words"),
        ([SENTENCE, "--against", "nothing known", "--json"], "none of the words"),
    ],
)
def test_what_is_refused(arguments, message, jsf, save):
    shown = jsf(save(9), *arguments)
    assert (shown.status, shown.out) == (1, "")
    assert message in shown.err


def test_without_matplotlib_the_extra_is_named(jsf, save, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    shown = jsf(save(9), SENTENCE, "-o", "map.png")
    assert shown.status == 1
    assert "'matplotlib'" in shown.err and "'.[explain]'" in shown.err


def pair(n, m, weight):
    """An explanation whose every number is `weight`."""
    sizes = [(n, m), *((max(1, n - cut), max(1, m - cut)) for cut in (2, 4)), (max(1, n // 2 - 2), max(1, m // 2 - 2))]
    attention, *rest = (np.full(size, weight, np.float32) for size in sizes)
    return Explanation(weight, tuple("word" for _ in range(m)), attention, rest, rest)


def test_both_panels_share_a_scale_and_higher_is_darker(tmp_path):
    draw_maps([pair(12, 6, 0.1), pair(12, 6, 0.9)], ["low", "high"], None, 0.2, tmp_path / "map.png")
    red, _, blue = np.moveaxis(pixels(tmp_path / "map.png"), 2, 0)
    dark_blue = (red < 20) & (blue > 80)
    middle = dark_blue.shape[1] // 2
    assert dark_blue[:, :middle].sum() == 0
    assert dark_blue[:, middle:].sum() > 50_000


@pytest.mark.parametrize(("n", "m"), [(1, 1), (40, 1), (1, 40), (40, 40)])
def test_every_size_can_be_drawn(n, m, tmp_path):
    thumbnails = np.zeros((n, 8, 8, 3), np.uint8)
    draw_maps([pair(n, m, 0.5)], ["costs $5 & $6 " * 20], thumbnails, 0, tmp_path / "map.png")
    assert np.ptp(pixels(tmp_path / "map.png")) == 255


def test_a_picture_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JsfError, match="cannot write"):
        draw_maps([pair(3, 3, 0.5)], ["x"], None, 0, tmp_path / "file" / "map.png")
