"""Scoring a table of pairs: thousands of them, in chunks, and a killed run continues where it stopped."""

import csv
import hashlib
import os
from pathlib import Path

from jsf.data.captions import Caption, read_captions
from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.data.progress import track
from jsf.data.store import FeatureStore
from jsf.runtime.embedder import Embedder
from jsf.runtime.features import Stored
from jsf.runtime.scorer import Scorer

CHUNK = 512
"""Pairs between two writes."""

HEADER = ("video_id", "sentence", "score")


def score_table(scorer: Scorer | Embedder, table: Path, store: FeatureStore, out: Path) -> int:
    """Scores every row of a captions table into `out`, a CSV of video_id, sentence, score, in the table's order.

    Scores are kept in a partial file beside `out` that belongs to this table, these features, this bundle and its
    precision alone; `out` appears when all are there.

    Returns:
        The number of pairs.

    Raises:
        JsfError: a video has no features, a sentence no known word, or `out` cannot be written. Rows are checked
            before the first is scored.
    """
    rows = read_captions(table)
    _check(rows, scorer, store)
    videos = {row.video_id: Stored(store, row.video_id) for row in rows}
    if out.is_dir():
        raise JsfError(f"{out} is a folder.", "Name a file: -o scores.csv")
    partial = out.with_name(f".{out.name}.{_mark(scorer, table, store)}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        done = _keep_whole_chunks(partial)
        starts = range(done, len(rows), CHUNK)
        with partial.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if not done:
                writer.writerow(HEADER)
            for start in track(starts, "scoring", len(starts)):
                chunk = rows[start : start + CHUNK]
                scores = scorer.score_pairs([(videos[row.video_id], row.sentence) for row in chunk])
                for row, score in zip(chunk, scores, strict=True):
                    writer.writerow((row.video_id, row.sentence, f"{score:.7g}"))
                file.flush()
        partial.replace(out)
    except OSError as error:
        raise JsfError(
            f"cannot write {out}: {error.strerror}.",
            "Check the folder and the free space, and run the same command again.",
        ) from error
    return len(rows)


def _check(rows: list[Caption], scorer: Scorer | Embedder, store: FeatureStore) -> None:
    known = set(store.ids())
    for line, row in enumerate(rows, start=2):
        if row.video_id not in known:
            raise JsfError(f"line {line} of the table names '{row.video_id}', which {store.path} does not hold.")
        scorer.bundle.vocabulary.encode(row.sentence)


def _mark(scorer: Scorer | Embedder, table: Path, store: FeatureStore) -> str:
    """What a partial file's scores depend on, as twelve hex digits."""
    files = sorted(store.path.glob("*.npz")) if store.path.is_dir() else [store.path]
    stamps = [f"{file.resolve()} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    parts = (sha256(table), sha256(scorer.bundle.root / "manifest.json"), scorer.description, *stamps)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _keep_whole_chunks(partial: Path) -> int:
    """Cuts the partial file after its last whole chunk, for a kill can leave half a row; returns the pairs it holds."""
    if not partial.exists():
        return 0
    lines = [line for line in partial.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    done = max(0, len(lines) - 1) // CHUNK * CHUNK
    os.truncate(partial, sum(map(len, lines[: done + 1])) if done else 0)
    return done
