"""Extracts a folder of clips in one run as jsf does, and the plain way, and compares time and features.

    python benchmarks/extraction.py clips/ --device openvino

"jsf, int8" is jsf with the same CNN in INT8, where the extractor has it (`jsf build-engine --int8 --extractor DIR`).

The plain way, as in a notebook: one file at a time, one stage after the other; PyAV decodes every frame with its
default threads; every frame of the 5 fps grid is converted and goes through the PyTorch CNN, in batches of 16, in
inference mode and with PyTorch's default threads; 40 equidistant ones are kept, with the sound's statistics around
them, in an .npz. "40 frames" is the same, but that no others are converted and seen. Every way reads the files from
the page cache: they are read once before.
"""

import argparse
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
import torch

from jsf.data.sequence import MAX_STEPS, FeatureSequence, load_sequence, sample_steps
from jsf.extraction import Extractor, default_extractor
from jsf.extraction.backbone import PooledFeatures
from jsf.extraction.decode import Video
from jsf.extraction.files import find_videos
from jsf.extraction.outputs import open_output
from jsf.extraction.pipeline import extract_videos
from jsf.extraction.preprocess import Square, normalize
from jsf.verbs.output import print_table

EVERY, BATCH = 1 << 40, 16


class Clock:
    """Seconds by stage; threads add up, so overlapping stages exceed the wall clock."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.frames = 0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Adds what happens in here to a stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def call(*arguments: Any, **options: Any) -> Any:
            with self(stage):
                return function(*arguments, **options)

        return call

    def timed_frames(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The generator of decoded frames, timed."""

        def frames(*arguments: Any) -> Iterator[Any]:
            iterator = function(*arguments)
            while (frame := self.timed("decode", next)(iterator, None)) is not None:
                yield frame

        return frames


def plainly(
    videos: list[Path], out: Path, network: torch.nn.Module, extractor: Extractor, clock: Clock, limit: int
) -> None:
    """The plain way; at most `limit` frames of a video go through the CNN."""
    spec = extractor.spec
    for path in videos:
        with clock("decode"):
            video = Video.scan(path, limit)
            grid = video.grid
        with clock("decode"), av.open(str(path)) as container:
            frames = [frame for frame in container.decode(video=0) if frame.pts is not None]
        with clock("convert"):
            reformatter = av.video.reformatter.VideoReformatter()
            groups = [(slot, deque(group, maxlen=1).pop()) for slot, group in groupby(frames, grid.slot)]
            kept = [frame for slot, frame in groups if slot in grid.slots]
            images = np.stack([spec.square.cut(frame, reformatter) for frame in kept])
            batches = [
                np.ascontiguousarray(normalize(images[i : i + BATCH], spec.mean, spec.std))
                for i in range(0, len(images), BATCH)
            ]
        with clock("CNN"), torch.inference_mode():
            visual = np.concatenate([network(torch.from_numpy(batch)).numpy() for batch in batches])
        clock.frames += len(kept)
        steps = sample_steps(len(kept))
        times = np.array([grid.seconds(frame) for frame in kept])[steps]
        with clock("audio"):
            sound = video.sound(extractor.sound, times)
        with clock("write"):
            FeatureSequence(np.hstack([visual[steps], sound]), 5.0, spec.identity, str(path)).save(
                out / f"{path.stem}.npz"
            )


def as_jsf_does(videos: list[Path], out: Path, extractor: Extractor, clock: Clock) -> None:
    """What `jsf extract` runs, without its progress bar."""
    with open_output(videos, out, extractor.identity, MAX_STEPS) as output:
        for outcome in extract_videos(videos, extractor):
            if outcome.sequence:
                clock.frames += len(outcome.sequence.features)
                with clock("write"):
                    output.save(outcome.video, outcome.sequence)


@contextmanager
def timing(clock: Clock) -> Iterator[None]:
    """Times the stages of jsf in here."""
    stages = [
        (Video, "scan", clock.timed("decode", Video.scan)),
        (Video, "sound", clock.timed("audio", Video.sound)),
        (Video, "_kept", clock.timed_frames(Video._kept)),
        (Square, "cut", clock.timed("convert", Square.cut)),
        (Extractor, "see", clock.timed("CNN", Extractor.see)),
    ]
    with ExitStack() as stack:
        for owner, name, function in stages:
            stack.enter_context(patch.object(owner, name, function))
        yield


def main() -> None:
    """Prints videos/s and stages side by side, and the greatest difference of the features."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("clips", type=Path)
    options.add_argument("--device", default="cpu")
    options.add_argument("--extractor", type=Path, help="an EfficientNet-Lite0's folder; default: the default one")
    options.add_argument("--videos", type=int, help="only the first so many")
    chosen = options.parse_args()
    videos = find_videos([chosen.clips])[: chosen.videos]
    for video in videos:
        video.read_bytes()
    folder = chosen.extractor or default_extractor()
    extractor = Extractor.open(folder, chosen.device)
    network = PooledFeatures()
    plain, fewer, ours, reduced = "plain", "40 frames", "jsf", "jsf, int8"
    extractors = {ours: extractor}
    if "int8" in extractor.spec.reduced:
        extractors[reduced] = Extractor.open(folder, chosen.device, "int8")
    clocks = {way: Clock() for way in (plain, fewer, *extractors)}
    with tempfile.TemporaryDirectory() as place:
        outs = {way: Path(place) / way for way in clocks}
        for way, each in extractors.items():
            with clocks[way]("all"), timing(clocks[way]):
                as_jsf_does(videos, outs[way], each, clocks[way])
        for way, limit in ((plain, EVERY), (fewer, MAX_STEPS)):
            with clocks[way]("all"):
                plainly(videos, outs[way], network, extractor, clocks[way], limit)
        found = {
            way: np.concatenate([load_sequence(out / f"{v.stem}.npz").features for v in videos])
            for way, out in outs.items()
        }
    show(videos, clocks, extractor)
    error = max(float(np.abs(found[way] - found[ours]).max()) for way in (plain, fewer))
    print(f"greatest difference of a feature: {error:.1e}, where the greatest is {np.abs(found[plain]).max():.1f}")


def show(videos: list[Path], clocks: dict[str, Clock], extractor: Extractor) -> None:
    """The table."""
    rows = []
    for name, clock in clocks.items():
        total = clock.seconds["all"]
        stages = (f"{clock.seconds[stage]:.2f}" for stage in ("decode", "convert", "CNN", "audio", "write"))
        speedup = f"{total / clocks['jsf'].seconds['all']:.1f}"
        rows.append([name, f"{clock.frames:,}", f"{total:.1f}", f"{len(videos) / total:.2f}", speedup, *stages])
    print_table(
        f"{len(videos)} clips, {extractor.graph.description}",
        ["way", "frames", "s", "videos/s", "/ jsf", "decode", "convert", "CNN", "audio", "write"],
        rows,
    )
    print(
        "Stages are in seconds, decode with the reading of time stamps; those of jsf overlap, and wait for each other."
    )


if __name__ == "__main__":
    main()
