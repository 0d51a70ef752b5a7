"""The picture of `jsf explain`, after the paper's Fig. 3: time runs to the right, words run down, darker is higher."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.data.lengths import STRIDES
from jsf.runtime.explain import Explanation

WIDTH, FILM, WORD, SMALL_WORD = 5.6, 0.7, 0.24, 0.12
"""Inches: the width of a map, and the heights of the strip of thumbnails and of a word's row."""
GAP, BOTTOM, RIGHT, LINE, LETTER = 0.3, 0.5, 0.8, 0.22, 0.08
"""Inches: between maps, around them, and the size of the text beside and above them."""
LINE_LETTERS = 76
GREY = "0.35"


@dataclass(frozen=True)
class Row:
    """The same map of each sentence, on one scale.

    Attributes:
        maps: [n', m'] each.
        stride: the frames, and words, between two cells.
        word: the height of a word's row in inches.
    """

    title: str
    maps: list[npt.NDArray[np.float32]]
    colours: str
    stride: int = 1
    word: float = SMALL_WORD


def check_format(path: Path) -> None:
    """Raises JsfError where matplotlib is absent, or writes no files with this suffix."""
    known = require("matplotlib.backends.backend_agg", "explain").FigureCanvasAgg.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise JsfError(
            f"a picture cannot be written as '{path}'.", f"Name a file of one of these types: {', '.join(known)}."
        )


def draw_maps(
    explanations: Sequence[Explanation],
    sentences: Sequence[str],
    thumbnails: npt.NDArray[np.uint8] | None,
    seconds: float,
    path: Path,
) -> None:
    """Draws the maps of one video of n frames with each sentence, side by side.

    Args:
        explanations: one for each sentence.
        sentences: the titles.
        thumbnails: [n, S, S, 3], RGB.
        seconds: from one frame to the next; 0 where that is not known.
        path: a .png, or another of matplotlib's formats.

    Raises:
        JsfError: matplotlib is absent, or the file cannot be written.
    """
    rows = _rows(explanations)
    film = [] if thumbnails is None else [FILM]
    heights = [*film, *(max(0.4, row.word * max(len(e.words) for e in explanations)) for row in rows)]
    titles = [fill(f"“{sentence}”", LINE_LETTERS) for sentence in sentences]
    longest = max(len(word) for explanation in explanations for word in explanation.words)
    figure, grid = _page(
        heights, 0.2 + LETTER * longest, LINE * (3.7 + max(t.count("\n") for t in titles)), len(titles)
    )
    for column, explanation in enumerate(explanations):
        axes = [figure.add_subplot(grid[i, column]) for i in range(len(heights))]
        _write_title(figure, axes[0].get_position().x0, explanation, titles[column])
        if thumbnails is not None:
            _draw_film(axes.pop(0), thumbnails)
        for row, place in zip(rows, axes, strict=True):
            image = _draw_map(place, row, row.maps[column], explanation, seconds)
            if explanation is explanations[-1]:
                _draw_bar(figure, place, image)
        axes[-1].set_xlabel("time (s)" if seconds else "frame", color=GREY)
        axes[-1].tick_params(labelbottom=True)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _page(heights: Sequence[float], margin: float, top: float, columns: int) -> tuple[Any, Any]:
    """A figure and its grid of maps, with a `margin` on the left of each and some space at the `top`, in inches."""
    width = columns * (margin + WIDTH) + RIGHT
    height = top + sum(heights) + GAP * (len(heights) - 1) + BOTTOM
    figure = require("matplotlib.figure", "explain").Figure((width, height), dpi=150)
    grid = figure.add_gridspec(
        len(heights),
        columns,
        height_ratios=heights,
        left=margin / width,
        right=1 - RIGHT / width,
        bottom=BOTTOM / height,
        top=1 - top / height,
        wspace=margin / WIDTH,
        hspace=GAP / np.mean(heights),
    )
    return figure, grid


def _rows(explanations: Sequence[Explanation]) -> list[Row]:
    rows = [Row("JST: attention α", [e.attention for e in explanations], "Blues", word=WORD)]
    for i, stride in enumerate(STRIDES):
        gates, energies = [e.gates[i] for e in explanations], [e.stages[i] for e in explanations]
        rows.append(Row(f"CHD stage {i + 1}: gate", gates, "Blues", stride))
        rows.append(Row(f"CHD stage {i + 1}: output, L2 norm over channels", energies, "Reds", stride))
    return rows


def _write_title(figure: Any, left: float, explanation: Explanation, sentence: str) -> None:
    answer, score = explanation.answer, explanation.score
    found = f"most probable: {answer} ({score:.1%})" if answer else f"score {score:.2f}"
    top, height = 0.15, figure.get_figheight()
    figure.text(left, 1 - top / height, found, va="top", weight="bold", parse_math=False)
    figure.text(left, 1 - (top + LINE) / height, sentence, va="top", linespacing=1.3, parse_math=False)


def _draw_film(axes: Any, thumbnails: npt.NDArray[np.uint8]) -> None:
    """As many thumbnails as fit, each above its frame's column."""
    n = len(thumbnails)
    side = n * FILM / WIDTH
    count = min(n, int(WIDTH / FILM))
    for centre in (np.arange(count) + 0.5) * n / count:
        axes.imshow(thumbnails[int(centre)], extent=(centre - side / 2, centre + side / 2, 0, 1), aspect="auto")
    axes.set(xlim=(0, n), ylim=(0, 1))
    axes.set_axis_off()


def _draw_map(axes: Any, row: Row, cells: npt.NDArray[np.float32], explanation: Explanation, seconds: float) -> Any:
    n, m = explanation.attention.shape
    step, start = (seconds, 0.0) if seconds else (1.0, 0.5)
    (left, right), (top, bottom) = (
        _span(size, row.stride, steps) for size, steps in zip(cells.shape, (n, m), strict=True)
    )
    image = axes.imshow(
        cells.T,
        row.colours,
        aspect="auto",
        interpolation="nearest",
        extent=(start + step * left, start + step * right, bottom, top),
        vmin=0,
        vmax=max(float(values.max()) for values in row.maps),
    )
    axes.set(xlim=(start, start + step * n), ylim=(m, 0), facecolor="0.96")
    axes.set_title(row.title, loc="left", fontsize=9, color=GREY, pad=4)
    axes.set_yticks(np.arange(m) + 0.5, explanation.words)
    ticker = require("matplotlib.ticker", "explain")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(8, steps=[1, 2, 5, 10], min_n_ticks=1, integer=not seconds))
    axes.tick_params(labelsize=9, colors=GREY, length=2, labelbottom=False)
    axes.tick_params("y", labelsize=9 if row.word == WORD else 6)
    axes.spines[:].set_visible(False)
    return image


def _span(cells: int, stride: int, steps: int) -> tuple[float, float]:
    """Where the cells lie: amid the steps that they read, exact to one step."""
    margin = max(0.0, (steps - cells * stride) / 2)
    return margin, steps - margin


def _draw_bar(figure: Any, axes: Any, image: Any) -> None:
    ticks = np.linspace(0, image.get_clim()[1], 3)
    bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0, 0.025, 1)))
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=GREY, length=2)
