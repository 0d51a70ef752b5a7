"""`jsf embed`: the arrays, and the map of the videos."""

import json
import sys

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.data.sequence import FeatureSequence
from jsf.verbs import embed
from jsf.verbs.embed import draw_map, labels_of, show_embeddings

VIDEOS = {"a": "red red", "b": "green red", "c": "dark dark", "d": "red green", "e": "blue dark"}
HALF = 0.5**0.5
TAB20 = {tuple(round(255 * part) for part in colour) for colour in colormaps["tab20"].colors}


@pytest.fixture
def files(tmp_path, monkeypatch, colour_store):
    """features/, captions.csv and paragraphs.json, in the folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    store = colour_store(VIDEOS)
    for video_id in VIDEOS:
        FeatureSequence(store.read(video_id), 5, "toy 1").save(tmp_path / "features" / f"{video_id}.npz")
    (tmp_path / "captions.csv").write_text("video_id,sentence\nb,green\na,red\nb,red\n")
    value = {"b": {"duration": 8, "timestamps": [[4, 8]], "sentences": ["red blue"]}}
    (tmp_path / "paragraphs.json").write_text(json.dumps(value))
    return tmp_path


@pytest.fixture
def run(files, toy_embedder, monkeypatch, capsys):
    """(**options) -> (standard output, standard error) of `jsf embed`, whose model is the toy."""

    def opened(*arguments):
        opened.arguments, opened.embedder = arguments, toy_embedder("toy 1")
        return opened.embedder

    def call(captions=None, out="out.npz", picture=None, json=False, task="embedding"):
        monkeypatch.setattr(toy_embedder, "task", task)
        paths = (None if name is None else files / name for name in ("features", captions, out, picture))
        capsys.readouterr()
        show_embeddings(*paths, None, None, "cpu", "fp32", json)
        return capsys.readouterr()

    monkeypatch.setattr(embed, "open_scorer", opened)
    call.opened = opened
    return call


def read(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def colours(path):
    """The colours of more than a few pixels in a picture."""
    values, counts = np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(value.tolist()) for value, count in zip(values, counts, strict=True) if count > 20}


def test_all_videos_of_a_store(run, files):
    shown = run()
    assert (shown.out, shown.err) == (f"{files / 'out.npz'}\n", "embedding with a toy\n")
    assert run.opened.arguments == (None, None, "cpu", "fp32")
    found = read(files / "out.npz")
    assert set(found) == {"ids", "videos", "text_ids", "texts"}
    assert found["ids"].tolist() == list(VIDEOS)
    np.testing.assert_allclose(
        found["videos"][:3], [[0, 1, 0, 0, 0], [0, HALF, HALF, 0, 0], [0, 0, 0, 0, 1]], rtol=1e-6
    )
    assert (found["text_ids"].shape, found["texts"].shape) == ((0,), (0, 5))


def test_the_videos_and_texts_of_captions(run, files):
    run("captions.csv")
    found = read(files / "out.npz")
    assert (found["ids"].tolist(), found["text_ids"].tolist()) == (["b", "a"], ["b", "a", "b"])
    assert (found["videos"].dtype, found["texts"].dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(found["videos"], [[0, HALF, HALF, 0, 0], [0, 1, 0, 0, 0]], rtol=1e-6)
    assert found["texts"].tolist() == np.eye(5)[[2, 1, 1]].tolist()


def test_paragraphs_are_seen_through_their_clips(run, files):
    run("paragraphs.json")
    found = read(files / "out.npz")
    assert found["videos"].tolist() == [[0, 1, 0, 0, 0]]  # the second half of "green red"
    np.testing.assert_allclose(found["texts"], [[0, HALF, 0, HALF, 0]], rtol=1e-6)


def test_json(run, files):
    found = json.loads(run("captions.csv", json=True).out)
    files_written = [str(files / "out.npz")]
    assert found == {"videos": 2, "texts": 3, "width": 5, "backend": "a toy", "files": files_written}


def test_a_map_of_a_store_has_one_colour(run, files):
    shown = run(out=None, picture="map.png")
    assert shown.out == f"{files / 'map.png'}\n"
    assert "placing 5 videos on a map, by t-SNE" in shown.err
    assert (31, 119, 180) in colours(files / "map.png")
    assert (255, 127, 14) not in colours(files / "map.png")
    assert not (files / "out.npz").exists()


def test_a_map_of_labels_has_a_colour_each(run, files):
    rows = "".join(f"{video_id},{words.split()[0]}\n" for video_id, words in VIDEOS.items())
    (files / "labels.csv").write_text(f"video_id,sentence\n{rows}")
    run("labels.csv", picture="map.svg")
    picture = (files / "map.svg").read_text()
    assert picture.startswith("<?xml")
    assert all(f"<!-- {label} -->" in picture for label in ("red", "green", "blue", "dark"))
    assert (files / "out.npz").exists()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], None),
        ([Caption("a", "x"), Caption("b", "x"), Caption("a", "y"), Caption("c", "z")], ["x", "x", "z"]),
        ([Caption("a", "x"), Caption("b", "y"), Caption("c", "z")], None),  # a text for each: no labels
        ([Paragraph(video, ("x", "y"), ((0, 1),)) for video in "abc"], ["x y"] * 3),
    ],
)
def test_labels(rows, expected):
    assert labels_of(["a", "b", "c"], rows) == expected


def test_more_labels_than_colours_are_none():
    ids = [f"v{i}" for i in range(60)]
    assert labels_of(ids, [Caption(video_id, f"l{i % 20}") for i, video_id in enumerate(ids)]) is not None
    assert labels_of(ids, [Caption(video_id, f"l{i % 21}") for i, video_id in enumerate(ids)]) is None


def test_points_of_a_label_share_its_colour_and_its_name_is_text(tmp_path):
    points = np.random.default_rng(0).standard_normal((30, 2)).astype(np.float32)
    draw_map(points, ["$x_1", "y$"] * 15, tmp_path / "map.png")
    assert {(31, 119, 180), (255, 127, 14)} <= colours(tmp_path / "map.png")
    draw_map(points, ["$x_1", "y$"] * 15, tmp_path / "map.svg")
    picture = (tmp_path / "map.svg").read_text()
    assert "<!-- $x_1 -->" in picture and "<!-- y$ -->" in picture


def test_twenty_labels_have_twenty_colours(tmp_path):
    points = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32)
    draw_map(points, [f"label {i % 20}" for i in range(60)], tmp_path / "map.png")
    assert len(colours(tmp_path / "map.png") & TAB20) == 20


REFUSED = {
    "nowhere to write": ({"out": None}, "-o was not given"),
    "another kind of file": ({"out": "out.h5"}, "embeddings cannot be written as '.*out.h5'"),
    "another kind of picture": ({"picture": "map.docx"}, "picture cannot be written as '.*map.docx'"),
    "no table": ({"captions": "gone.csv"}, "gone.csv does not exist"),
    "a model that scores pairs": ({"task": "retrieval"}, "a model for retrieval embeds neither videos nor texts"),
    "a map of too few": ({"captions": "captions.csv", "picture": "map.png"}, "a map of 2 videos says nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, run, files):
    options, message = REFUSED[case]
    with pytest.raises(JsfError, match=message):
        run(**options)
    assert not (files / "map.png").exists()


def test_features_of_another_extractor_are_refused(run, files, colour_store):
    for file in (files / "features").iterdir():
        file.unlink()
    FeatureSequence(np.ones((2, 5), np.float32), 5, "vgg 2").save(files / "features" / "a.npz")
    with pytest.raises(JsfError, match="extracted by 'vgg 2'; the model was trained on 'toy 1'"):
        run()
    assert not (files / "out.npz").exists()


@pytest.mark.parametrize("package", ["sklearn", "matplotlib"])
def test_a_missing_package_is_named_before_anything_is_embedded(package, run, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(JsfError, match=rf"'{package}'(.|\n)*'\.\[analysis\]'"):
        run(picture="map.png")
    assert not hasattr(run.opened, "embedder")
