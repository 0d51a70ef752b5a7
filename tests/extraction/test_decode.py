import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.data.sequence import sample_steps
from jsf.extraction.decode import Clip, Video, read_clip
from jsf.extraction.grid import Grid
from jsf.extraction.preprocess import Square

RATE = 16_000
MILLISECONDS = Fraction(1, 1000)


def indices(clip: Clip) -> list[int]:
    """Which frames of a flat-grey test video were kept."""
    return [round((float(level) - 16) / 8) for level in clip.frames.mean(axis=(1, 2, 3))]


def ffmpeg_fps_filter(path: Path) -> list[int]:
    """Which frames FFmpeg's own fps filter keeps, without its duplicates."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        graph.link_nodes(graph.add_buffer(template=stream), graph.add("fps", "5"), graph.add("buffersink")).configure()
        levels: list[float] = []
        for frame in [*container.decode(stream), None]:
            graph.push(frame)
            while True:
                try:
                    levels.append(float(graph.pull().to_ndarray(format="rgb24").mean()))
                except (av.BlockingIOError, av.EOFError):
                    break
    return list(dict.fromkeys(round((level - 16) / 8) for level in levels))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rate", ["3", "5", "15/2", "10", "12", "24000/1001", "25", "28"])
def test_constant_rates_are_sampled_as_by_ffmpegs_fps_filter(write_video, rate, suffix):
    frames = round(Fraction(rate))
    path = write_video("clip" + suffix, range(frames), Fraction(rate))
    kept = indices(read_clip(path, Square(48)))
    assert kept == ffmpeg_fps_filter(path)
    assert len(kept) == min(5, frames)


def test_times_are_presentation_times_from_the_first_frame(write_video):
    clip = read_clip(write_video("clip.mkv", range(500, 1500, 40)), Square(48))
    assert clip.times == pytest.approx([0.08, 0.28, 0.48, 0.68, 0.88], abs=1e-3)


def test_variable_frame_rate_keeps_the_last_frame_of_each_slot(write_video):
    path = write_video("clip.mkv", [0, 30, 60, 400, 410, 700, 990])
    clip = read_clip(path, Square(48))
    assert indices(clip) == [2, 4, 5, 6]
    assert clip.times == pytest.approx([0.06, 0.41, 0.7, 0.99])


def test_a_source_slower_than_the_grid_keeps_its_own_frames(write_video):
    clip = read_clip(write_video("clip.mkv", [0, 333, 667]), Square(48))
    assert indices(clip) == [0, 1, 2]


def test_a_single_frame_is_kept(write_video):
    assert read_clip(write_video("clip.mkv", [0]), Square(48)).frames.shape == (1, 48, 48, 3)


def test_a_long_video_keeps_40_equidistant_frames_of_the_grid():
    grid = Grid.at(list(range(0, 20_000, 200)), MILLISECONDS)
    assert list(grid.slots) == list(sample_steps(100))


@given(st.lists(st.integers(200, 5_000), min_size=0, max_size=39), st.integers(-1000, 1000))
def test_every_frame_of_a_slow_source_has_a_slot_of_its_own(gaps, origin):
    ticks = np.cumsum([origin, *gaps]).tolist()
    assert len(Grid.at(ticks, MILLISECONDS).slots) == len(ticks)


@given(st.sets(st.integers(0, 100_000), min_size=1, max_size=300))
def test_kept_slots_are_at_most_40_and_begin_with_the_first_frame(ticks):
    slots = Grid.at(sorted(ticks), MILLISECONDS).slots
    assert 0 in slots
    assert len(slots) <= min(40, len(ticks))


def test_the_centre_square_is_kept(write_video):
    image = np.zeros((48, 96, 3), np.uint8)
    image[:, 24:72] = 200
    clip = read_clip(write_video("clip.mkv", [0], images=[image]), Square(24))
    assert clip.frames.shape == (1, 24, 24, 3)
    assert clip.frames[0, :, 2:-2].min() > 180


def test_a_turned_video_is_put_upright(write_video):
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32] = 200  # the sensor's upper half is bright
    path = write_video("clip.mp4", [0], images=[image])
    turn_clockwise(path)
    upright = read_clip(path, Square(64)).frames[0]
    assert upright[:, 36:].min() > 180
    assert upright[:, :28].max() < 20


def turn_clockwise(path: Path) -> None:
    """Writes a display matrix of 90 degrees clockwise into an MP4 file's track header, as phones do."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    values = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)


class Ear:
    """A recipe that keeps what it hears."""

    width = 1

    def __init__(self, rate=RATE):
        self.rate = rate

    def features(self, pieces, start, times):
        self.sound = np.concatenate([np.zeros(0, np.float32), *pieces])
        self.start = start
        return np.zeros((len(times), 1), np.float32)


def hear(path: Path, rate: int = RATE) -> Ear:
    Video.scan(path).sound(ear := Ear(rate), np.zeros(1))
    return ear


def test_sound_is_mono_at_the_rate_asked_for(write_video):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE // 2) / RATE).astype(np.float32)
    heard = hear(write_video("clip.mkv", sound=tone))
    assert heard.start == pytest.approx(0, abs=1e-3)
    assert heard.sound == pytest.approx(tone, abs=1e-4)
    assert len(hear(write_video("clip.mkv", sound=tone), 8000).sound) == pytest.approx(RATE // 4, abs=32)


def test_sound_that_starts_late_keeps_its_time(write_video):
    path = write_video("clip.mkv", range(100, 600, 40), sound=np.zeros(1600, np.float32), sound_start=0.35)
    assert hear(path).start == pytest.approx(0.25, abs=2e-3)


def test_a_video_without_sound_has_an_empty_sound(write_video):
    path = write_video("clip.mkv")
    assert not Video.scan(path).has_sound
    assert hear(path).sound.shape == (0,)


@pytest.mark.parametrize("name", ["two words.mkv", "ünï – 映画.mkv", "-dash:colon#hash.mkv"])
def test_any_file_name_is_read(write_video, name, monkeypatch):
    path = write_video(name)
    monkeypatch.chdir(path.parent)
    assert len(read_clip(Path(name), Square(16)).frames) == 2


def refusal(path: Path) -> str:
    with pytest.raises(JsfError) as caught:
        read_clip(path, Square(16))
    assert path.name in caught.value.message
    return caught.value.message


def test_missing_and_empty_files_are_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.mp4")
    assert "is not a file" in refusal(tmp_path)
    (tmp_path / "zero.mp4").touch()
    assert "is empty (0 bytes)" in refusal(tmp_path / "zero.mp4")


@pytest.mark.parametrize("kept", ["a part of the index", "the index alone", "the index and half of the frames"])
def test_a_truncated_mp4_is_refused(write_video, kept):
    path = write_video("clip.mp4")
    data = path.read_bytes()
    index, frames = data.index(b"moov"), data.index(b"mdat")
    ends = {
        "a part of the index": (index + frames) // 2,
        "the index alone": frames + 4,
        "the index and half of the frames": (frames + len(data)) // 2,
    }
    path.write_bytes(data[: ends[kept]])
    assert any(word in refusal(path) for word in ("cut off", "cannot be decoded", "no video"))


@pytest.mark.parametrize("content", ["not a video\n" * 50, "#EXTM3U\n#EXTINF:2,\n/etc/hostname\n#EXT-X-ENDLIST\n"])
def test_text_renamed_to_mp4_is_refused(tmp_path, content):
    path = tmp_path / "text.mp4"
    path.write_text(content)
    assert "cannot be decoded" in refusal(path)


def test_sound_alone_is_refused(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "has no video stream" in refusal(path)


def test_a_video_stream_without_frames_is_refused(write_video):
    path = write_video("clip.avi", [0])
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])
    assert "no video frames" in refusal(path)


def test_the_missing_package_is_named(write_video, monkeypatch):
    path = write_video("clip.mkv")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(JsfError, match=r"pip install '\.\[extract\]'"):
        read_clip(path, Square(16))
