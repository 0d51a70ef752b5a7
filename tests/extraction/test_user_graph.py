"""Any ONNX file as the visual half of an extractor."""

import numpy as np
import onnx
import pytest

from jsf.data.errors import JsfError
from jsf.extraction import Extractor
from jsf.extraction.make import make_extractor
from jsf.extraction.preprocess import Square
from jsf.extraction.user_graph import write_user_graph

SQUARE = Square(16, 20)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)
POOLED = "pooled = GlobalAveragePool(images)  features = Flatten(pooled)"


def model(path, body=POOLED, inputs="float[N, 3, H, W] images", outputs="float[N, K] features"):
    text = f'<ir_version: 9, opset_import: ["" : 20]> net ({inputs}) => ({outputs}) {{ {body} }}'
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def make(tmp_path, source, square=SQUARE, name="out", output=None):
    folder = tmp_path / name
    make_extractor(folder, lambda path: write_user_graph(path, source, square, MEAN, STD, output), "none")
    return Extractor.open(folder)


def test_a_graph_of_free_sizes_sees_normalised_pixels(tmp_path, write_video):
    extractor = make(tmp_path, model(tmp_path / "mine.onnx"))
    assert (extractor.width, extractor.spec.name) == (3, "mine")
    grey = [np.full((48, 64, 3), 128, np.uint8)]
    features = extractor.extract(write_video("clip.mkv", [0], images=grey)).features
    np.testing.assert_allclose(features, [(128 / 255 - np.array(MEAN)) / np.array(STD)], atol=0.05)


def test_what_happens_before_the_graph_is_part_of_the_identity(tmp_path):
    source = model(tmp_path / "mine.onnx")
    identities = [
        make(tmp_path, source, square, name).identity
        for name, square in (("a", Square(16, 20)), ("b", Square(16, 20)), ("c", Square(16, 24)))
    ]
    assert identities[0] == identities[1] != identities[2]


def test_one_of_several_outputs_is_named(tmp_path):
    outputs = "float[N, 3, 1, 1] pooled, float[N, K] features"
    source = model(tmp_path / "two.onnx", outputs=outputs)
    with pytest.raises(JsfError, match="pooled, features") as caught:
        make(tmp_path, source)
    assert "--output" in caught.value.fix
    assert make(tmp_path, source, output="features").width == 3
    with pytest.raises(JsfError, match=r"\[3, 3, 1, 1\] for 3 images"):
        make(tmp_path, source, output="pooled")


@pytest.mark.parametrize("inputs", ["float[N, 3, 32, 32] images", "float[N, 16, 16, 3] images", "float[N, 3] images"])
def test_a_graph_of_other_inputs_is_refused(tmp_path, inputs):
    body = "features = Flatten(images)"
    with pytest.raises(JsfError, match=r"expected one input \[B, 3, 16, 16\]"):
        make(tmp_path, model(tmp_path / "other.onnx", body, inputs))


def test_a_graph_whose_images_depend_on_each_other_is_refused(tmp_path):
    body = (
        "axes = Constant <value_ints: ints = [0]> ()  all = ReduceMean(images, axes)  apart = Sub(images, all)"
        "  pooled = GlobalAveragePool(apart)  features = Flatten(pooled)"
    )
    with pytest.raises(JsfError, match="depends on the other images"):
        make(tmp_path, model(tmp_path / "batch.onnx", body))


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(JsfError, match="not a readable ONNX file"):
        make(tmp_path, tmp_path / "text.onnx")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    source, folder = model(tmp_path / "mine.onnx"), tmp_path / "documents"
    folder.mkdir()
    make(tmp_path, source, name="documents")  # an empty one is
    make(tmp_path, source, name="documents")
    (folder / "extractor.json").unlink()
    for taken in ("documents", "mine.onnx"):
        with pytest.raises(JsfError, match=f"{taken} exists and is not an extractor"):
            make(tmp_path, source, name=taken)
    assert [file.name for file in folder.iterdir()] == ["visual.onnx"]
