"""Rows on a device, moved there once."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipeline.learning.training.job import Rows

__all__ = ["Resident"]


@dataclass(frozen=True)
class Resident:
    """Rows on the device.

    Attributes
    ----------
    inputs
        What the network reads, each of shape (n, ...).
    label, weight
        Shape (n,), float32.
    """

    inputs: tuple[Tensor, ...]
    label: Tensor
    weight: Tensor

    @classmethod
    def of(cls, rows: Rows, device: torch.device) -> Self:
        """Move rows to a device."""
        arrays = (*rows.inputs.arrays, rows.label, rows.weight)
        *inputs, label, weight = (torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays)
        return cls(tuple(inputs), label, weight)

    def __len__(self) -> int:
        return len(self.label)

    def in_order(self, order: Tensor) -> Self:
        """A copy, its rows in this order."""
        inputs = tuple(tensor.index_select(0, order) for tensor in self.inputs)
        return type(self)(inputs, self.label.index_select(0, order), self.weight.index_select(0, order))

    def part(self, rows: slice) -> Self:
        """Neighbouring rows, not copied."""
        return type(self)(tuple(tensor[rows] for tensor in self.inputs), self.label[rows], self.weight[rows])
