"""What a score rests on, from a bundle and without PyTorch: the maps of the paper's Fig. 3."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.lengths import STRIDES, reduced_length
from jsf.data.sequence import pad
from jsf.data.task_names import FILLS
from jsf.data.vocabulary import Vocabulary
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import MAPS, Bundle
from jsf.runtime.features import Video, model_features

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """What the score of one pair rests on: its n frames and m words alone, without padding.

    Attributes:
        score: the raw logit; for fill-in-the-blank the probability of `answer`.
        words: the m words that met the frames: the sentence's known ones, or the blank alone.
        attention: JST's weights [n, m], 0 to 1 (equation 2).
        stages: the L2 norm over the channels of each CHD stage's output, [n', m'] each (equation 4).
        gates: each stage's gate [n', m'], 0 to 1.
        answer: the most probable word for the blank; "" where the model scores sentences.
    """

    score: float
    words: tuple[str, ...]
    attention: Array
    stages: list[Array]
    gates: list[Array]
    answer: str = ""


@dataclass(frozen=True)
class Inputs:
    """One video and several sentences, as the networks take them, and how to read what they give back.

    Attributes:
        frames: [1, 40, D]; frame_lengths: [1].
        words: [S, 40]; word_lengths: [S].
        video_index, sentence_index: [S], the pairs.
        blanks: [S] for fill-in-the-blank, else None.
    """

    frames: Array
    frame_lengths: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]
    word_lengths: npt.NDArray[np.int32]
    video_index: npt.NDArray[np.int32]
    sentence_index: npt.NDArray[np.int32]
    blanks: npt.NDArray[np.int32] | None
    vocabulary: Vocabulary
    left_padded: bool

    @classmethod
    def of(
        cls, features: npt.NDArray[Any], sentences: Sequence[str], vocabulary: Vocabulary, fills: bool, left: bool
    ) -> "Inputs":
        """Features [T, D] and sentences; where the model `fills` blanks, each has one.

        Raises:
            JsfError: a sentence has no known word, or not one blank.
        """
        blanks = None
        if fills:
            words, word_lengths, blanks = vocabulary.encode_blanks(sentences)
        else:
            for sentence in sentences:
                vocabulary.encode(sentence)
            words, word_lengths = vocabulary.encode_batch(sentences)
        frames, frame_lengths = pad([features], left=left)
        video_index, sentence_index = np.zeros(len(words), np.int32), np.arange(len(words), dtype=np.int32)
        return cls(frames, frame_lengths, words, word_lengths, video_index, sentence_index, blanks, vocabulary, left)

    def explanations(
        self, scores: Array, attention: Array, stages: Sequence[Array], gates: Sequence[Array]
    ) -> list[Explanation]:
        """Reads the outputs of a matcher at 40 x 40: one explanation for each sentence.

        Args:
            scores: [S], or [S, |V|].
            attention: [S, 40, 40], or [S, 40, 1] where the blank's word alone meets the frames.
            stages: [S, C, N', M'] each.
            gates: [S, 1, N', M'] each.
        """
        return [
            self._explanation(i, scores[i], attention[i], [x[i] for x in stages], [x[i] for x in gates])
            for i in range(len(scores))
        ]

    def _explanation(
        self, i: int, scores: Array, attention: Array, stages: list[Array], gates: list[Array]
    ) -> Explanation:
        answer, score = self.vocabulary.most_probable(scores, 1)[0] if scores.ndim else ("", float(scores))
        known = [self.vocabulary.words[word - 1] for word in self.words[i, : self.word_lengths[i]]]
        words = (BLANK,) if attention.shape[1] == 1 else tuple(known)
        n, m = int(self.frame_lengths[0]), len(words)
        attention = self._valid(attention, n, m)
        energies, opened = [], []
        for stage, gate, stride in zip(stages, gates, STRIDES, strict=True):
            n, m = reduced_length(n, stride), reduced_length(m, stride)
            energies.append(self._valid(np.linalg.norm(stage, axis=0), n, m))
            opened.append(self._valid(gate[0], n, m))
        return Explanation(score, words, attention, energies, opened, answer)

    def _valid(self, cells: Array, n: int, m: int) -> Array:
        return cells[-n:, :m] if self.left_padded else cells[:n, :m]


def explain(bundle: Bundle, video: Video, sentences: Sequence[str]) -> list[Explanation]:
    """What the scores of one video with each sentence rest on, computed in fp32 on the CPU.

    Raises:
        JsfError: the features are invalid, a sentence has no known word or not one blank, the model has no maps, or
            `onnx` is not installed.
    """
    bundle.check_compares()
    manifest = bundle.manifest
    features = model_features(video, manifest.extractor, manifest.feature_width)
    asked = Inputs.of(features, sentences, bundle.vocabulary, manifest.task == FILLS, manifest.left_padded)
    matcher = _with_maps(bundle.graph("fp32", "matcher"))
    frames, words = (OnnxRuntimeGraph(bundle.graph("fp32", f"{name}_encoder")) for name in ("frame", "word"))
    inputs = {
        **frames.run({"features": asked.frames, "lengths": asked.frame_lengths}),
        **words.run({"words": asked.words, "lengths": asked.word_lengths}),
        "video_lengths": asked.frame_lengths,
        "sentence_lengths": asked.word_lengths,
        "video_index": asked.video_index,
        "sentence_index": asked.sentence_index,
    }
    if asked.blanks is not None:
        inputs["blanks"] = asked.blanks
    scores, attention, *rest = matcher.run(["scores", *MAPS], inputs)
    return asked.explanations(scores, attention, rest[:3], rest[3:])


def _with_maps(path: Path) -> Any:
    """A session of a matcher whose named maps are outputs too; the file stays as it is."""
    onnx, ort = require("onnx", "explain"), require("onnxruntime", "cpu")
    model = onnx.load(path)
    named = {value.name: value for value in model.graph.value_info}
    if not named.keys() >= set(MAPS):
        raise JsfError(
            f"{path} has no maps: its model does not compare frame with word (LSTM-fusion does not), "
            "or another program wrote it.",
            "Explain a model that has JST and CHD.",
        )
    model.graph.output.extend(named[name] for name in MAPS)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
