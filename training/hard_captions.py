"""Captions that are easily taken for one another: what a batch needs for its model to learn word by word."""

import numpy as np
import numpy.typing as npt

from jsf.training.batches import Rows

POOL = 2048
"""Among how many captions a neighbour is looked for: enough to find close ones, few enough for large sets."""

Words = npt.NDArray[np.int32]


def exchange(words: Words, lengths: Words, others: Words, random: np.random.Generator) -> Words:
    """Each caption with one word replaced by the one at the same place in another caption.

    Where all captions have the same word there, it stays.

    Args:
        words: [B, M] ids.
        lengths: [B].
        others: [Q, M] ids, where the words come from.
        random: of the places and the words.
    """
    words = words.copy()
    places = (random.random(len(words)) * lengths).astype(np.intp)
    for row, place in zip(words, places, strict=True):
        found = others[random.integers(len(others), size=POOL), place]
        found = found[(found != 0) & (found != row[place])]
        if len(found):
            row[place] = found[0]
    return words


def beside_neighbours(
    shuffled: Rows, words: Words, lengths: Words, video_ids: npt.NDArray[np.str_], count: int
) -> Rows:
    """Lets each caption be followed by `count` of other videos that share most words with it.

    Captions of the same words in another order, or with one word changed, then meet in one batch.

    Args:
        shuffled: the captions' rows, in the order of an epoch.
        words: [Q, M] ids of all captions.
        lengths: [Q].
        video_ids: [Q].
        count: neighbours of each.
    """
    result: list[Rows] = []
    known = np.zeros(words.max() + 1, np.bool_)
    waiting, rest = shuffled[: 1 + POOL], shuffled[1 + POOL :]
    while len(waiting):
        anchor, pool = waiting[0], waiting[1:]
        of_anchor = words[anchor, : lengths[anchor]]
        known[of_anchor] = True
        shared = known[words[pool]].sum(1) / np.sqrt(lengths[pool])
        known[of_anchor] = False
        shared[video_ids[pool] == video_ids[anchor]] = -1.0
        nearest = np.argsort(-shared, kind="stable")[:count]
        result += [waiting[:1], pool[nearest]]
        left = np.delete(waiting, np.append(nearest + 1, 0))
        taken = 1 + len(nearest)
        waiting, rest = np.concatenate([left, rest[:taken]]), rest[taken:]
    return np.concatenate(result)
