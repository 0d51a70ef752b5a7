"""A table of pairs: every score in its row, and a run that stopped anywhere continues where it stopped."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import open_features
from jsf.runtime import pairs
from jsf.runtime.pairs import score_table
from jsf.runtime.scorer import Scorer

SENTENCES = ("a red circle", "blue square, then rings", "while a blue circle rings", 'a "red" square')
IDS = [f"clip {i}" for i in range(5)]
ROWS = [(IDS[i * 7 % 5], SENTENCES[i * 3 % 4]) for i in range(23)]


@pytest.fixture(scope="module")
def scorer(tiny_bundle):
    return Scorer.load(tiny_bundle, "cpu")


@pytest.fixture(scope="module")
def videos():
    random = np.random.default_rng(0)
    return {name: random.standard_normal((3 + 9 * i, 12)).astype(np.float32) for i, name in enumerate(IDS)}


@pytest.fixture
def features(videos, tmp_path):
    path = tmp_path / "features.h5"
    with h5py.File(path, "w") as file:
        file.attrs["extractor"] = "toy 1"
        for name, values in videos.items():
            file[name] = values
    return path


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "pairs.csv"
    write_table(path, ROWS)
    return path


@pytest.fixture
def expected(scorer, videos):
    return scorer.score_pairs([(videos[name], sentence) for name, sentence in ROWS])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(pairs, "CHUNK", 4)


def write_table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("video_id", "sentence"), *rows])


def read_scores(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["video_id", "sentence", "score"]
    return [tuple(row[:2]) for row in rows], [float(row[2]) for row in rows]


def check(path, expected):
    rows, scores = read_scores(path)
    assert rows == ROWS
    assert scores == pytest.approx(expected.tolist(), abs=1e-5)
    assert list(path.parent.glob(".*")) == []


class Interrupted(Exception):
    """A run that is stopped."""


class StoppingScorer:
    """Scores some chunks, then stops; counts the pairs that it scored."""

    def __init__(self, scorer, chunks=1_000):
        self.bundle, self.description = scorer.bundle, scorer.description
        self._scorer, self._chunks, self.pairs = scorer, chunks, 0

    def features(self, video):
        return self._scorer.features(video)

    def score_pairs(self, pairs):
        if not self._chunks:
            raise Interrupted
        self._chunks -= 1
        self.pairs += len(pairs)
        return self._scorer.score_pairs(pairs)


def stop_after(chunks, scorer, table, store, out):
    """Runs until `chunks` chunks are written; returns the partial file."""
    with pytest.raises(Interrupted):
        score_table(StoppingScorer(scorer, chunks), table, store, out)
    assert not out.exists()
    (partial,) = out.parent.glob(f".{out.name}.*.partial")
    return partial


def test_every_score_in_its_row(scorer, table, features, tmp_path, expected):
    out = tmp_path / "results" / "scores.csv"
    assert score_table(scorer, table, open_features(features), out) == len(ROWS)
    assert np.ptp(expected) > 0.1
    check(out, expected)


def test_a_folder_of_npz_is_a_store_too(scorer, table, videos, tmp_path, expected):
    for name, values in videos.items():
        FeatureSequence(values, 5, "toy 1").save(tmp_path / "folder" / f"{name}.npz")
    out = tmp_path / "results" / "scores.csv"
    score_table(scorer, table, open_features(tmp_path / "folder"), out)
    check(out, expected)


def test_an_older_result_is_replaced(scorer, table, features, tmp_path, expected):
    out = tmp_path / "results" / "scores.csv"
    out.parent.mkdir()
    out.write_text("an older result")
    score_table(scorer, table, open_features(features), out)
    check(out, expected)


@pytest.mark.parametrize("chunks", [0, 1, 3, 5])
def test_a_stopped_run_continues(scorer, table, features, tmp_path, expected, chunks):
    store, out = open_features(features), tmp_path / "results" / "scores.csv"
    stop_after(chunks, scorer, table, store, out)
    rest = StoppingScorer(scorer)
    assert score_table(rest, table, store, out) == len(ROWS)
    assert rest.pairs == len(ROWS) - 4 * chunks
    check(out, expected)


CUTS = {
    "half a row after two chunks": (lambda lines: [*lines[:9], b"clip 3,a red ci"], 8),
    "half a row at the end of the second chunk": (lambda lines: [*lines[:8], lines[8][:-7]], 4),
    "the second chunk's last line end is cut": (lambda lines: [*lines[:8], lines[8][:-1]], 4),
    "rows of a third chunk": (lambda lines: lines[:12], 8),
    "half a header": (lambda lines: [lines[0][:5]], 0),
    "a header alone": (lambda lines: lines[:1], 0),
    "nothing": (lambda lines: [], 0),
}


@pytest.mark.parametrize("cut", CUTS)
def test_what_a_kill_leaves_is_cut_to_whole_chunks(scorer, table, features, tmp_path, expected, cut):
    store, out = open_features(features), tmp_path / "results" / "scores.csv"
    partial = stop_after(3, scorer, table, store, out)
    lines = partial.read_bytes().splitlines(keepends=True)
    assert len(lines) == 13
    change, kept = CUTS[cut]
    partial.write_bytes(b"".join(change(lines)))
    rest = StoppingScorer(scorer)
    score_table(rest, table, store, out)
    assert rest.pairs == len(ROWS) - kept
    check(out, expected)


KILLED = """
import sys, time
from pathlib import Path
from jsf.data.store import open_features
from jsf.runtime import pairs
from jsf.runtime.scorer import Scorer

pairs.CHUNK = 4
table, features, bundle, out = map(Path, sys.argv[1:])
scorer = Scorer.load(bundle, "cpu")
score = scorer.score_pairs
scorer.score_pairs = lambda chunk: (time.sleep(0.1), score(chunk))[1]
pairs.score_table(scorer, table, open_features(features), out)
"""


def test_a_killed_run_continues(scorer, table, features, tiny_bundle, tmp_path, expected):
    out = tmp_path / "results" / "scores.csv"
    process = subprocess.Popen([sys.executable, "-c", KILLED, table, features, tiny_bundle, out])
    deadline = time.monotonic() + 30
    while not any(file.read_bytes().count(b"\n") > 8 for file in out.parent.glob(".*.partial")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    rest = StoppingScorer(scorer)
    score_table(rest, table, open_features(features), out)
    assert 0 < rest.pairs <= len(ROWS) - 8
    check(out, expected)


class TestAnotherRunDoesNotContinueIt:
    """Its scores would be wrong: another table, other features, another bundle or precision start afresh."""

    @pytest.fixture
    def out(self, scorer, table, features, tmp_path):
        out = tmp_path / "results" / "scores.csv"
        self.partial = stop_after(2, scorer, table, open_features(features), out)
        return out

    def start(self, scorer, table, features, out):
        fresh = StoppingScorer(scorer)
        score_table(fresh, table, open_features(features), out)
        assert self.partial.exists()
        return fresh.pairs

    def test_of_another_table(self, scorer, table, features, out):
        write_table(table, ROWS[::-1])
        assert self.start(scorer, table, features, out) == len(ROWS)
        assert read_scores(out)[0] == ROWS[::-1]

    def test_of_another_bundle(self, tiny_bundle, table, features, out, tmp_path):
        root = Path(shutil.copytree(tiny_bundle, tmp_path / "other"))
        manifest = root / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"preset": "tiny"', '"preset": "other"'))
        assert self.start(Scorer.load(root, "cpu"), table, features, out) == len(ROWS)

    def test_of_other_features(self, scorer, table, features, out, tmp_path):
        other = shutil.copy(features, tmp_path / "others.h5")
        assert self.start(scorer, table, Path(other), out) == len(ROWS)

    def test_of_features_that_were_extracted_again(self, scorer, table, features, out):
        again = shutil.copy(features, features.with_name("again.h5"))
        with pytest.raises(Interrupted):
            score_table(StoppingScorer(scorer, 1), table, open_features(Path(again)), out)
        os.utime(again, ns=(0, 0))
        assert self.start(scorer, table, Path(again), out) == len(ROWS)

    def test_of_another_precision(self, scorer, table, features, out):
        reduced = StoppingScorer(scorer)
        reduced.description = scorer.description.replace("fp32", "fp16")
        assert self.start(reduced, table, features, out) == len(ROWS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("clip 9", "a red circle"), "line 25 of the table names 'clip 9', which .*features.h5 does not hold"),
        (("clip 1", "purple elephants"), "none of the words of 'purple elephants' is in the vocabulary"),
        (("clip 1", "..."), "the sentence '...' has no words"),
        (("clip 1", ""), "line 25: 'sentence' is empty"),
    ],
)
def test_a_bad_row_is_refused_before_the_first_is_scored(scorer, table, features, tmp_path, row, message):
    write_table(table, [*ROWS, row])
    counting, out = StoppingScorer(scorer), tmp_path / "results" / "scores.csv"
    with pytest.raises(JsfError, match=message):
        score_table(counting, table, open_features(features), out)
    assert counting.pairs == 0
    assert not out.parent.exists()


def test_features_of_another_extractor_are_refused(scorer, table, features, tmp_path):
    with h5py.File(features, "a") as file:
        file.attrs["extractor"] = "toy 2"
    with pytest.raises(JsfError, match=r"features\.h5#clip \d was extracted by 'toy 2'"):
        score_table(scorer, table, open_features(features), tmp_path / "scores.csv")


def test_invalid_features_are_named(scorer, table, features, tmp_path):
    with h5py.File(features, "a") as file:
        file["clip 2"][1] = np.nan
    with pytest.raises(JsfError, match=r"features\.h5#clip 2: features hold NaN or infinity, first at step 1"):
        score_table(scorer, table, open_features(features), tmp_path / "scores.csv")


@pytest.mark.parametrize(("place", "message"), [("folder", "is a folder"), ("file/scores.csv", "cannot write")])
def test_a_place_that_cannot_be_written_is_refused_before_the_first_is_scored(
    scorer, table, features, tmp_path, place, message
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    counting = StoppingScorer(scorer)
    with pytest.raises(JsfError, match=message) as refusal:
        score_table(counting, table, open_features(features), tmp_path / place)
    assert refusal.value.fix
    assert counting.pairs == 0
