"""Little videos and a little extractor, made on the spot."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import onnx
import pytest

from jsf.data.files import sha256
from jsf.extraction import Extractor
from jsf.extraction.spec import ExtractorSpec

RATE = 16_000
LEVELS = 8
"""Frame i of a test video is a flat grey of 16 + 8 i, so that a decoded frame says which one it is."""

WriteVideo = Callable[..., Path]


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """A function that writes a video: flat grey frames at given ticks of 1 / `rate`, with or without a mono sound."""

    def write(
        name: str,
        ticks: Sequence[int] = range(0, 400, 40),
        rate: Fraction = Fraction(1000),
        sound: npt.NDArray[np.float32] | None = None,
        sound_start: float = 0.0,
        images: Sequence[npt.NDArray[np.uint8]] | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if images is None:
            images = [np.full((48, 64, 3), 16 + LEVELS * i, np.uint8) for i in range(len(ticks))]
        # The index of an .mp4 comes first, as in files made for streaming: cut ones can still be opened.
        options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
        with av.open(str(path), "w", options=options) as container:
            video = container.add_stream("mpeg4", rate=rate, width=images[0].shape[1], height=images[0].shape[0])
            video.codec_context.bit_rate = 4_000_000
            video.codec_context.time_base = 1 / rate
            audio = None if sound is None else container.add_stream("pcm_s16le", rate=RATE, layout="mono")
            for image, tick in zip(images, ticks, strict=True):
                frame = av.VideoFrame.from_ndarray(image)
                frame.pts, frame.time_base = tick, 1 / rate
                container.mux(video.encode(frame))
            container.mux(video.encode())
            if audio is not None:
                container.mux(audio.encode(_audio_frame(sound, sound_start)))
                container.mux(audio.encode())
        return path

    return write


def _audio_frame(sound: npt.NDArray[np.float32], start: float) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None], "s16", "mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, round(start * RATE), Fraction(1, RATE)
    return frame


@pytest.fixture
def extractor_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An extractor folder whose CNN only averages each channel of a 16 x 16 image: [B, 3, 16, 16] -> [B, 3].

    Whoever extracts with it has a cache of its own, and leaves nothing in the user's.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "extractor"
    folder.mkdir()
    graph = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 20]>'
        "channels (float[B, 3, 16, 16] images) => (float[B, 3] features) {"
        "pooled = GlobalAveragePool(images)  features = Flatten(pooled) }"
    )
    onnx.save(graph, folder / "visual.onnx")
    ExtractorSpec(
        name="channels",
        version=1,
        input="images",
        output="features",
        size=16,
        width=3,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        sha256=sha256(folder / "visual.onnx"),
    ).save(folder)
    return folder


@pytest.fixture
def extractor(extractor_folder: Path) -> Extractor:
    return Extractor.open(extractor_folder)
