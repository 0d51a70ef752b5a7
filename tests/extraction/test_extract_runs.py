"""`jsf extract` as a program: killed, interrupted, on a full disk, on many files and on strange ones."""

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

MANY = {"out": 1000, "out.h5": 300}
RATE = 16_000
JSF = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
from jsf.cli import main
sys.argv[0] = "jsf"
main()
"""


@pytest.fixture(params=MANY)
def name(request):
    """Of the output."""
    return request.param


@pytest.fixture
def many(write_video, name):
    """A folder of 1,000 tiny files, or of some hundreds."""
    first = write_video("many/clip 0.mkv", [0, 40])
    for i in range(1, MANY[name]):
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


def test_a_killed_run_goes_on_where_it_was(many, jsf, extractor, tmp_path, name):
    folder = tmp_path / ("out.h5.partial" if name == "out.h5" else name)
    stop(jsf(many, "-o", name), folder, signal.SIGKILL)
    done = {file: file.stat().st_mtime_ns for file in folder.glob("[!.]*.npz")}
    assert 20 <= len(done) < MANY[name]
    assert not (tmp_path / "out.h5").exists()
    for file in done:
        load_sequence(file)  # whole
    report = extract_files([many], tmp_path / name, extractor)
    assert (report.there, report.extracted) == (len(done), MANY[name] - len(done))
    assert len(open_features(tmp_path / name).ids()) == MANY[name]
    if name == "out":
        assert {file: file.stat().st_mtime_ns for file in done} == done
    else:
        assert not folder.exists()


def test_ctrl_c_ends_it_at_once_and_keeps_what_is_done(many, jsf, tmp_path, name):
    folder = tmp_path / ("out.h5.partial" if name == "out.h5" else name)
    process = jsf(many, "-o", name)
    assert stop(process, folder, signal.SIGINT) < 5
    assert process.returncode == 130
    assert "Traceback" not in process.communicate()[1]
    assert len(list(folder.glob("*.npz"))) >= 20
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of two hours, a frame a second, of which none can be left out; ten minutes of it have a sound."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=1, width=16, height=16, options={"g": "10000"})
        sound = container.add_stream("pcm_u8", rate=1000, layout="mono")
        for second in range(7200):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((16, 16, 3), second % 240, np.uint8))))
            if second < 600:
                frame = av.AudioFrame.from_ndarray(np.full((1, 1000), second % 256, np.uint8), "u8", "mono")
                frame.sample_rate, frame.pts = 1000, 1000 * second
                container.mux(sound.encode(frame))
        container.mux(video.encode())
    return path


def test_ctrl_c_within_a_long_film_ends_it_at_once(film, write_video, jsf, tmp_path):
    process = jsf(write_video("a.mkv"), film, "-o", "out", "--all-frames")
    assert stop(process, tmp_path / "out", signal.SIGINT, done=1) < 10  # the film takes longer
    assert process.returncode == 130
    assert "Traceback" not in process.communicate()[1]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.npz"]


def test_a_film_of_two_hours_takes_no_more_memory_than_a_clip(film, write_video, jsf, tmp_path):
    def peak(path):
        """Megabytes."""
        process = jsf(path, "-o", f"{path.stem}.npz")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, process.communicate()
        return usage.ru_maxrss / 1024

    clip = peak(write_video("clip.mkv", sound=np.zeros(RATE, np.float32)))
    assert peak(film) < clip + 100
    assert load_sequence(tmp_path / "film.npz").features.shape[0] == 40


@pytest.mark.parametrize(("name", "most"), [("out", 2_000), ("out.h5", 2_000), ("out.h5", 8_000)])
def test_a_full_disk_is_named_and_what_is_done_stays(write_video, jsf, extractor, tmp_path, name, most):
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
    assert extract_files(videos, tmp_path / name, extractor).there == (0 if most == 2_000 else 4)
    assert len(open_features(tmp_path / name).ids()) == len(videos)


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


def test_all_frames_hold_the_40_that_are_kept_otherwise(extractor, write_video, tmp_path, name):
    images = [np.full((16, 16, 3), 2 * i, np.uint8) for i in range(103)]
    sound = np.random.default_rng(0).normal(0, np.linspace(0, 0.2, 21 * RATE)).clip(-0.9, 0.9).astype(np.float32)
    video = write_video("clip.mkv", range(0, 200 * 103, 200), images=images, sound=sound)
    extract_files([video], tmp_path / name, extractor)
    few = open_features(tmp_path / name).read("clip")
    assert few[:, 3:].std(axis=0).any()
    assert extract_files([video], tmp_path / name, extractor, limit=sys.maxsize).extracted == 1
    whole = open_features(tmp_path / name).read("clip")
    assert (len(few), len(whole)) == (40, 103)
    np.testing.assert_array_equal(whole[sample_steps(103)], few)
    assert extract_files([video], tmp_path / name, extractor).there == 1


def test_patterns_folders_and_files_name_each_video_once(extractor, write_video, tmp_path, monkeypatch):
    for name in ("v/a 1.mkv", "v/ü [x].mkv", "v/b.mkv"):
        write_video(name)
    monkeypatch.chdir(tmp_path)
    paths = [Path("v/*.mkv"), Path("v"), tmp_path / "v" / "b.mkv", Path("v/ü [x].mkv")]
    assert extract_files(paths, Path("out"), extractor).extracted == 3
    assert sorted(file.stem for file in Path("out").iterdir()) == ["a 1", "b", "ü [x]"]


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
