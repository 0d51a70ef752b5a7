"""`jsf evaluate --incomplete`: what is found when only the beginning of every video and paragraph is seen."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.data.paragraphs import Paragraph
from jsf.data.split import Split
from jsf.evaluation.incomplete import Observed, evaluate_incomplete
from jsf.evaluation.metrics import Ranking
from jsf.verbs.evaluate import between, check_embeds, named_values
from jsf.verbs.maps import check_format
from jsf.verbs.output import note, print_json, print_table

DRAWN = {"R@1": "C0", "R@5": "C1", "R@10": "C2"}
GREY = "0.35"


def show_incomplete(embedder: Any, split: Split, protocol: str, picture: Path | None, json: bool) -> None:
    """Prints, and draws where there is a `picture`, how much is found by how much is seen.

    Raises:
        JsfError: the model scores pairs, the rows are not paragraphs, a video has no features, matplotlib is absent,
            or the picture cannot be written.
    """
    check_embeds(embedder)
    paragraphs = [row for row in split.rows if isinstance(row, Paragraph)]
    if not paragraphs:
        raise JsfError(
            "incomplete videos and paragraphs are made of clips and sentences; these rows have neither.",
            "Name a .json file of paragraphs: --captions paragraphs.json",
        )
    if picture:
        require("matplotlib", "analysis")
        check_format(picture)
    note(f"embedding with {embedder.description}")
    curve = evaluate_incomplete(embedder, paragraphs, split.store)
    if picture:
        draw_curve(curve, picture)
    if json:
        points = [{"share": point.share, **asdict(point.retrieval)} for point in curve]
        place = str(picture) if picture else None
        backend = {"protocol": protocol, "backend": embedder.description}
        print_json({"task": "retrieval", **backend, "incomplete": points, "picture": place})
    else:
        print_curve(curve, f"{protocol}; ties averaged; the first clips and sentences of each")


def print_curve(curve: Sequence[Observed], title: str) -> None:
    """A row for each share, both directions beside each other."""
    ways = ("paragraph\n-> video", "video ->\nparagraph")
    columns = ["\n\nseen", *(cell for way in ways for cell in (f"{way}\nR@1", "\n\n95%", "\n\nMedR"))]
    rows = [
        [f"{point.share:.0%}", *_cells(point.retrieval.text_to_video), *_cells(point.retrieval.video_to_text)]
        for point in curve
    ]
    print_table(title, columns, rows)


def draw_curve(curve: Sequence[Observed], path: Path) -> None:
    """Recall over the share that is seen, a panel for each direction, with the 95% intervals shaded.

    Raises:
        JsfError: matplotlib is absent, or the file cannot be written.
    """
    figure = require("matplotlib.figure", "analysis").Figure((8, 3.4), dpi=150, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    seen = [100 * point.share for point in curve]
    ways = ("text_to_video", "paragraph to video"), ("video_to_text", "video to paragraph")
    for axes, (way, title) in zip(panels, ways, strict=True):
        rankings = [getattr(point.retrieval, way) for point in curve]
        for name, colour in DRAWN.items():
            if name in rankings[0].interval:
                low, high = zip(*(ranking.interval[name] for ranking in rankings), strict=True)
                axes.plot(seen, [named_values(each)[name] for each in rankings], "o-", color=colour, label=name)
                axes.fill_between(seen, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set_title(title, loc="left", fontsize=10, color=GREY)
        axes.set_xlabel("clips and sentences seen (%)", color=GREY)
        axes.set(xlim=(0, 103), ylim=(0, 103), xticks=seen)
        axes.tick_params(colors=GREY, length=2)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("found (%)", color=GREY)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _cells(ranking: Ranking) -> list[str]:
    return [f"{ranking.recall[1]:.1f}", between(ranking.interval["R@1"]), f"{ranking.median_rank:.1f}"]
