"""Long short-term memory over each timeframe's steps; missing steps are passed over."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.learning.models.sequence_network import SequenceNetwork

__all__ = ["StepMemory", "make"]


class StepMemory(nn.Module):
    """One timeframe's LSTM (Hochreiter and Schmidhuber 1997): its state after the newest step that is there.

    Steps that are there are moved together at the front, in their order, so that what follows the last of them can't
    reach back to it: the state is the one a sequence without gaps would have. All rows go through one fused call.
    """

    def __init__(self, channels: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.memory = nn.LSTM(2 * channels, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def forward(self, steps: Tensor, there: Tensor) -> Tensor:
        """Summaries, shape (n, width)."""
        order = torch.argsort((~there).to(torch.uint8), dim=1, stable=True)
        moved = steps.gather(1, order[..., None].expand_as(steps))
        # In bfloat16 the state's rounding would add up from step to step.
        with torch.autocast(steps.device.type, enabled=False):
            states = self.memory(moved.float())[0]
        newest = (there.sum(dim=1) - 1).clamp(min=0)
        last: Tensor = states.gather(1, newest[:, None, None].expand(-1, 1, states.shape[-1])).squeeze(1)
        return last


def make(channels: Sequence[int], width: int, layers: int = 1, dropout: float = 0.0) -> SequenceNetwork:
    """An LSTM a timeframe.

    Parameters
    ----------
    channels
        Of each timeframe.
    width
        Of each LSTM's state, and of the head.
    layers
        LSTMs on top of each other in a timeframe.
    dropout
        Share of values set to zero in training, between layers and in the head.
    """
    return SequenceNetwork([StepMemory(each, width, layers, dropout) for each in channels], width, dropout)
