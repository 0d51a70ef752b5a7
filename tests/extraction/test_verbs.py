"""`jsf extract`, `jsf extractor`, `jsf export --extractor` and the scoring of video files, as a user sees them."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from jsf.data.errors import JsfError
from jsf.data.files import read_json, write_json
from jsf.data.sequence import load_sequence
from jsf.data.store import open_features
from jsf.extraction import Extractor
from jsf.verbs.export import find_extractor
from jsf.verbs.videos import VideoReader

POOL = (
    '<ir_version: 9, opset_import: ["" : 20]> pool (float[B, 3, 16, 16] images) => (float[B, 4] features) {'
    "axes = Constant <value_ints: ints = [1, 2, 3]> ()  mean = GlobalAveragePool(images)  flat = Flatten(mean)"
    "peak = ReduceMax <keepdims: int = 0> (images, axes)  column = Constant <value_ints: ints = [-1, 1]> ()"
    "peaks = Reshape(peak, column)  features = Concat <axis: int = 1> (flat, peaks) }"
)


@pytest.fixture
def graph(tmp_path):
    """An ONNX file as a user has one."""
    onnx.save(onnx.parser.parse_model(POOL), tmp_path / "mine.onnx")
    return tmp_path / "mine.onnx"


class TestExtract:
    def test_one_video(self, cli, write_video, extractor_folder, extractor):
        shown = cli("extract", write_video("clip.mkv"), "-o", "clip.npz", "--extractor", extractor_folder)
        assert (shown.status, shown.out) == (0, "clip.npz\n")
        assert f"extracting with {extractor.identity} (onnxruntime " in shown.err
        assert "131 numbers a frame" in shown.err
        assert "1 video: 1 extracted (2 frames, " in shown.err
        assert "1 without sound, with zeros in its place" in shown.err
        assert load_sequence(Path("clip.npz")).extractor == extractor.identity

    def test_json_is_all_of_standard_output(self, cli, write_video, extractor_folder, extractor):
        write_video("v/a.mkv", sound=np.full(8000, 0.1, np.float32))
        write_video("v/b.mkv")
        (Path("v") / "bad.mkv").touch()
        arguments = ("extract", "v/*.mkv", "-o", "out.h5", "--extractor", extractor_folder, "--json")
        shown = cli(*arguments)
        found = json.loads(shown.out)
        assert found.pop("seconds") > 0
        assert (shown.status, found) == (
            1,
            {
                "out": "out.h5",
                "extractor": extractor.identity,
                "videos": 3,
                "there": 0,
                "extracted": 2,
                "frames": 4,
                "silent": ["v/b.mkv"],
                "damaged": {},
                "failures": {"v/bad.mkv": "v/bad.mkv is empty (0 bytes)."},
            },
        )
        (Path("v") / "bad.mkv").unlink()
        shown = cli(*arguments)
        assert (shown.status, json.loads(shown.out)["there"]) == (0, 2)

    def test_nothing_to_do_is_told(self, cli, write_video, extractor_folder):
        arguments = ("extract", write_video("clip.mkv"), "-o", "out", "--extractor", extractor_folder)
        cli(*arguments)
        shown = cli(*arguments)
        assert (shown.status, shown.out) == (0, "out\n")
        assert "1 video: 1 there before\n" in shown.err

    def test_all_frames(self, cli, write_video, extractor_folder):
        images = [np.full((16, 16, 3), 4 * i, np.uint8) for i in range(50)]
        video = write_video("clip.mkv", range(0, 10_000, 200), images=images)
        for option, frames in (([], 40), (["--all-frames"], 50), ([], 50)):
            assert cli("extract", video, "-o", "out", "--extractor", extractor_folder, *option).status == 0
            assert len(open_features(Path("out")).read("clip")) == frames

    def test_where_all_failed_no_others_are_named(self, cli, extractor_folder):
        Path("zero.mp4").touch()
        shown = cli("extract", "zero.mp4", "-o", "out", "--extractor", extractor_folder)
        assert shown.status == 1
        assert shown.err.endswith("error: could not extract:\n  zero.mp4 is empty (0 bytes).\n")

    def test_a_run_that_is_stopped_tells_how_to_go_on(self, cli, write_video, extractor_folder, monkeypatch):
        def stopped(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("jsf.verbs.extract.extract_files", stopped)
        shown = cli("extract", write_video("clip.mkv"), "-o", "out", "--extractor", extractor_folder)
        assert shown.status == 130
        assert "stopped: the same command goes on where it was.\n" in shown.err

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ("clip.mkv -o out", "is not an extractor"),
            ("clip.mkv -o out --bundle .", "a bundle has an extractor of its own"),
            ("clip.mkv -o out --device gpu", "gpu"),
            ("none.mkv -o out", "none.mkv does not exist"),
            ("none*.mkv -o out", "no file matches none*.mkv"),
            ("empty -o out", "empty has no video files (.avi"),
            ("clip.mkv -o clip.mkv", "clip.mkv is a file, expected a folder"),
            ("clip.mkv other -o out.npz", "out.npz holds one video, got 2"),
            ("clip.mkv other/clip.mkv -o out", "would have the same id 'clip'"),
        ],
    )
    def test_a_mistake_is_explained_before_any_work(self, cli, write_video, extractor_folder, arguments, told):
        for name in ("clip.mkv", "other/clip.mkv", "other/b.mkv"):
            write_video(name, [0] if name == "other/clip.mkv" else [0, 40])
        if told == "out.npz holds one video, got 2":
            (Path("other") / "clip.mkv").unlink()
        Path("empty").mkdir()
        folder = "empty" if told == "is not an extractor" else extractor_folder
        shown = cli("extract", *arguments.split(), "--extractor", folder)
        assert shown.status in (1, 2)
        assert told in " ".join(shown.err.split())
        assert not shown.out
        assert not list(Path().glob("out*"))


class TestExtractor:
    def test_a_users_graph(self, cli, graph, write_video):
        shown = cli("extractor", "--onnx", graph, "-o", "made", "--size", 16, "--resize", 20, "--sound", "none")
        assert (shown.status, shown.out) == (0, "made\n")
        assert "4 numbers of the image and 0 of the sound a frame" in shown.err
        assert Extractor.open(Path("made")).spec.square.short_side == 20
        assert cli("extract", write_video("clip.mkv"), "-o", "clip.npz", "--extractor", "made").status == 0
        assert load_sequence(Path("clip.npz")).features.shape == (2, 4)

    def test_without_a_folder_it_is_in_the_users_cache(self, cli, graph, tmp_path):
        shown = cli("extractor", "--onnx", graph, "--size", 16)
        assert shown.out == f"{tmp_path / 'cache' / 'jsf' / 'extractors' / 'mine-log-mel'}\n"
        assert read_json(Path(shown.out.strip()) / "extractor.json")["sound"] == "log-mel"

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ("", "name one CNN: efficientnet-lite0, resnet-50"),
            ("resnet-50 --onnx mine.onnx", "name one CNN"),
            ("vgg", "CNN 'vgg' is not known, expected one of: efficientnet-lite0"),
            ("--onnx mine.onnx --sound loud", "sound 'loud' is not known, expected one of: log-mel, vggish, none"),
            ("resnet-50 --size 300", "--size and the like are for --onnx"),
            ("efficientnet-lite0 --mean 0,0,0", "--size and the like are for --onnx"),
            ("--onnx mine.onnx --weights w.pt", "--weights are for resnet-50"),
            ("--onnx mine.onnx --sound-weights w", "--sound-weights are for --sound vggish"),
            ("--onnx mine.onnx --interpolation best", "interpolation 'best' is not known, expected one of: bicubic"),
            ("--onnx mine.onnx --size 16 --resize 8", "--resize 8 is less than --size 16"),
            ("--onnx mine.onnx --std 1,0,1", "--std holds 0, expected numbers above 0"),
            ("--onnx mine.onnx --std 1,-2,1", "--std holds -2, expected numbers above 0"),
            ("--onnx mine.onnx --std 1,inf,1", "--std is '1,inf,1', expected three numbers"),
            ("--onnx mine.onnx --mean nan,0,0", "--mean is 'nan,0,0', expected three numbers"),
            ("--onnx mine.onnx --mean 1,2", "--mean is '1,2', expected three numbers"),
            ("--onnx mine.onnx --mean a,b,c", "--mean is 'a,b,c', expected three numbers"),
            ("--onnx mine.onnx", "expected one input [B, 3, 224, 224]"),
            ("--onnx mine.onnx --size 16 --output peak", "mine.onnx has the outputs features"),
            ("--onnx gone.onnx --size 16", "gone.onnx"),
            ("--onnx mine.onnx --size 16 --sound vggish --sound-weights w", "torchvggish"),
        ],
    )
    def test_a_mistake_is_explained_and_leaves_nothing(self, cli, graph, arguments, told):
        shown = cli("extractor", *arguments.split(), "-o", "made")
        assert shown.status == 1
        assert told in shown.err
        assert not shown.out
        assert [file.name for file in Path().iterdir() if file.name != "cache"] == ["mine.onnx"]


class TestWithABundle:
    """What reads videos for a bundle sees its extractor's folder only."""

    @pytest.fixture
    def reader(self, cli, extractor_folder):
        def make():
            return VideoReader(SimpleNamespace(extractor=extractor_folder, root=Path("bundle")))

        return make

    def test_a_video_file_goes_through_the_cnn_once(self, reader, write_video, monkeypatch):
        video = write_video("clip.mkv")
        first = reader().read(str(video))

        def never(*_):
            raise AssertionError("the CNN runs again")

        monkeypatch.setattr(Extractor, "see", never)
        second = reader().read(str(video.rename("renamed.mkv")))
        np.testing.assert_array_equal(first.features, second.features)
        assert (first.extractor, second.source) == (second.extractor, "renamed.mkv")

    def test_an_extractor_whose_settings_were_edited_is_not_given_the_features_of_before(
        self, reader, write_video, extractor_folder
    ):
        video = str(write_video("clip.mkv"))
        before = reader().read(video).features
        path = extractor_folder / "extractor.json"
        write_json(path, read_json(path) | {"mean": [0.0, 0.0, 0.0]})
        np.testing.assert_allclose(reader().read(video).features[:, :3], before[:, :3] + 127 / 128, atol=1e-5)

    def test_a_video_that_cannot_be_read_is_told_each_time(self, reader, write_video):
        Path("zero.mp4").touch()
        for _ in range(2):
            with pytest.raises(JsfError, match=r"zero\.mp4 is empty"):
                reader().read("zero.mp4")
            with pytest.raises(JsfError, match=r"gone\.mp4 does not exist"):
                reader().read("gone.mp4")

    def test_export_takes_the_extractor_that_made_the_features(self, cli, extractor_folder, extractor):
        assert find_extractor(extractor.identity, extractor_folder) == extractor_folder
        with pytest.raises(JsfError, match=r"is 'channels 1 .*the model was trained on features of 'another'"):
            find_extractor("another", extractor_folder)

    def test_export_finds_it_in_the_users_cache(self, cli, graph, tmp_path):
        folder = Path(cli("extractor", "--onnx", graph, "--size", 16).out.strip())
        assert find_extractor(Extractor.open(folder).identity) == folder
        assert find_extractor("another 1 abc") is None
