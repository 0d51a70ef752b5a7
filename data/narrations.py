"""Narrations: what is said of each clip of a video, from captions or from paragraphs."""

from collections.abc import Sequence
from dataclasses import dataclass

from jsf.data.captions import Caption
from jsf.data.clips import WHOLE, Span
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.data.tables import Row


@dataclass(frozen=True)
class Narration:
    """The clips of a video, and the sentences about each.

    Attributes:
        video_id: the key of the video's features.
        spans: (start, end) of each clip as shares of the video's length.
        sentences: of each clip, one or more.
    """

    video_id: str
    spans: tuple[Span, ...]
    sentences: tuple[tuple[str, ...], ...]


def narrations(rows: Sequence[Row]) -> list[Narration]:
    """The rows, gathered by video and clips, in order of first appearance; a caption tells of its whole video.

    Raises:
        JsfError: a row is neither a caption nor a paragraph whose sentences belong to its clips.
    """
    found: dict[tuple[str, tuple[Span, ...]], list[tuple[str, ...]]] = {}
    for row in rows:
        if isinstance(row, Caption):
            found.setdefault((row.video_id, (WHOLE,)), []).append((row.sentence,))
        elif isinstance(row, Paragraph) and row.paired:
            found.setdefault((row.video_id, row.spans), []).append(row.sentences)
        else:
            raise _wrong(row)
    return [Narration(*view, tuple(zip(*told, strict=True))) for view, told in found.items()]


def _wrong(row: Row) -> JsfError:
    if isinstance(row, Paragraph):
        return JsfError(
            f"which clip a sentence of '{row.video_id}' is about is not known.",
            "Captioning takes the clips that the file of paragraphs has: leave out other proposals.",
        )
    return JsfError(
        f"the table holds {type(row).__name__.lower()}s; captioning takes captions or paragraphs.",
        "Name a table with the columns video_id,sentence, or paragraphs.json.",
    )
