"""Captioning with a checkpoint: sentences about the clips of videos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jsf.data.clips import Clips, equal_spans
from jsf.data.detokenize import detokenize
from jsf.data.errors import JsfError
from jsf.data.levels import video_levels
from jsf.data.progress import track
from jsf.data.sequence import pad
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.beam_search import END
from jsf.models.hse.captioner import Captioner
from jsf.runtime.features import Video, model_features
from jsf.training.hse.cropped import cropped
from jsf.training.scorer import on_device, scoring, where

AT_ONCE = 32
"""Videos in a batch."""

BEAMS = 5


class CheckpointCaptioner:
    """Tells of clips with a captioner, on the device where its weights are.

    Attributes:
        task: "captioning".
        vocabulary: the words that it tells with.
        description: what runs where.
        extractor: what made the features that the model was trained on; "" where unknown.
        segments: equal clips that a video is cut into where its clips are not given.
    """

    task = "captioning"

    def __init__(self, model: Captioner, vocabulary: Vocabulary, extractor: str = "") -> None:
        self.model, self.vocabulary, self.extractor = model, vocabulary, extractor
        self.segments, self.feature_width = model.config.segments, model.config.embedding.feature_width
        self.device, self.description = where(model)

    @classmethod
    def load(cls, path: Path, device: str = "auto", precision: str = "auto") -> "CheckpointCaptioner":
        """Loads `best.pt`; "auto" is CUDA where there is one.

        Raises:
            JsfError: the checkpoint cannot be read or holds another model, or the device or the precision is not there.
        """
        checkpoint = Checkpoint.load(path)
        model = on_device(checkpoint.captioner, path, device, precision)
        return cls(model, checkpoint.vocabulary, checkpoint.extractor)

    def caption(self, videos: Sequence[Video | Clips], width: int = BEAMS) -> list[list[str]]:
        """A sentence about each clip of each video; a video without clips is cut into equal ones.

        Args:
            videos: with or without their clips.
            width: beams of the search; 1 takes the most probable word each time.

        Raises:
            JsfError: there are none, or their features are not of the kind that the model takes.
        """
        viewed = [self.viewed(video) for video in videos]
        if not viewed:
            raise JsfError("there is nothing to caption: no video was given.")
        told: list[list[str]] = []
        starts = range(0, len(viewed), AT_ONCE)
        for start in track(starts, "captioning", len(starts)):
            part = viewed[start : start + AT_ONCE]
            with scoring(self.model):
                ids = self.model.tell(self._embed(part), width).cpu().tolist()
            sentences = iter(detokenize(self.vocabulary.words[i - 1] for i in row if i != END) for row in ids)
            told += [[next(sentences) for _ in video.clips] for video in part]
        return told

    def embed(self, videos: Sequence[Clips]) -> npt.NDArray[np.float32]:
        """What the decoder is given of each clip of some videos, [C, 2H]."""
        with scoring(self.model):
            found: npt.NDArray[np.float32] = self._embed(videos).cpu().numpy()
        return found

    def viewed(self, video: Video | Clips) -> Clips:
        """A video with its clips.

        Raises:
            JsfError: the features are invalid, of another width, or of another extractor than the model was trained on.
        """
        width = self.model.config.embedding.feature_width
        if isinstance(video, Clips):
            model_features(video.whole, self.extractor, width)
            return video
        return Clips.of(model_features(video, self.extractor, width), equal_spans(self.segments))

    def _embed(self, videos: Sequence[Clips]) -> Tensor:
        limits = self.model.config.embedding.limits
        clips, lengths = pad([clip for video in videos for clip in video.clips], limits.frames)
        owners = np.repeat(np.arange(len(videos)), [len(video.clips) for video in videos])
        whole = tuple(array.to(self.device) for array in cropped(video_levels(videos, limits)))
        parts = (torch.from_numpy(array).to(self.device) for array in (clips[:, : lengths.max()], lengths, owners))
        return self.model.embed(whole, *parts)
