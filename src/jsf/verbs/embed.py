"""`jsf embed`: the embeddings of a store's videos, or of a table's videos and texts, as arrays and as a map."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.captions import Caption
from jsf.data.clips import WHOLE
from jsf.data.datasets.tasks import as_texts
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.data.paragraphs import Paragraph
from jsf.data.store import open_features
from jsf.data.tables import read_rows
from jsf.evaluation.embeddings import Embeddings, embed_rows, embed_videos
from jsf.evaluation.projection import project
from jsf.verbs.evaluate import check_embeds, open_scorer
from jsf.verbs.maps import check_format
from jsf.verbs.output import note, print_json

FEW_LABELS = 20
"""Labels that colours can tell apart."""


def show_embeddings(
    features: Path,
    captions: Path | None,
    out: Path | None,
    picture: Path | None,
    ckpt: Path | None,
    bundle: Path | None,
    device: str,
    precision: str,
    json: bool,
) -> None:
    """Writes the embeddings of all videos of a store, or of a table's videos and texts, and draws the videos' map.

    Raises:
        JsfError: bad input, the model scores pairs, a package is absent, or a file cannot be written.
    """
    if not out and not picture:
        raise JsfError("there is nowhere to write: -o was not given.", "Name a file: -o embeddings.npz")
    if out and out.suffix != ".npz":
        raise JsfError(f"embeddings cannot be written as '{out}'.", "Name an .npz file: -o embeddings.npz")
    if picture:
        for package in ("sklearn", "matplotlib"):
            require(package, "analysis")
        check_format(picture)
    store, rows = open_features(features), as_texts(read_rows(captions), str(captions)) if captions else []
    embedder = open_scorer(ckpt, bundle, device, precision)
    check_embeds(embedder)
    note(f"embedding with {embedder.description}")
    if rows:
        found = embed_rows(embedder, rows, store)
    else:
        ids = store.ids()
        videos = embed_videos(embedder, [(video_id, (), WHOLE) for video_id in ids], store)
        found = Embeddings(ids, videos, [], np.zeros((0, videos.shape[1]), np.float32))
    if out:
        save(found, out)
    if picture:
        note(f"placing {len(found.videos):,} videos on a map, by t-SNE")
        draw_map(project(found.videos), labels_of(found.video_ids, rows), picture)
    written = [str(path) for path in (out, picture) if path]
    if json:
        counts = {"videos": len(found.videos), "texts": len(found.texts), "width": found.videos.shape[1]}
        print_json({**counts, "backend": embedder.description, "files": written})
    else:
        print("\n".join(written))


def save(embeddings: Embeddings, path: Path) -> None:
    """Writes `ids` [V], `videos` [V, E], `text_ids` [S] and `texts` [S, E] as an .npz, whole or not at all."""
    ids, text_ids = np.array(embeddings.video_ids), np.array(embeddings.text_ids, np.str_)
    with replacing(path) as temporary:
        np.savez(temporary, ids=ids, videos=embeddings.videos, text_ids=text_ids, texts=embeddings.texts)


def labels_of(video_ids: Sequence[str], rows: Sequence[Caption | Paragraph]) -> list[str] | None:
    """The label of each video, the first of several; None where the texts are too many to be labels."""
    texts: dict[str, str] = {}
    for row in rows:
        texts.setdefault(row.video_id, row.sentence)
    labels = [texts.get(video_id, "") for video_id in video_ids]
    return labels if rows and len(set(labels)) <= min(FEW_LABELS, len(labels) - 1) else None


def draw_map(points: npt.NDArray[np.float32], labels: Sequence[str] | None, path: Path) -> None:
    """Draws the points [V, 2] of videos, in the colours of their labels where they have some.

    Raises:
        JsfError: matplotlib is absent, or the file cannot be written.
    """
    figure = require("matplotlib.figure", "analysis").Figure((7, 6), dpi=150, layout="constrained")
    names = sorted(set(labels or [""]))
    colours = require("matplotlib", "analysis").colormaps["tab10" if len(names) <= 10 else "tab20"].colors
    axes = figure.subplots()
    for name, colour in zip(names, colours, strict=False):
        x, y = points[[label == name for label in labels] if labels else slice(None)].T
        axes.scatter(x, y, s=14, color=[colour], linewidths=0, label=name)
    axes.set_aspect("equal", "datalim")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if labels:
        legend = figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set_parse_math(False)
    with replacing(path) as temporary:
        figure.savefig(temporary)
