import hashlib
from itertools import pairwise

import numpy as np
import pytest

from jsf.data.captions import read_captions
from jsf.data.columns import read_table
from jsf.data.errors import JsfError
from jsf.demo import render as rendering
from jsf.demo.drawing import FPS, HEIGHT, SAMPLE_RATE, SCENE_SECONDS, WIDTH, sound
from jsf.demo.render import COLUMNS, render, render_clip
from jsf.demo.scenes import COLOURS, SHAPES, SOUNDS, Clip, Scene, generate

av = pytest.importorskip("av")
RED_THEN_BLUE = Clip("clip", (Scene("red", "circle"), Scene("blue", "square")), "bell", (0,))


@pytest.fixture
def few_pairs(monkeypatch):
    """One pair of scenes per split: four clips each."""
    monkeypatch.setattr(rendering, "generate", lambda seed: {name: clips[:4] for name, clips in generate(seed).items()})


def decode(path):
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        images = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return images, samples


def test_a_clip_decodes_to_its_scenes_and_as_much_sound(tmp_path):
    render_clip(tmp_path / "clip.mp4", RED_THEN_BLUE, [0])
    images, samples = decode(tmp_path / "clip.mp4")
    assert images.shape[1:] == (HEIGHT, WIDTH, 3)
    assert 2 * SCENE_SECONDS[0] <= len(images) / FPS <= 2 * SCENE_SECONDS[1]
    assert len(samples) / SAMPLE_RATE == pytest.approx(len(images) / FPS, abs=0.1)
    assert np.abs(samples).max() > 0.2
    centre = images[:, HEIGHT // 2, WIDTH // 2].astype(int)
    assert (centre[0].argmax(), centre[-1].argmax()) == (0, 2)


def test_the_seed_decides_the_file(tmp_path):
    digests = []
    for name, seed in (("a", [0, 1]), ("b", [0, 1]), ("c", [0, 2])):
        render_clip(tmp_path / f"{name}.mp4", RED_THEN_BLUE, seed)
        digests.append(hashlib.sha256((tmp_path / f"{name}.mp4").read_bytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_every_scene_is_drawn_inside_the_frame(shape, colour, tmp_path):
    clip = Clip("clip", (Scene(colour, shape), Scene(colour, shape)), "storm", (0,))
    render_clip(tmp_path / "clip.mp4", clip, [0])
    first = decode(tmp_path / "clip.mp4")[0][0].astype(int)
    far = np.ptp(first, axis=2) > 60  # the background is grey
    assert 0.1 < far.mean() < 0.6
    assert not far[0].any()
    assert not far[-1].any()


def test_sounds_differ_in_where_their_energy_lies():
    rng = np.random.default_rng(0)
    centroids = {}
    for kind in SOUNDS:
        power = np.abs(np.fft.rfft(sound(kind, SAMPLE_RATE, rng))) ** 2
        centroids[kind] = float((power * np.arange(len(power))).sum() / power.sum())
    ordered = sorted(centroids.values())
    assert all(higher > 1.2 * lower for lower, higher in pairwise(ordered)), centroids


def test_render_writes_clips_and_tables(tmp_path, few_pairs):
    folder = tmp_path / "clips"
    render(folder, seed=0)
    for split in ("train", "val", "test"):
        captions = read_captions(folder / f"{split}.csv")
        assert {f"{caption.video_id}.mp4" for caption in captions} == {path.name for path in (folder / split).iterdir()}
    negatives = [row for _, row in read_table(folder / "hard_negatives.csv", COLUMNS)]
    assert [row["key"] for row in negatives[:3]] == ["test-0000-order", "test-0000-attribute", "test-0000-sound"]
    assert len(negatives) == 3 * 4


def test_a_whole_render_is_left_as_it_is(tmp_path, few_pairs):
    folder = tmp_path / "clips"
    render(folder, seed=0)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    render(folder, seed=0)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(JsfError, match="does not hold the demo of seed 1"):
        render(folder, seed=1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(JsfError, match="does not hold the demo"):
        render(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "precious"
