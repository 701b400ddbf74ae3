"""Rows on a device, moved there once."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.learning.training.job import Rows

__all__ = ["Resident", "aligned_tensor"]


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
        """Copy rows to a device."""
        arrays = (*rows.inputs.arrays, rows.label, rows.weight)
        *inputs, label, weight = (aligned_tensor(array).to(device) for array in arrays)
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

    def weightless(self) -> Self:
        """The same rows, none of which counts."""
        return type(self)(self.inputs, self.label, torch.zeros_like(self.weight))


def aligned_tensor(array: NDArray[Any], rows: int | None = None) -> Tensor:
    """A copy on the processor, in memory of torch's own, with rows of zeros up to so many.

    NumPy's arrays begin anywhere, torch's tensors at multiples of 64 bytes. MKL promises the same bits each time only
    for memory that is aligned the same each time.
    """
    given = torch.from_numpy(np.ascontiguousarray(array))
    made = torch.zeros((len(given) if rows is None else rows, *given.shape[1:]), dtype=given.dtype)
    made[: len(given)] = given
    return made
