"""A data set for one task: three splits that share no video, every feature present, and how it is to be reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.data.questions import Question
from jsf.data.split import Split
from jsf.data.tables import Row

NamedRows = tuple[str, Sequence[Row]]


@dataclass(frozen=True)
class Dataset:
    """The splits of a task.

    The rows are captions or paragraphs for retrieval, questions for multiple choice and blanks for fill-in-the-blank;
    the training rows of multiple choice are captions where the data set has no training questions.

    Attributes:
        name: of the data set, as on the command line.
        task: one of `TASKS`.
        train: trains the weights.
        val: chooses the epoch.
        test: is reported.
        protocol: one line: gallery, captions per video, training list, how the epoch is chosen.
    """

    name: str
    task: str
    train: Split
    val: Split
    test: Split
    protocol: str

    def __post_init__(self) -> None:
        """Raises JsfError where splits share a video, or features are absent or differ in width."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        for (one, first), (other, second) in combinations(splits.items(), 2):
            if shared := sorted(set(first.video_ids) & set(second.video_ids)):
                raise JsfError(
                    f"{self.name}: {one} and {other} share {count(shared)}.", "A video is in one split alone."
                )
        for store in {id(split.store): split.store for split in splits.values()}.values():
            wanted = [video for split in splits.values() if split.store is store for video in split.video_ids]
            known = set(store.ids())
            if missing := [video for video in wanted if video not in known]:
                raise JsfError(
                    f"{store.path} lacks the features of {count(missing)} (of {len(wanted):,} that {self.name} needs).",
                    f"Extract them: jsf extract VIDEOS -o {store.path}",
                )
            store.width(wanted)


def state_protocol(title: str, train: NamedRows, val: NamedRows, test: Sequence[Row]) -> str:
    """One line that says what was measured on what.

    Args:
        title: of the benchmark.
        train: (name of the training list, its rows).
        val: (name of what chooses the epoch, its rows).
        test: the rows that are reported.
    """
    return (
        f"{title}: {describe(test)}; trained on {train[0]} ({describe(train[1])}), "
        f"epoch chosen on {val[0]} ({describe(val[1])})"
    )


def describe(rows: Sequence[Row]) -> str:
    """Rows in words: "1,000 videos, 1 caption each"."""
    videos = len({row.video_id for row in rows})
    first = rows[0]
    if isinstance(first, Caption):
        each = f"{len(rows) / videos:.3g}"
        return f"{videos:,} video{'s' * (videos != 1)}, {each} caption{'s' * (each != '1')} each"
    if isinstance(first, Paragraph):
        each = f"{sum(len(row.sentences) for row in rows if isinstance(row, Paragraph)) / len(rows):.3g}"
        return f"{len(rows):,} paragraph{'s' * (len(rows) != 1)} of {each} sentence{'s' * (each != '1')}"
    if isinstance(first, Question):
        return f"{len(rows):,} questions of {len(first.options)} options"
    return f"{len(rows):,} sentences with one blank, {videos:,} videos"


def count(videos: list[str]) -> str:
    """Videos in a message: how many, and the first three."""
    return f"{len(videos):,} video{'s' * (len(videos) > 1)}: {', '.join(videos[:3])}{', ...' * (len(videos) > 3)}"
