"""`jsf extract` as a program: killed, interrupted, on a full disk, on many files and on strange ones."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from jsf.data.sequence import load_sequence, sample_steps
from jsf.data.store import open_features
from jsf.extraction import extract_files

MANY = 1000
JSF = "import sys; from jsf.cli import main; sys.argv[0] = 'jsf'; main()"


@pytest.fixture
def many(write_video, tmp_path):
    """A folder of 1,000 tiny files."""
    first = write_video("many/clip 0.mkv", [0, 40])
    for i in range(1, MANY):
        shutil.copy(first, first.with_name(f"clip {i}.mkv"))
    return first.parent


@pytest.fixture
def jsf(extractor_folder, tmp_path):
    """Starts `jsf extract ARGUMENTS` with the little extractor."""

    def start(*arguments, **options):
        command = [sys.executable, "-c", JSF, "extract", *map(str, arguments), "--extractor", str(extractor_folder)]
        return subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )

    return start


def stop(process, folder: Path, which: signal.Signals, done: int = 20) -> float:
    """Sends a signal once so many files are written, and returns how long the process took to end."""
    deadline = time.monotonic() + 60
    while len(list(folder.glob("[!.]*.npz"))) < done:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(which)
    start = time.monotonic()
    process.wait(30)
    return time.monotonic() - start


@pytest.mark.parametrize("name", ["out", "out.h5"])
def test_a_killed_run_goes_on_where_it_was(many, jsf, tmp_path, name):
    folder = tmp_path / ("out.h5.partial" if name == "out.h5" else name)
    stop(jsf(many, "-o", name), folder, signal.SIGKILL)
    done = {file: file.stat().st_mtime_ns for file in folder.glob("[!.]*.npz")}
    assert 20 <= len(done) < MANY
    assert not (tmp_path / "out.h5").exists()
    for file in done:
        load_sequence(file)  # whole
    process = jsf(many, "-o", name, "--json")
    shown = json.loads(process.communicate()[0])
    assert process.returncode == 0
    assert (shown["there"], shown["extracted"]) == (len(done), MANY - len(done))
    assert len(open_features(tmp_path / name).ids()) == MANY
    if name == "out":
        assert {file: file.stat().st_mtime_ns for file in done} == done
    else:
        assert not folder.exists()


@pytest.mark.parametrize("name", ["out", "out.h5"])
def test_ctrl_c_ends_it_at_once_and_keeps_what_is_done(many, jsf, tmp_path, name):
    folder = tmp_path / ("out.h5.partial" if name == "out.h5" else name)
    process = jsf(many, "-o", name)
    assert stop(process, folder, signal.SIGINT) < 5
    assert process.returncode == 130
    assert "Traceback" not in process.communicate()[1]
    assert len(list(folder.glob("*.npz"))) >= 20
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize(("name", "most"), [("out", 2_000), ("out.h5", 2_000), ("out.h5", 8_000)])
def test_a_full_disk_is_named_and_what_is_done_stays(write_video, jsf, tmp_path, name, most):
    """A limit on a file's size stands for it: of 8,000 bytes each video has its file, and the store does not fit."""
    videos = [write_video(f"v/{i}.mkv", range(0, 200 * 3, 200)) for i in range(4)]
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))}
    process = jsf(tmp_path / "v", "-o", name, **limit)
    shown = process.communicate()[1]
    assert process.returncode == 1
    assert "cannot write" in shown
    assert "free space" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "out.h5").exists()
    folder = tmp_path / ("out.h5.partial" if name == "out.h5" else name)
    assert len(list(folder.iterdir())) == (0 if most == 2_000 else 4)
    assert extract_again(jsf, tmp_path, name)["there"] == (0 if most == 2_000 else 4)
    assert len(open_features(tmp_path / name).ids()) == len(videos)


def extract_again(jsf, tmp_path: Path, name: str) -> dict:
    return json.loads(jsf(tmp_path / "v", "-o", name, "--json").communicate()[0])


def test_what_a_killed_run_began_to_write_is_removed(extractor, write_video, tmp_path):
    video = write_video("a.mkv")
    extract_files([video], tmp_path / "out", extractor)
    old, young, another = (tmp_path / "out" / f".{name}.npz" for name in ("a.01234567", "a.89abcdef", "b.01234567"))
    for file in (old, young, another):
        file.touch()
    os.utime(old, (0, 0))
    os.utime(another, (0, 0))
    extract_files([video], tmp_path / "out", extractor)
    assert [file.exists() for file in (old, young, another)] == [False, True, True]


def test_a_partial_store_of_another_extractor_is_refused(extractor, write_video, tmp_path):
    from jsf.data.errors import JsfError
    from jsf.data.sequence import FeatureSequence

    FeatureSequence(np.ones((1, 4), np.float32), extractor="another").save(tmp_path / "out.h5.partial" / "b.npz")
    with pytest.raises(JsfError, match="holds features of 'another'"):
        extract_files([write_video("a.mkv")], tmp_path / "out.h5", extractor)


@pytest.mark.parametrize("name", ["out", "out.h5"])
def test_all_frames_hold_the_40_that_are_kept_otherwise(extractor, write_video, tmp_path, name):
    images = [np.full((16, 16, 3), 2 * i, np.uint8) for i in range(103)]
    video = write_video("clip.mkv", range(0, 200 * 103, 200), images=images)
    extract_files([video], tmp_path / name, extractor)
    few = open_features(tmp_path / name).read("clip")
    assert extract_files([video], tmp_path / name, extractor, limit=sys.maxsize).extracted == 1
    whole = open_features(tmp_path / name).read("clip")
    assert (len(few), len(whole)) == (40, 103)
    np.testing.assert_array_equal(whole[sample_steps(103)][:, :3], few[:, :3])
    assert extract_files([video], tmp_path / name, extractor).there == 1


def test_patterns_folders_and_files_name_each_video_once(extractor, write_video, tmp_path, monkeypatch):
    for name in ("v/a 1.mkv", "v/ü [x].mkv", "v/b.mkv"):
        write_video(name)
    monkeypatch.chdir(tmp_path)
    paths = [Path("v/*.mkv"), Path("v"), tmp_path / "v" / "b.mkv", Path("v/ü [x].mkv")]
    assert extract_files(paths, Path("out"), extractor).extracted == 3
    assert sorted(file.stem for file in Path("out").iterdir()) == ["a 1", "b", "ü [x]"]


def test_bad_files_are_told_at_the_end_and_fail_the_command(write_video, jsf, tmp_path):
    good = write_video("v/good.mkv")
    (tmp_path / "v" / "zero.mp4").touch()
    (tmp_path / "v" / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "v" / "cut.mp4").write_bytes(good.read_bytes()[:300])
    process = jsf("v", "-o", "out")
    _, shown = process.communicate()
    assert process.returncode == 1
    assert "4 videos: 1 extracted" in shown
    assert "3 failed" in shown
    for name in ("zero", "text", "cut"):
        assert f"v/{name}.mp4: v/{name}.mp4" in shown
    shown = jsf("v", "-o", "out", "--json").communicate()[0]
    assert sorted(json.loads(shown)["failures"]) == ["v/cut.mp4", "v/text.mp4", "v/zero.mp4"]


@pytest.mark.parametrize("shape", [(10, 10_000), (10_000, 10)])
def test_a_picture_of_10_000_by_10_is_extracted(extractor, tmp_path, shape):
    image = np.zeros((*shape, 3), np.uint8)
    middle = tuple(slice(side // 2 - 5, side // 2 + 5) for side in shape)
    image[middle] = 200
    path = write_wide(tmp_path / "wide.avi", image)
    features = extractor.extract(path).features
    assert features.shape == (1, extractor.width)
    assert features[0, :3] == pytest.approx((200 - 127) / 128, abs=0.1)


def write_wide(path: Path, image: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=5, width=image.shape[1], height=image.shape[0])
        stream.pix_fmt = "yuvj444p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path
