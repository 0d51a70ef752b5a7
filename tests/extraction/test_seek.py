"""Leaving out what is not needed changes no frame: seeking and skipping against a plain decode of every frame."""

from fractions import Fraction
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import pytest

from jsf.extraction import decode
from jsf.extraction.decode import Video
from jsf.extraction.preprocess import Square

FRAMES, GROUP = 400, 20
X264 = "keyint=20:min-keyint=20:scenecut=0:bframes=3:b-pyramid=normal:b-adapt=0:ref=3"
KINDS = {
    "closed groups": ("libx264", ".mp4", {"preset": "fast", "x264-params": X264}),
    "open groups": ("libx264", ".mp4", {"preset": "fast", "x264-params": X264 + ":open-gop=1"}),
    "open groups in Matroska": ("libx264", ".mkv", {"preset": "fast", "x264-params": X264 + ":open-gop=1"}),
    "open groups in a transport stream": ("libx264", ".ts", {"preset": "fast", "x264-params": X264 + ":open-gop=1"}),
    "intra refresh": ("libx264", ".mp4", {"preset": "fast", "x264-params": "keyint=20:intra-refresh=1:bframes=0"}),
    "a single keyframe": ("libx264", ".mp4", {"preset": "fast", "x264-params": "keyint=infinite:scenecut=0:bframes=3"}),
    "HEVC, open groups": (
        "libx265",
        ".mp4",
        {"preset": "ultrafast", "x265-params": "keyint=20:min-keyint=20:open-gop=1:bframes=3:log-level=none"},
    ),
    "VP9": ("libvpx-vp9", ".webm", {"deadline": "realtime", "cpu-used": "8", "g": "20"}),
    "VP8": ("libvpx", ".webm", {"deadline": "realtime", "cpu-used": "16", "g": "20", "auto-alt-ref": "1"}),
    "MPEG-4 in AVI": ("mpeg4", ".avi", {"g": "20", "bf": "2"}),
    "MPEG-2 program stream": ("mpeg2video", ".mpg", {"g": "20", "bf": "2"}),
    "MPEG-2 in a transport stream": ("mpeg2video", ".ts", {"g": "20", "bf": "2"}),
}


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Writes a video of moving noise, whose every frame is another."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)

    def write(codec, suffix, options, variable=False, turned=False):
        path = tmp_path_factory.mktemp("seek") / f"clip{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, width=64, height=64, options=options)
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000) if variable else Fraction(1, 25)
            for i in range(FRAMES):
                image = np.roll(noise, (i, 3 * i), (0, 1))
                image[: 8 + i % 50] = (i * 5) % 256
                frame = av.VideoFrame.from_ndarray(image)
                frame.pts = 40 * i + (i * 7919 % 37) if variable else i
                frame.time_base = stream.codec_context.time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        if turned:
            data = bytearray(path.read_bytes())
            matrix = data.index(b"tkhd") + 44
            values = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
            data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
            path.write_bytes(data)
        return path

    return write


def plainly(path: Path, video: Video) -> list[tuple[float, np.ndarray]]:
    """The last frame of each kept slot, of all frames, in one pass with nothing left out."""
    reformatter, last = av.video.reformatter.VideoReformatter(), {}
    with av.open(str(path)) as container:
        frames = (frame for frame in container.decode(video=0) if frame.pts is not None)
        for slot, group in groupby(frames, video.grid.slot):
            frame = list(group)[-1]
            if slot in video.grid.slots:
                last.setdefault(slot, (video.grid.seconds(frame), Square(64).cut(frame, reformatter)))
    return list(last.values())


def check_same(path: Path, limit: int, threads: int = 0) -> None:
    """Holds the frames to those of a plain decode."""
    video = Video.scan(path, limit)
    found, expected = list(video.frames(Square(64), threads)), plainly(path, video)
    assert [frame.seconds for frame in found] == [time for time, _ in expected]
    assert len(found) == min(limit, 80)
    assert not any(frame.damaged for frame in found)
    for frame, (_, plain) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(frame.image, plain)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_frames_come_out_bit_for_bit(write, kind):
    path = write(*KINDS[kind])
    for limit in (1, 4, 40, 80):
        check_same(path, limit)
    check_same(path, 4, threads=1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_same_frames_of_a_variable_rate_come_out(write, suffix):
    check_same(write("libx264", suffix, KINDS["open groups"][2], variable=True), 4)


def test_the_same_frames_of_a_turned_video_come_out(write):
    check_same(write("libx264", ".mp4", KINDS["open groups"][2], turned=True), 4)


@pytest.mark.parametrize("kind", ["open groups", "open groups in Matroska", "HEVC, open groups", "VP9"])
def test_few_frames_of_a_long_video_are_sought(write, kind, monkeypatch):
    path, fallen_back = write(*KINDS[kind]), []
    video = Video.scan(path, 4)
    runs = video.packets.runs(list(video.grid.slots.values()))
    assert len(runs) == 4
    monkeypatch.setattr(decode, "groupby", lambda *_: fallen_back.append(1) or [])
    assert len(list(video.frames(Square(16)))) == 4
    assert not fallen_back


def test_a_film_of_two_hours_is_sought(tmp_path):
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1, width=16, height=16, options={"g": "12"})
        for i in range(7200):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((16, 16, 3), i % 240, np.uint8))))
        container.mux(stream.encode())
    video = Video.scan(path)
    assert len(video.packets.runs(list(video.grid.slots.values()))) == 40
    frames = list(video.frames(Square(16)))
    assert [frame.seconds for frame in frames] == [180 * i for i in range(40)]
    assert [round(float(frame.image.mean())) for frame in frames] == pytest.approx(
        [180 * i % 240 for i in range(40)], abs=3
    )
