"""Dropout whose random numbers are cheap on the processor."""

import torch
from torch import Tensor, nn

__all__ = ["Dropout"]

_LEVELS = 2**16


class Dropout(nn.Dropout):
    """Sets values to zero with chance ``p`` while training, and makes the others larger (Srivastava et al. 2014).

    As torch's own, and on a GPU or behind ``torch.compile`` it is torch's own. On the processor that draws a number in
    double precision for each value, on one thread, which takes longer than the products of a small network. Here a
    word of 64 bits, drawn from the same generator, decides on four values. The chance is ``p`` to the nearest
    1/65536, below one, and the others are multiplied by what makes the mean that of the values exactly.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Values of the same shape and dtype."""
        own = self.training and 0 < self.p < 1 and values.device.type == "cpu" and not torch.compiler.is_compiling()
        if not own:
            return super().forward(values)
        dropped = min(round(self.p * _LEVELS), _LEVELS - 1)
        words = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: values.numel()].view(values.shape)
        kept = torch.empty(values.shape, dtype=values.dtype)
        torch.ge(bits, dropped - _LEVELS // 2, out=kept)
        return values * kept.mul_(_LEVELS / (_LEVELS - dropped))
