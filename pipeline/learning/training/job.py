"""Input and output of one training as plain arrays: no torch, so that they can be sent anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Inputs", "Job", "Rows", "Trained"]


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network: arrays with the same number of rows, passed in this order.

    Attributes
    ----------
    arrays
        Each float32 or bool, shape (n, ...).
    names
        Per array, what each value of a row is called, in the order of the flattened row; for error messages.
    """

    arrays: tuple[NDArray[Any], ...]
    names: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.arrays[0])

    def take(self, rows: NDArray[np.integer] | slice) -> Self:
        """Some of the rows."""
        return type(self)(tuple(array[rows] for array in self.arrays), self.names)


@dataclass(frozen=True)
class Rows:
    """Rows with their outcome.

    Attributes
    ----------
    inputs
        What the network reads.
    label
        1.0 or 0.0, shape (n,), float32.
    weight
        Above zero, shape (n,), float32.
    names
        What each row is called in an error message.
    """

    inputs: Inputs
    label: NDArray[np.float32]
    weight: NDArray[np.float32]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Job:
    """One training: a network, rows, and how.

    Attributes
    ----------
    family
        Who trains; for messages.
    network
        What is trained.
    train, validation
        Rows learned from, and rows that tell when to stop (None: nothing stops it early).
    settings
        The loop's.
    seed
        Of weights, order and dropout.
    epochs
        How many to train at most; the schedule is laid out over ``settings.epochs`` all the same.
    """

    family: str
    network: NetworkSpec
    train: Rows
    validation: Rows | None
    settings: TrainingSettings
    seed: int
    epochs: int


@dataclass(frozen=True)
class Trained:
    """Outcome of a training.

    Attributes
    ----------
    state
        The network's weights on the processor: those of the best epoch with validation rows, else the last.
    offset
        The training rows' base rate as a logit, which is added to the network's output.
    best_epoch
        Epochs that were trained up to those weights.
    log
        Figures of each epoch.
    facts
        Device, batch size, throughput, memory and the like; numbers and texts.
    """

    state: Mapping[str, "Tensor"]
    offset: float
    best_epoch: int
    log: Sequence[Mapping[str, float]]
    facts: Mapping[str, Any] = field(default_factory=dict)
