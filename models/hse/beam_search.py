"""Beam search: the most probable sentences that a decoder can tell, for many clips at once."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

END = 0
"""The id that ends a sentence, and that stands before its first word."""

Step: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Last words [N] and states [N, H] -> log-probabilities [N, V] of the next word, and the states after it [N, H]."""


def beam_search(step: Step, states: Tensor, width: int, limit: int) -> tuple[Tensor, Tensor]:
    """Finds the sentence whose words are the most probable on average; the longer one is not the worse for it.

    Each place keeps the `width` best beginnings by that mean, sentences that have ended among them; width 1 is greedy.
    A sentence has one word or more, and ends at END or at the limit.

    Args:
        step: the decoder.
        states: [B * width, H], where each of B sentences begins, once for each of its beams.
        width: beginnings that are kept.
        limit: words of a sentence at most.

    Returns:
        Sentences [B, L <= limit] of ids, END where they are over, and the mean log-probability [B] of their words and
        of their end.
    """
    rows, device = len(states) // width, states.device
    words = torch.full((len(states),), END, device=device)
    sentences = words.new_empty(rows, width, 0)
    totals = states.new_full((rows, width), -torch.inf)
    totals[:, 0] = 0  # all beams begin alike: one is enough
    lengths, ended = torch.zeros_like(totals), torch.zeros_like(totals, dtype=torch.bool)
    for place in range(limit):
        log_probabilities, states = step(words, states)
        choices = log_probabilities.view(rows, width, -1)
        vocabulary = torch.arange(choices.shape[2], device=device)
        if place == 0:
            choices = choices.masked_fill(vocabulary == END, -torch.inf)
        over = torch.where(vocabulary == END, 0.0, -torch.inf)  # what has ended stays as it is
        lengths = lengths + ~ended
        sums = totals[..., None] + torch.where(ended[..., None], over, choices)
        means, best = (sums / lengths[..., None]).flatten(1).topk(width)
        beam, word = best // len(vocabulary), best % len(vocabulary)
        totals, lengths = sums.flatten(1).gather(1, best), lengths.gather(1, beam)
        ended = ended.gather(1, beam) | (word == END)
        kept = sentences.gather(1, beam[..., None].expand_as(sentences))
        sentences = torch.cat([kept, word[..., None]], dim=2)
        if ended.all():
            break
        states = states.view(rows, width, -1)[torch.arange(rows, device=device)[:, None], beam].flatten(0, 1)
        words = word.flatten()
    return sentences[:, 0], means[:, 0]
