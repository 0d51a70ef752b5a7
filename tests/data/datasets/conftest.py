"""Tiny data sets with the published numbers of rows."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
import pytest

WORDS = ["man", "woman", "dog", "cat", "car", "road", "sings", "runs", "jumps", "cooks", "guitar", "ball"]
TEST = range(7_010, 8_010)
"""The numbers of the fake 1k-A test videos."""


def caption(number: int, i: int = 0) -> str:
    one, two = WORDS[number % 12], WORDS[(number // 12 + i) % 12]
    return f"a {one} and the {two} of clip {number} take {i}"


def write_features(path: Path, names: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name in names:
            file[name] = np.ones((1, 2), np.float32)


def write_table(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header.split(), *rows]
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def sentences(numbers: Iterable[int]) -> dict[str, object]:
    return {
        "info": {},
        "videos": [],
        "sentences": [
            {"caption": caption(n, i), "video_id": f"video{n}", "sen_id": 2 * n + i} for n in numbers for i in range(2)
        ],
    }


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MSR-VTT as it is published, in folders of one root; treat it as read-only."""
    root = tmp_path_factory.mktemp("msrvtt")
    write_features(root / "features_of_frames/MSR_RESNET_pool5.hdf5", (f"msr{n}" for n in range(10_000)))
    (root / "MSRVTT_data.json").write_text(json.dumps(sentences(range(10_000))))
    rows = [f'ret{i},msr{n},video{n},"{caption(n)}"' for i, n in enumerate(TEST)]
    (root / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(["key,vid_key,video_id,sentence", *rows]))
    for name, numbers in (("7k", range(7_010)), ("9k", [n for n in range(10_000) if n not in TEST])):
        (root / f"MSRVTT_train.{name}.csv").write_text("\n".join(["video_id", *(f"video{n}" for n in numbers)]))
    questions = [
        {"qid": f"mc{n}", "clip_name": f"video{n}", "answer": "1", "options": [caption(n - i) for i in range(5)]}
        for n in range(7_010, 10_000)
    ]
    (root / "msrvtt_mc_test.jsonl").write_text("\n".join(map(json.dumps, questions)))
    return root


@pytest.fixture
def msrvtt(published: Path, tmp_path: Path) -> Path:
    """A copy of `published` to change; the features are a link."""
    root = tmp_path / "msrvtt"
    shutil.copytree(published, root, ignore=shutil.ignore_patterns("features_of_frames"))
    (root / "features_of_frames").symlink_to(published / "features_of_frames")
    return root


@pytest.fixture
def edit(msrvtt: Path) -> Callable[[str, Callable[[list[str]], list[str]]], None]:
    """Rewrites the lines of one file of `msrvtt`."""

    def edit(name: str, change: Callable[[list[str]], list[str]]) -> None:
        (msrvtt / name).write_text("\n".join(change((msrvtt / name).read_text().splitlines())))

    return edit


@pytest.fixture
def lsmdc(tmp_path: Path) -> Path:
    """LSMDC as the authors lay it out: train vid0 to vid59, val vid60 to vid79, test vid80 to vid99."""
    root = tmp_path / "LSMDC"
    write_features(root / "LSMDC16_features/RESNET_pool5wav.hdf5", (f"vid{n}" for n in range(100)))
    for split, numbers in (("train", range(60)), ("val", range(60, 80)), ("test", range(80, 100))):
        rows = {n: [f"K{n}", f"vid{n}"] for n in numbers}
        for kind in ("CAP", "RET"):
            path = root / f"DataFrame/LSMDC16_{kind}_{split}.csv"
            write_table(path, "key vid_key description", ([*row, caption(n)] for n, row in rows.items()))
        options = "key vid_key a1 a2 a3 a4 a5 answer"
        questions = ([*row, *(caption(n + i) for i in range(5)), 0] for n, row in rows.items())
        write_table(root / f"DataFrame/LSMDC16_MC_{split}.csv", options, questions)
        blanks = ([*row, caption(n), caption(n).replace("clip", "_____"), "clip"] for n, row in rows.items())
        write_table(root / f"DataFrame/LSMDC16_FIB_{split}.csv", "key vid_key sentence blank_sentence answer", blanks)
    (root / "DataFrame/LSMDC16_RET_train.csv").unlink()
    return root


def story(n: int) -> tuple[list[list[float]], list[str]]:
    """Two spans of a video of 10, and their sentences."""
    return [[0, 4], [4, 10]], [f"Clip {n} begins.", f"  It ends as {WORDS[n % 12]}."]


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ActivityNet Captions and DiDeMo as they are published, in a folder each; treat them as read-only."""
    root = tmp_path_factory.mktemp("paragraphs")
    splits = {"activitynet/train": range(10_009), "activitynet/val_1": range(10_009, 14_926)}
    splits["activitynet/val_2"] = range(10_009, 14_894)
    splits |= {"didemo/train": range(8_395), "didemo/val": range(8_395, 9_460), "didemo/test": range(9_460, 10_464)}
    for name, numbers in splits.items():
        (root / name).parent.mkdir(exist_ok=True)
        if name.startswith("activitynet"):
            values = ({"duration": 10, "timestamps": story(n)[0], "sentences": story(n)[1]} for n in numbers)
            path = root / f"{name}.json"
        else:
            fields = ({"times": story(n)[0], "description": story(n)[1]} for n in numbers)
            values = ({"duration": 0.4, "feature_leng": 10, "num_segments": 1, **field} for field in fields)
            path = root / f"{name}_data_bwzhang.json"
        path.write_text(json.dumps(dict(zip((f"v_{n}" for n in numbers), values, strict=True))))
    write_features(root / "activitynet/features.h5", (f"v_{n}" for n in range(14_926)))
    (root / "didemo/features.h5").symlink_to(root / "activitynet/features.h5")
    return root


@pytest.fixture
def retold(told: Path, tmp_path: Path) -> Path:
    """A copy of `told` to change; the features are a link."""
    root = tmp_path / "told"
    shutil.copytree(told, root, ignore=shutil.ignore_patterns("features.h5"))
    for name in ("activitynet", "didemo"):
        (root / name / "features.h5").symlink_to(told / "activitynet/features.h5")
    return root
