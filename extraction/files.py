"""Many video files to feature files: decoding runs ahead of the CNN, and one bad file does not stop the rest."""

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.data.sequence import FeatureSequence, load_sequence
from jsf.data.store import HDF5_SUFFIXES
from jsf.extraction.decode import Clip
from jsf.extraction.extractor import Extractor

VIDEO_SUFFIXES = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv")
"""What is taken from a folder; a file named directly may have any suffix."""

_AHEAD = 2
"""Videos decoded ahead of the CNN: bounds memory, and keeps the CNN busy."""


def extract_files(paths: Sequence[Path], out: Path, extractor: Extractor) -> dict[Path, str]:
    """Extracts videos that were not extracted before, with a progress bar on stderr.

    Args:
        paths: video files, and folders that are searched for them.
        out: `.npz` for a single video; `.h5` or `.hdf5` for a store `<file stem>` -> [T, D] with the root attribute
            `extractor`, which is replaced whole at the end; else a folder of `<file stem>.npz`, one by one.
        extractor: outputs that it made before are left as they are.

    Returns:
        The files that could not be extracted, each with the reason.

    Raises:
        JsfError: a path does not exist, a folder has no videos, two files have the same stem, `out` does not fit,
            or it cannot be written.
    """
    videos = find_videos(paths)
    if out.suffix in HDF5_SUFFIXES:
        with _store(out, extractor.identity) as store:
            return _extract(
                [video for video in videos if video.stem not in store],
                extractor,
                lambda video, sequence: store.create_dataset(video.stem, data=sequence.features),
            )
    targets = _targets(videos, out)
    return _extract(
        [video for video in videos if not _is_made_of(video, extractor, targets[video])],
        extractor,
        lambda video, sequence: sequence.save(targets[video]),
    )


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths` and the videos in their folders, each once.

    Raises:
        JsfError: a path does not exist, a folder has no videos, or two files have the same stem.
    """
    videos = list(dict.fromkeys(video for path in paths for video in _videos_at(path)))
    by_stem: dict[str, Path] = {}
    for video in videos:
        if (other := by_stem.setdefault(video.stem, video)) != video:
            raise JsfError(
                f"{other} and {video} would have the same id '{video.stem}'.", "Rename one, or extract them separately."
            )
    return videos


def _videos_at(path: Path) -> list[Path]:
    if not path.exists():
        raise JsfError(f"{path} does not exist.")
    if not path.is_dir():
        return [path]
    files = (file for file in path.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES)
    videos = sorted(file for file in files if file.is_file() and not file.name.startswith("."))
    if not videos:
        raise JsfError(f"{path} has no video files ({' '.join(VIDEO_SUFFIXES)}).")
    return videos


def _targets(videos: list[Path], out: Path) -> dict[Path, Path]:
    if out.suffix != ".npz":
        if out.exists() and not out.is_dir():
            raise JsfError(f"{out} is a file, expected a folder, or a name that ends in .npz, .h5 or .hdf5.")
        return {video: out / f"{video.stem}.npz" for video in videos}
    if len(videos) != 1:
        raise JsfError(f"{out} holds one video, got {len(videos)}.", "Name a folder or an .h5 file: -o features.h5")
    return {videos[0]: out}


def _is_made_of(video: Path, extractor: Extractor, target: Path) -> bool:
    try:
        newer = target.stat().st_mtime >= video.stat().st_mtime if target.is_file() else False
        return newer and load_sequence(target).extractor == extractor.identity
    except JsfError:
        return False


@contextmanager
def _store(out: Path, identity: str) -> Iterator[Any]:
    """The HDF5 store, open for adding to a copy that replaces it in the end."""
    h5py = require("h5py", "extract")
    with replacing(out) as temporary:
        if out.exists():
            shutil.copyfile(out, temporary)
        with h5py.File(temporary, "a") as store:
            if (found := store.attrs.get("extractor", identity if not len(store) else "")) != identity:
                raise JsfError(
                    f"{out} holds features of '{found}', this is '{identity}'.", "Name another output: -o OTHER.h5"
                )
            store.attrs["extractor"] = identity
            yield store


def _extract(
    videos: list[Path], extractor: Extractor, keep: Callable[[Path, FeatureSequence], None]
) -> dict[Path, str]:
    from rich.console import Console
    from rich.progress import track

    clips, console = _read_ahead(videos, extractor), Console(stderr=True)
    failures = {}
    for video, clip in track(clips, "Extracting", total=len(videos), console=console, disable=not videos):
        try:
            sequence = extractor.encode(clip.result(), str(video))
        except JsfError as error:
            failures[video] = error.message
        else:
            keep(video, sequence)
    return failures


def _read_ahead(videos: list[Path], extractor: Extractor) -> Iterator[tuple[Path, Future[Clip]]]:
    waiting: deque[tuple[Path, Future[Clip]]] = deque()
    with ThreadPoolExecutor(_AHEAD) as pool:
        for video in videos:
            waiting.append((video, pool.submit(extractor.read, video)))
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        yield from waiting
