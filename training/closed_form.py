"""Encoders in closed form: a regularized canonical correlation of frames and words, where pairs are too few to learn.

The mean frames of videos are correlated with the mean words of their sentences, rare words weighing more (Hotelling
1936; the ridges are Vinod's, 1976). D1v and D1w become the two projections, in one random basis so that all numbers
vary alike. The BLSTM becomes the sums of the words so far and of those to come, so that each word knows its sentence.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.sequence import pad
from jsf.data.split import Split
from jsf.data.tables import Row
from jsf.data.vocabulary import Vocabulary
from jsf.models.frame_encoder import FrameEncoder
from jsf.models.jsfusion import JSFusion
from jsf.models.layers import Recurrent, valid_steps
from jsf.models.word_encoder import WordEncoder

FRAMES_RIDGE, WORDS_RIDGE = 8.0, 1.0
"""What is added to the variances, relative to their mean: features are more, and more alike, than word vectors."""

SUM = 0.2
"""Standard deviation of the sums in the LSTM's cells: its tanh is nearly linear there."""

OWN = 3.0
"""Weight of the word itself, beside its sentence's sum."""

OPEN = 6.0
"""Bias of the LSTM's gates: nothing is forgotten, and all is let in and out."""

BLOCK = 32
"""Videos or sentences that are encoded at once."""

Padded = tuple[Tensor, Tensor]


@torch.no_grad()
def set_in_closed_form(model: JSFusion, split: Split, vocabulary: Vocabulary) -> None:
    """Sets both encoders from a split's pairs, and freezes them.

    Raises:
        JsfError: the rows are no sentences, the encoders are not the paper's, or features or sentences do not vary.
    """
    frames, words, config = model.frame_encoder, model.word_encoder, model.config
    if (config.frame_context, config.word_context) != ("cnn", "blstm") or not (config.frame_skip and config.word_skip):
        raise JsfError(
            f"closed_form sets encoders as the paper's, and those of {config.preset} are others.",
            "Leave it out, or train --model jsfusion with --preset paper or small.",
        )
    ids, lengths = map(torch.from_numpy, vocabulary.encode_batch([_sentence(row) for row in split.rows]))
    words.embedding.weight.mul_(rarity(ids, lengths, len(vocabulary))[:, None])
    place = {video_id: i for i, video_id in enumerate(split.video_ids)}
    means = [_mean(frames.standardized(x) * _mask(x, n, frames), n) for x, n in _videos(split, frames)]
    videos = torch.cat(means)[[place[row.video_id] for row in split.rows]]
    sentences = _mean(words.embedding(ids), lengths)
    of_frames, of_words = correlate(videos, sentences, min(config.joint, config.lstm))
    of_frames = of_frames / (videos @ of_frames).std()
    of_words = of_words * SUM / (sentences @ of_words * lengths[:, None]).std()
    basis = torch.linalg.qr(torch.randn(config.joint, of_words.shape[1]))[0]
    _project(frames.d1.linear, basis @ of_frames.T)
    _project(words.d1.linear, OWN * basis @ of_words.T)
    _sum_up(words, of_words, basis)
    _settle(frames, _videos(split, frames))
    _settle(words, zip(torch.split(ids, BLOCK), torch.split(lengths, BLOCK), strict=True))
    for encoder in (frames, words):
        encoder.requires_grad_(False)


def rarity(ids: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Weights [size] of words: the logarithm of how rare the sentences [S, M] are that have it, 1 for a mean word."""
    valid = valid_steps(lengths, ids.shape[1])
    sentence = torch.arange(len(ids)).repeat_interleave(lengths)
    having = torch.unique(torch.stack([sentence, ids[valid]]), dim=1)[1].bincount(minlength=size)
    weights = torch.log((len(ids) + 1) / (having + 1)).clamp(min=1e-3)
    of_words: Tensor = weights / weights[ids[valid]].mean()
    return of_words


def correlate(videos: Tensor, sentences: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Canonical projections, each times its correlation.

    Args:
        videos: [P, D], one of each pair.
        sentences: [P, E].
        most: how many of the projections are kept.

    Returns:
        [D, K] and [E, K], the most correlated first.

    Raises:
        JsfError: either side is the same in every pair.
    """
    v, s = (x.double() - x.double().mean(0) for x in (videos, sentences))
    root_v, root_s = _root(v.T @ v, FRAMES_RIDGE), _root(s.T @ s, WORDS_RIDGE)
    half = torch.linalg.solve_triangular(root_v, v.T @ s, upper=False)
    whitened = torch.linalg.solve_triangular(root_s, half.T, upper=False).T
    left, found, right = torch.linalg.svd(whitened, full_matrices=False)
    of_videos = torch.linalg.solve_triangular(root_v.T, left[:, :most], upper=True)
    of_sentences = torch.linalg.solve_triangular(root_s.T, right[:most].T, upper=True)
    return (of_videos * found[:most]).float(), (of_sentences * found[:most]).float()


def _root(covariance: Tensor, ridge: float) -> Tensor:
    """Cholesky's, [D, D], of a covariance with a ridge."""
    variances = covariance.diagonal()
    if not variances.mean() > 0:
        raise JsfError(f"all {len(variances)} numbers are the same in every pair: nothing is correlated.")
    root: Tensor = torch.linalg.cholesky(covariance + ridge * variances.mean() * torch.eye(len(variances)))
    return root


def _project(d1: nn.Linear, weight: Tensor) -> None:
    """What is beside the context is projected; the context is left out."""
    d1.weight.zero_()
    d1.weight[:, -weight.shape[1] :] = weight


def _sum_up(words: WordEncoder, projection: Tensor, basis: Tensor) -> None:
    """Both directions of the LSTM sum up projected words, and D1w takes both sums."""
    assert isinstance(words.context, Recurrent)
    lstm = words.context.lstm
    hidden, count = lstm.hidden_size, projection.shape[1]  # gates i, f, g, o
    for direction in ("", "_reverse"):
        weights, bias = getattr(lstm, f"weight_ih_l0{direction}"), getattr(lstm, f"bias_ih_l0{direction}")
        for parameter in (weights, bias, *(getattr(lstm, f"{name}_hh_l0{direction}") for name in ("weight", "bias"))):
            parameter.zero_()
        bias.fill_(OPEN)[2 * hidden : 3 * hidden] = 0.0
        weights[2 * hidden : 2 * hidden + count] = projection.T
    for start in (0, hidden):
        words.d1.linear.weight[:, start : start + count] = basis


def _settle(encoder: FrameEncoder | WordEncoder, batches: Iterator[Padded]) -> None:
    """Sets the running statistics of D1's norm to the means over batches, nothing dropped."""
    norm = encoder.d1.norm
    assert norm is not None
    decay = norm.decay
    encoder.eval()
    norm.train()
    for seen, (values, lengths) in enumerate(batches):
        norm.decay = seen / (seen + 1)
        encoder(values, lengths)
    norm.decay = decay
    encoder.train()


def _videos(split: Split, encoder: FrameEncoder) -> Iterator[Padded]:
    """Features [B, 40, D] and lengths [B] of a split's videos."""
    ids = split.video_ids
    for start in range(0, len(ids), BLOCK):
        features = [split.store.read(video_id) for video_id in ids[start : start + BLOCK]]
        values, lengths = pad(features, left=encoder.left_padded)
        yield torch.from_numpy(values), torch.from_numpy(lengths)


def _mask(values: Tensor, lengths: Tensor, encoder: FrameEncoder) -> Tensor:
    return valid_steps(lengths, values.shape[1], encoder.left_padded)[..., None]


def _mean(values: Tensor, lengths: Tensor) -> Tensor:
    """Of [B, N, C], zero where padded, over the steps: [B, C]."""
    return values.sum(1) / lengths[:, None]


def _sentence(row: Row) -> str:
    """The sentence that is true of a row's video."""
    if isinstance(row, Caption):
        return row.sentence
    if isinstance(row, Question):
        return row.options[row.answer]
    raise JsfError("closed_form is for tasks that score sentences.", "Leave it out.")
