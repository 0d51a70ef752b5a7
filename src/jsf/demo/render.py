"""The demo's clips as H.264/AAC files, with a captions table per split and the hard negatives of the held-out clips."""

import csv
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import read_json, replacing, write_json
from jsf.data.progress import track
from jsf.demo.drawing import FPS, HEIGHT, SAMPLE_RATE, SCENE_SECONDS, WIDTH, draw, sound
from jsf.demo.scenes import Clip, generate, hard_negatives

COLUMNS = ("key", "vid_key", "video_id", "sentence")


def render(folder: Path, seed: int = 0) -> None:
    """Writes the demo's data, whole or not at all: `<split>/<clip>.mp4`, `<split>.csv`, `hard_negatives.csv`.

    The same seed gives the same files; a folder that holds them already is left as it is.

    Raises:
        JsfError: the folder holds anything else, or PyAV is not installed.
    """
    mark = folder / "demo.json"
    if mark.is_file() and read_json(mark).get("seed") == seed:
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise JsfError(
            f"{folder} exists and does not hold the demo of seed {seed}.", "Name another folder, or remove it."
        )
    require("av", "extract")
    splits = generate(seed)
    with replacing(folder) as temporary:
        _render_clips(temporary, splits, seed)
        _write_tables(temporary, splits, seed)
        write_json(
            temporary / mark.name, {"seed": seed, "clips": {split: len(clips) for split, clips in splits.items()}}
        )


def _render_clips(folder: Path, splits: dict[str, list[Clip]], seed: int) -> None:
    for split in splits:
        (folder / split).mkdir(parents=True)
    tasks = [(folder / split / f"{clip.name}.mp4", clip) for split, clips in splits.items() for clip in clips]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(render_clip, *zip(*tasks, strict=True), ([seed, i] for i in range(len(tasks))), chunksize=4)
        for _ in track(done, "rendering", len(tasks)):
            pass


def render_clip(path: Path, clip: Clip, seed: list[int]) -> None:
    """Writes one clip as an .mp4 file; the seed decides all that its sentence does not say."""
    av = require("av", "extract")
    rng = np.random.default_rng(seed)
    durations = [round(FPS * rng.uniform(*SCENE_SECONDS)) for _ in clip.scenes]
    with av.open(str(path), "w") as container:
        # One thread: x264's output depends on the number of its threads.
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "20", "threads": "1"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for image in draw(clip.scenes, durations, rng):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        wave = sound(clip.sound, sum(durations) * SAMPLE_RATE // FPS, rng)
        samples = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        samples.sample_rate, samples.time_base, samples.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), 0
        container.mux(audio.encode(samples))
        container.mux(audio.encode(None))


def _write_tables(folder: Path, splits: dict[str, list[Clip]], seed: int) -> None:
    for split, clips in splits.items():
        rows = ((f"{clip.name}-{i}", clip.name, text) for clip in clips for i, text in enumerate(clip.captions()))
        _write_table(folder / f"{split}.csv", rows)
    rng = np.random.default_rng(seed)
    negatives = [(clip.name, hard_negatives(clip, rng)) for clip in splits["test"]]
    rows = ((f"{name}-{kind}", name, text) for name, sentences in negatives for kind, text in sentences.items())
    _write_table(folder / "hard_negatives.csv", rows)


def _write_table(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((key, name, name, sentence) for key, name, sentence in rows)
