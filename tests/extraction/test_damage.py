"""Files with errors inside: what can be decoded is extracted, what is missing is told, and time stays in its place."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.extraction import container, extract_files
from jsf.extraction.audio import LogMel
from jsf.extraction.decode import Video
from jsf.extraction.preprocess import Square
from jsf.extraction.sound import mono

RATE = 16_000
X264 = {"preset": "ultrafast", "x264-params": "keyint=20:min-keyint=20:scenecut=0"}


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Writes four seconds of moving noise, 20 frames of the grid."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)

    def write(suffix):
        path = tmp_path_factory.mktemp("damage") / f"clip{suffix}"
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=25, width=64, height=64, options=X264)
            stream.pix_fmt = "yuv420p"
            for i in range(100):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, (i, 3 * i), (0, 1)))))
            output.mux(stream.encode())
        return path

    return write


def spoil(path, start, end):
    """Replaces a part of a file by noise, the same one each time."""
    data = bytearray(path.read_bytes())
    first, last = round(len(data) * start), round(len(data) * end)
    data[first:last] = np.random.default_rng(1).bytes(last - first)
    path.write_bytes(data)
    return path


def test_a_recording_that_begins_between_keyframes_lacks_its_first_frames(write, cli, extractor_folder):
    path = write(".ts")
    data = path.read_bytes()
    path.write_bytes(data[len(data) * 3 // 10 // 188 * 188 :])
    video = Video.scan(path)
    wanted, found = len(video.grid.slots), len(list(video.frames(Square(16))))
    assert 10 <= found < wanted < 20
    shown = cli("extract", path, "-o", "out", "--extractor", extractor_folder)
    assert shown.status == 0
    assert "1 damaged" in shown.err
    assert f"  {path}: of {wanted} frames {wanted - found} missing" in shown.err
    damaged = json.loads(cli("extract", path, "-o", "out.h5", "--extractor", extractor_folder, "--json").out)["damaged"]
    assert damaged == {str(path): f"of {wanted} frames {wanted - found} missing"}


def test_packets_of_noise_are_left_out(write, extractor):
    path = spoil(write(".mp4"), 0.5, 0.6)
    video = Video.scan(path)
    frames = list(video.frames(Square(16)))
    damage = len(video.grid.slots) - len(frames) + sum(frame.damaged for frame in frames)
    assert 1 <= damage <= 8
    assert [frame.seconds for frame in frames] == sorted({frame.seconds for frame in frames})
    assert len(extractor.extract(path).features) == len(frames)


def test_a_file_of_which_less_than_half_comes_out_is_refused(write, extractor):
    path = spoil(write(".mp4"), 0.1, 0.9)
    with pytest.raises(JsfError, match=r"cannot be decoded: \d of 20 frames came out"):
        extractor.extract(path)


def test_whole_files_are_not_called_damaged(write, cli, extractor_folder):
    for suffix in (".mp4", ".mkv", ".ts"):
        shown = cli("extract", write(suffix), "-o", f"out{suffix}.npz", "--extractor", extractor_folder, "--json")
        assert json.loads(shown.out)["damaged"] == {}


def sound_frame(samples, start, layout="mono", rate=RATE):
    frame = av.AudioFrame.from_ndarray(np.full((1, samples * (1 + (layout != "mono"))), 0.5, np.float32), "flt", layout)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, 1000), start
    return frame


def heard(frames, end=60.0):
    return np.concatenate(list(mono(iter(frames), RATE, end)))


def test_what_is_missing_within_a_sound_is_silence():
    sound = heard([sound_frame(RATE, 0), sound_frame(RATE, 3000)])
    assert len(sound) == 4 * RATE
    assert [float(sound[second * RATE + 10]) for second in range(4)] == [0.5, 0, 0, 0.5]


def test_rounded_time_stamps_are_no_gaps():
    assert len(heard([sound_frame(1024, start) for start in (0, 64, 129, 191, 300)])) == 5 * 1024


def test_gaps_that_are_each_short_add_up_to_silence():
    lossy = [sound_frame(320, 50 * i) for i in range(200)]  # 20 ms of every 50
    assert len(heard(lossy)) == pytest.approx(10 * RATE, abs=0.15 * RATE)


def test_a_time_stamp_far_away_is_not_waited_for():
    assert len(heard([sound_frame(RATE, 0), sound_frame(RATE, 10**12)], end=3.0)) == 4 * RATE


def test_a_sound_without_time_stamps_is_joined():
    frames = [sound_frame(RATE, None) for _ in range(3)]
    assert len(heard(frames)) == 3 * RATE


def test_a_change_of_channels_and_rate_within_a_sound():
    changing = [sound_frame(RATE, 0), sound_frame(RATE, 1000, "stereo"), sound_frame(8000, 2000, rate=8000)]
    sound = heard(changing)
    assert len(sound) == pytest.approx(3 * RATE, abs=64)
    assert sound[[100, RATE + 100, 2 * RATE + 1000]] == pytest.approx(0.5, abs=0.22)  # stereo is mixed down


@pytest.mark.parametrize(("codec", "kind"), [(b"V_MPEG4/ISO/ASP", "video"), (b"A_PCM/INT/LIT", "audio")])
def test_a_codec_that_ffmpeg_does_not_know_is_told_and_stops_no_other(write_video, extractor, tmp_path, codec, kind):
    good, bad = write_video("good.mkv", sound=np.zeros(RATE, np.float32)), tmp_path / "bad.mkv"
    content = good.read_bytes()
    assert content.count(codec) == 1
    bad.write_bytes(content.replace(codec, codec[:2] + b"X" * (len(codec) - 2)))
    report = extract_files([bad, good], tmp_path / "out", extractor)
    assert report.extracted == 1
    reason = f"{bad} cannot be decoded: FFmpeg does not know the codec of its {kind} stream."
    assert report.failures == {bad: reason}


def test_a_picture_that_would_take_all_memory_is_refused(write, extractor, monkeypatch):
    path = write(".mkv")
    monkeypatch.setattr(container, "MAX_PIXELS", 64 * 64 // 2)
    with pytest.raises(JsfError, match="cannot be decoded"):
        extractor.extract(path)


def test_of_two_sounds_the_one_with_a_decoder_is_heard(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=5, width=32, height=32)
        streams = [output.add_stream(codec, rate=RATE, layout="mono") for codec in ("flac", "pcm_s16le")]
        for _ in range(5):
            output.mux(video.encode(av.VideoFrame(32, 32, "rgb24")))
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(np.full((1, RATE), 9000, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            output.mux(stream.encode(frame))
        for stream in (video, *streams):
            output.mux(stream.encode())
    content = path.read_bytes()
    assert content.count(b"A_FLAC") == 1
    path.write_bytes(content.replace(b"A_FLAC", b"A_XXXX"))
    assert Video.scan(path).sound(LogMel(), np.array([0.0, 0.5])).any()
