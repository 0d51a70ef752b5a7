"""What lies in a folder and is no video, or cannot be read, is told at the end, with the reason, and stops no other."""

import json
import os
from contextlib import contextmanager

import av
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.extraction import extract_files
from jsf.extraction.files import find_videos

RATE = 16_000


def write_music(path, cover=False):
    """A second of silence, with or without the picture of a cover."""
    with av.open(str(path), "w", format="mp3") as container:
        sound = container.add_stream("mp3", rate=RATE, layout="mono")
        if cover:
            picture = container.add_stream("mjpeg", rate=1, width=32, height=32)
            picture.pix_fmt, picture.disposition = "yuvj420p", av.stream.Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame(32, 32, "rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode())


@pytest.fixture
def odd(write_video, tmp_path):
    """A folder of one video and of all that could be taken for one; file -> why it is none."""
    video = write_video("v/good.mp4")
    folder = video.parent
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text("not a video\n" * 50)
    (folder / "cut.mp4").write_bytes(video.read_bytes()[:300])
    (folder / "nowhere.mp4").symlink_to("gone.mp4")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    (folder / "device.mp4").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.mp4")
    write_music(folder / "music.mp4")
    write_music(folder / "cover.mp4", cover=True)
    return {
        "zero": "is empty (0 bytes)",
        "text": "cannot be decoded: Invalid data",
        "cut": "has no video stream",
        "nowhere": "is a link to a file that does not exist",
        "circle": "cannot be read: Too many levels of symbolic links",
        "device": "is not a file",
        "pipe": "is not a file",
        "music": "has no video stream",
        "cover": "has only a cover picture",
    }


@pytest.mark.parametrize("named", ["v", "v/*.mp4"])
def test_each_is_told_with_its_reason(odd, cli, extractor_folder, named):
    shown = cli("extract", named, "-o", "out.h5", "--extractor", extractor_folder)
    assert shown.status == 1
    assert not shown.out
    assert f"{1 + len(odd)} videos: 1 extracted (2 frames" in shown.err
    assert f"{len(odd)} failed" in shown.err
    for name, reason in odd.items():
        assert f"\n  v/{name}.mp4 {reason}" in shown.err
    assert "The others are in out.h5; the same command skips them." in shown.err
    again = json.loads(cli("extract", named, "-o", "out.h5", "--extractor", extractor_folder, "--json").out)
    assert (again["videos"], again["there"], again["extracted"]) == (1 + len(odd), 1, 0)
    assert sorted(again["failures"]) == sorted(f"v/{name}.mp4" for name in odd)


def test_a_folder_named_like_a_video_is_searched_and_an_empty_one_is_told(extractor, write_video, tmp_path):
    inner = write_video("v/folder.mp4/clip.mkv")
    assert find_videos([tmp_path / "v"]) == find_videos([tmp_path / "v" / "folder.mp4"]) == [inner]
    (tmp_path / "empty.mp4").mkdir()
    report = extract_files([inner, tmp_path / "empty.mp4"], tmp_path / "out", extractor)
    assert report.extracted == 1
    assert report.failures == {tmp_path / "empty.mp4": f"{tmp_path / 'empty.mp4'} is not a file."}


def test_a_pattern_that_matches_nothing_is_refused(extractor, tmp_path):
    (tmp_path / "empty").mkdir()
    for pattern in ("*.mp4", "emp*"):
        with pytest.raises(JsfError, match="no file matches"):
            extract_files([tmp_path / pattern], tmp_path / "out", extractor)


def test_a_name_that_no_system_takes_is_refused(extractor, tmp_path):
    with pytest.raises(JsfError, match="cannot be read: File name too long"):
        extract_files([tmp_path / ("x" * 300 + ".mp4")], tmp_path / "out", extractor)


@contextmanager
def as_anybody():
    """Root may read everything: it becomes somebody else in here."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def opened_tmp_path(tmp_path):
    """`tmp_path`, for everybody."""
    for folder in (tmp_path, *(each for each in tmp_path.parents if each.name.startswith(("pytest-", "popen-")))):
        folder.chmod(folder.stat().st_mode | 0o755)
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)
    return tmp_path


def test_a_file_that_may_not_be_read_is_told(extractor, write_video, opened_tmp_path):
    videos = [write_video("a.mkv"), write_video("b.mkv")]
    videos[1].chmod(0)
    with as_anybody():
        report = extract_files(videos, opened_tmp_path / "out", extractor)
    assert report.extracted == 1
    assert report.failures == {videos[1]: f"{videos[1]} cannot be decoded: Permission denied."}


def test_a_folder_that_may_not_be_read_is_refused(extractor, write_video, opened_tmp_path):
    write_video("v/a.mkv")
    inner = write_video("v/inner/b.mkv").parent
    inner.chmod(0)
    try:
        for path in (opened_tmp_path / "v", inner, inner / "b.mkv"):
            with as_anybody(), pytest.raises(JsfError, match=r"inner.* cannot be read: Permission denied"):
                extract_files([path], opened_tmp_path / "out", extractor)
    finally:
        inner.chmod(0o755)


def test_a_name_that_is_not_utf_8(write_video, cli, extractor_folder, tmp_path):
    (tmp_path / "v").mkdir()
    write_video("clip.mkv").rename(os.fsdecode(os.fsencode(tmp_path / "v") + b"/\xff.mkv"))
    shown = cli("extract", "v", "-o", "out.h5", "--extractor", extractor_folder)
    assert shown.status == 1
    assert r"the name of 'v/\udcff.mkv' is not UTF-8, which an HDF5 store needs" in shown.err
    assert cli("extract", "v", "-o", "out", "--extractor", extractor_folder).status == 0
    assert [os.fsencode(file.name) for file in (tmp_path / "out").iterdir()] == [b"\xff.npz"]
