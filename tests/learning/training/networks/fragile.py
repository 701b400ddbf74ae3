"""Networks that come upon infinite values where a test wants them."""

import torch
from torch import Tensor, nn


class Grows(nn.Module):
    """Multiplies by a huge number from its n-th training step on."""

    def __init__(self, until: int) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.until = until

    def forward(self, values: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        return torch.where(self.steps >= self.until, values * 1e38 * 1e38, values)


class SteepRoot(nn.Module):
    """The root of zero: finite itself, its slope is not."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        return values + self.zero.sqrt()


class Steep(nn.Module):
    """A slope that is finite, and its square is not."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        return values + self.zero * 1e25


class Unlearned(nn.Module):
    """Network that is finite in training alone."""

    def forward(self, values: Tensor) -> Tensor:
        return values if self.training else values * 1e38 * 1e38


def make(width: int, how: str, until: int = 0) -> nn.Module:
    middle = {"output": Grows(until), "gradient": SteepRoot(), "steep": Steep(), "validation": Unlearned()}[how]
    return nn.Sequential(nn.Linear(width, 1), middle, nn.Flatten(0))
