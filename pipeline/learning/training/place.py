"""One process's part in a training: its number of how many, and its device."""

from dataclasses import dataclass

import torch

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """Device and rank of a process.

    Attributes
    ----------
    device
        Torch's.
    rank, world
        Number of this process, and how many there are.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Return True if this process writes and reports."""
        return self.rank == 0

    def share(self, first: int, last: int) -> slice:
        """Part of a batch that lies from ``first`` up to ``last``; parts differ by a row at most."""
        rows = last - first
        return slice(first + rows * self.rank // self.world, first + rows * (self.rank + 1) // self.world)
