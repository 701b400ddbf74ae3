"""Several timeframes, each with an encoder of its own, joined to one logit."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.learning.models.dropout import Dropout

__all__ = ["SequenceNetwork", "with_known"]


def with_known(values: Tensor, known: Tensor) -> Tensor:
    """Values and, as channels beside them, which of them are known; unknown ones are zero whatever they hold.

    Parameters
    ----------
    values, known
        Shape (n, steps, channels).

    Returns
    -------
    Tensor
        Shape (n, steps, 2 × channels). After scaling zero is the middle of a channel.
    """
    return torch.cat([torch.where(known, values, torch.zeros_like(values)), known.to(values.dtype)], dim=-1)


class SequenceNetwork(nn.Module):
    """Encoders side by side, then a small head.

    Parameters
    ----------
    encoders
        A module a timeframe: from steps, shape (n, steps, 2 × channels), and which of them are there, shape (n, steps),
        to a summary of shape (n, width).
    width
        Of each summary, and of the head.
    dropout
        Share of the head's values set to zero in training.
    """

    def __init__(self, encoders: Sequence[nn.Module], width: int, dropout: float) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        joined = len(encoders) * width
        self.join = nn.Sequential(
            nn.LayerNorm(joined),
            Dropout(dropout),
            nn.Linear(joined, width),
            nn.SiLU(),
            Dropout(dropout),
        )
        self.head = nn.Linear(width, 1)
        # Nothing learned says nothing: the first output is the base rate, which the training adds.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, *tensors: Tensor) -> Tensor:
        """Logits, shape (n,), of values and what is known of them, timeframe by timeframe."""
        summaries = []
        for encoder, values, known in zip(self.encoders, tensors[::2], tensors[1::2], strict=True):
            there = known.any(dim=-1)
            summary = encoder(with_known(values, known), there)
            # Without a single step there is nothing to sum up.
            summaries.append(torch.where(there.any(dim=-1, keepdim=True), summary, torch.zeros_like(summary)))
        logits: Tensor = self.head(self.join(torch.cat(summaries, dim=-1))).squeeze(-1)
        return logits
