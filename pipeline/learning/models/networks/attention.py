"""Multi-head attention over each timeframe's steps; missing steps get no attention."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from pipeline.learning.models.dropout import Dropout
from pipeline.learning.models.sequence_network import SequenceNetwork

__all__ = ["StepAttention", "attend", "make"]

# Subtracted from the score of a missing step, before the division by √width: exp() of it is zero exactly,
# in bfloat16 too, and where no step is there at all the result is still a number.
_FAR = 16_384.0
# Flash kernels want head widths in multiples of this.
_HEAD_STEP = 8


def attend(query: Tensor, key: Tensor, value: Tensor, there: Tensor) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017) to the steps that are there.

    Flash kernels take no mask. So the mask is made part of the product: one more dimension, 1 in every query and
    far below zero in the keys of missing steps, which leaves other scores as they are. Where a
    device has flash kernels torch can then choose them.

    Parameters
    ----------
    query
        Shape (n, heads, queries, width).
    key, value
        Shape (n, heads, steps, width).
    there
        Shape (n, steps).

    Returns
    -------
    Tensor
        Shape (n, heads, queries, width).
    """
    width = query.shape[-1]
    room = -width % _HEAD_STEP or _HEAD_STEP
    far = torch.where(there, 0.0, -_FAR).to(key.dtype)[:, None, :, None].expand(*key.shape[:-1], 1)
    found: Tensor = scaled_dot_product_attention(
        pad(pad(query, (0, 1), value=1.0), (0, room - 1)),
        pad(torch.cat([key, far], dim=-1), (0, room - 1)),
        pad(value, (0, room)),
        scale=width**-0.5,
    )
    return found[..., :width]


class _Heads(nn.Module):
    """Projections to heads and back around :func:`attend`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.back = nn.Linear(width, width)

    def forward(self, asking: Tensor, memory: Tensor, there: Tensor) -> Tensor:
        """Map (n, queries, width) and (n, steps, width) to (n, queries, width)."""
        key, value = self.key_value(memory).chunk(2, dim=-1)
        query, key, value = (self._split(each) for each in (self.query(asking), key, value))
        answers: Tensor = self.back(attend(query, key, value, there).transpose(1, 2).flatten(2))
        return answers

    def _split(self, each: Tensor) -> Tensor:
        return each.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class _Block(nn.Module):
    """Attention, then two linear layers, each added to what was there, with LayerNorm before (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = _Heads(width, heads)
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, width),
        )
        self.dropout = Dropout(dropout)

    def forward(self, steps: Tensor, there: Tensor) -> Tensor:
        """Map (n, steps, width) to the same shape."""
        normed = self.before_attention(steps)
        steps = steps + self.dropout(self.attention(normed, normed, there))
        added: Tensor = steps + self.dropout(self.layers(steps))
        return added


class StepAttention(nn.Module):
    """One timeframe: each step embedded with its position, blocks of attention, and a learned question to all steps."""

    def __init__(self, channels: int, steps: int, width: int, heads: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Linear(2 * channels, width)
        # As large as a step's own values: of few rows, positions that begin near zero are learned too late.
        self.position = nn.Parameter(torch.randn(steps, width))
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.question = nn.Parameter(torch.randn(1, width))
        self.pool = _Heads(width, heads)

    def forward(self, steps: Tensor, there: Tensor) -> Tensor:
        """Summaries, shape (n, width)."""
        held = self.embed(steps) + self.position
        for block in self.blocks:
            held = block(held, there)
        summary: Tensor = self.pool(self.question.expand(len(steps), -1, -1), self.norm(held), there).squeeze(1)
        return summary


def make(
    channels: Sequence[int], steps: Sequence[int], width: int, heads: int, blocks: int = 1, dropout: float = 0.0
) -> SequenceNetwork:
    """Attention a timeframe.

    Parameters
    ----------
    channels, steps
        Of each timeframe.
    width
        Of each step inside the network, of the summaries and of the head; a multiple of ``heads``.
    heads
        Attentions side by side.
    blocks
        Of attention and two linear layers, one after the other.
    dropout
        Share of values set to zero in training.
    """
    encoders = [
        StepAttention(own, count, width, heads, blocks, dropout) for own, count in zip(channels, steps, strict=True)
    ]
    return SequenceNetwork(encoders, width, dropout)
