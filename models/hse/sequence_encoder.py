"""A sequence to one vector: a GRU, and the maximum over its states. Both levels of both towers are made of it."""

import torch
from torch import Tensor, nn

from jsf.models.hse.config import HSEConfig
from jsf.models.layers import valid_steps

BELOW = -2.0
"""Less than any state of a GRU that begins within [-1, 1]: all of them stay there."""


class SequenceEncoder(nn.Module):
    """A GRU over the valid steps, and a pool. Padding is on the right, so that no state before it sees it."""

    def __init__(self, inputs: int, config: HSEConfig) -> None:
        super().__init__()
        each = config.hidden // 2 if config.bidirectional else config.hidden
        self.gru = nn.GRU(inputs, each, batch_first=True)
        self.backward_gru = nn.GRU(inputs, each, batch_first=True) if config.bidirectional else None
        self.pool = POOLS[config.pool](config)

    def forward(self, x: Tensor, lengths: Tensor, begin: Tensor | None = None) -> Tensor:
        """Steps x [B, N, C], lengths [B] and the first state [B, H] -> [B, H], zero where a length is 0."""
        if self.backward_gru is None:
            states = run(self.gru, x, begin)
        else:
            order = reversed_steps(lengths, x.shape[1])
            first, second = (None, None) if begin is None else begin.chunk(2, dim=-1)
            states_back = take(run(self.backward_gru, take(x, order), second), order)
            states = torch.cat([run(self.gru, x, first), states_back], dim=-1)
        valid = valid_steps(lengths, x.shape[1])[..., None]
        pooled: Tensor = self.pool(states, valid, lengths)
        return pooled * (lengths > 0)[:, None].to(pooled.dtype)


class MaxPool(nn.Module):
    """The maximum of each number over the valid steps."""

    def __init__(self, config: HSEConfig) -> None:
        super().__init__()

    def forward(self, states: Tensor, valid: Tensor, lengths: Tensor) -> Tensor:
        """States [B, N, H], valid [B, N, 1] -> [B, H]."""
        return states.masked_fill(~valid, BELOW).amax(1)


class LastState(nn.Module):
    """The state after the last valid step; of units that read backwards, the one after the first."""

    def __init__(self, config: HSEConfig) -> None:
        super().__init__()
        self.bidirectional = config.bidirectional

    def forward(self, states: Tensor, valid: Tensor, lengths: Tensor) -> Tensor:
        """States [B, N, H], lengths [B] -> [B, H]."""
        last = (lengths.long() - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
        at_end = states.gather(1, last)[:, 0]
        if not self.bidirectional:
            return at_end
        half = states.shape[2] // 2
        return torch.cat([at_end[:, :half], states[:, 0, half:]], dim=-1)


class AttentionPool(nn.Module):
    """The mean of the valid states, each weighted by what a small network says of it."""

    def __init__(self, config: HSEConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(config.hidden, config.hidden)
        self.weight = nn.Linear(config.hidden, 1, bias=False)

    def forward(self, states: Tensor, valid: Tensor, lengths: Tensor) -> Tensor:
        """States [B, N, H], valid [B, N, 1] -> [B, H]."""
        logits: Tensor = self.weight(torch.tanh(self.hidden(states)))
        weights = logits.masked_fill(~valid, -1e4).softmax(1)  # -1e4 stays finite in FP16
        return (weights * states).sum(1)


POOLS: dict[str, type[nn.Module]] = {"max": MaxPool, "last": LastState, "attention": AttentionPool}


def run(gru: nn.GRU, x: Tensor, begin: Tensor | None) -> Tensor:
    """The states [B, N, H] of a GRU."""
    states: Tensor = gru(x, None if begin is None else begin[None].contiguous())[0]
    return states


def reversed_steps(lengths: Tensor, steps: int) -> Tensor:
    """[B, steps] indices that put the valid steps in reverse order, and leave the padding after them."""
    order = torch.arange(steps, device=lengths.device)
    back = lengths.long()[:, None] - 1 - order
    return torch.where(back >= 0, back, order)


def take(x: Tensor, order: Tensor) -> Tensor:
    """The steps of x [B, N, C] in an order [B, N]."""
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[2]))
