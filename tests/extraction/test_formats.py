"""Whatever FFmpeg decodes becomes the same square: depths, colours, odd sizes, several streams, no time stamps."""

from fractions import Fraction

import av
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.extraction import preprocess
from jsf.extraction.decode import read_clip
from jsf.extraction.preprocess import Square

RED, GREY = (200, 30, 30), (120, 120, 120)


def write(path, codec="libx264", pixels="yuv420p", size=(64, 48), colour=RED, frames=10, options=None, **settings):
    """Ten frames a second of one colour."""
    with av.open(str(path), "w", **settings.pop("container", {})) as container:
        stream = container.add_stream(codec, rate=10, width=size[0], height=size[1], options=options or {})
        stream.pix_fmt = pixels
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), colour, np.uint8))))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "colour"),
    [
        ("ten bits.mp4", "libx264", "yuv420p10le", RED),
        ("full colours.mp4", "libx264", "yuv444p", RED),
        ("full range.mp4", "mjpeg", "yuvj420p", RED),
        ("alpha.mov", "png", "rgba", RED),
        ("alpha.webm", "libvpx-vp9", "yuva420p", RED),
        ("sixteen bits.mov", "png", "rgb48be", RED),
        ("grey.mp4", "libx264", "gray", GREY),
        ("grey.mov", "png", "gray16be", GREY),
    ],
)
def test_depths_and_colours(tmp_path, name, codec, pixels, colour):
    clip = read_clip(write(tmp_path / name, codec, pixels, colour=colour), Square(16))
    assert clip.frames.shape == (5, 16, 16, 3)
    np.testing.assert_allclose(clip.frames.reshape(-1, 3).mean(axis=0), colour, atol=6)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 5), (1, 9), (17, 31), (100, 3)])
def test_odd_sizes(tmp_path, size):
    clip = read_clip(write(tmp_path / "small.mov", "png", "rgb24", size), Square(24))
    assert clip.frames.shape == (5, 24, 24, 3)
    assert (clip.frames == RED).all()


def test_pixels_that_are_not_square_are_taken_as_if_they_were(tmp_path):
    plain, wide = (
        read_clip(write(tmp_path / f"{ratio.numerator}.mp4", sample_aspect_ratio=ratio), Square(16)).frames
        for ratio in (Fraction(1), Fraction(16, 11))
    )
    np.testing.assert_array_equal(plain, wide)


def test_interlaced_frames_are_taken_whole(tmp_path):
    path = write(tmp_path / "fields.mpg", "mpeg2video", options={"flags": "+ildct+ilme", "top": "1"})
    assert read_clip(path, Square(16)).frames.mean(axis=(0, 1, 2)) == pytest.approx(RED, abs=6)


def test_of_several_video_streams_one_is_read(tmp_path):
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        streams = []
        for side in (32, 64):
            stream = container.add_stream("mpeg4", rate=5, width=side, height=side)
            streams.append((stream, side))
        for stream, side in streams:
            for _ in range(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((side, side, 3), 2 * side, np.uint8))))
            container.mux(stream.encode())
    levels = read_clip(tmp_path / "two.mkv", Square(16)).frames.mean(axis=(1, 2, 3))
    assert len(levels) == 5
    assert levels == pytest.approx(levels[0], abs=1)
    assert min(abs(levels[0] - 64), abs(levels[0] - 128)) < 3


def test_a_cover_picture_is_not_the_video(write_video, tmp_path):
    path = tmp_path / "cover.mp4"
    with av.open(str(write_video("clip.mp4"))) as source, av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1, width=640, height=480)
        cover.pix_fmt, cover.disposition = "yuvj420p", av.stream.Disposition.attached_pic
        video = container.add_stream_from_template(source.streams.video[0])
        container.mux(cover.encode(av.VideoFrame(640, 480, "rgb24")))
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                container.mux(packet)
    assert len(read_clip(path, Square(16)).frames) == len(read_clip(tmp_path / "clip.mp4", Square(16)).frames) == 2


@pytest.mark.parametrize(
    ("format_", "codec", "pixels"),
    [
        ("m4v", "mpeg4", "yuv420p"),
        ("mpeg2video", "mpeg2video", "yuv420p"),
        ("mjpeg", "mjpeg", "yuvj420p"),
    ],
)
def test_a_stream_without_a_container(tmp_path, format_, codec, pixels):
    path = write(tmp_path / "raw", codec, pixels, frames=20, container={"format": format_})
    clip = read_clip(path, Square(16))
    assert len(clip.frames) >= 3
    assert (np.diff(clip.times) > 0).all()


def test_a_stream_without_any_time_is_refused(tmp_path):
    path = write(tmp_path / "raw.h264", container={"format": "h264"})
    with pytest.raises(JsfError, match="no video frames with a presentation time") as caught:
        read_clip(path, Square(16))
    assert "ffmpeg -i RAW -c copy" in caught.value.fix


SMOOTH = np.stack(np.broadcast_arrays(*(128 + 100 * np.sin(np.arange(1001) / k) for k in (7, 11, 13))), -1)


@pytest.mark.parametrize("shape", [(10, 1000), (1000, 10), (10, 1001), (1001, 10), (7, 61), (3, 25), (1, 9), (1, 10)])
@pytest.mark.parametrize("square", [Square(16), Square(224), Square(24, 32, "bilinear"), Square(16, None, "area")])
@pytest.mark.parametrize("pixels", ["rgb24", "yuv444p", "gray"])
def test_a_very_long_picture_gives_the_square_of_a_whole_one(shape, square, pixels, monkeypatch):
    long = SMOOTH[: max(shape)].astype(np.uint8)
    image = np.broadcast_to(long[None] if shape[1] > shape[0] else long[:, None], (*shape, 3))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image)).reformat(format=pixels)
    cut = square.cut(frame, av.video.reformatter.VideoReformatter())
    monkeypatch.setattr(preprocess, "WIDE", 10**9)
    whole = square.cut(frame, av.video.reformatter.VideoReformatter())
    assert whole.std() > 1
    np.testing.assert_allclose(cut.astype(int), whole.astype(int), atol=4)


@pytest.mark.parametrize("shape", [(16, 128), (128, 16), (16, 16)])
def test_a_square_keeps_no_more_than_itself_in_memory(shape):
    frame = av.VideoFrame.from_ndarray(np.zeros((*shape, 3), np.uint8))
    assert Square(16).cut(frame, av.video.reformatter.VideoReformatter()).base is None
