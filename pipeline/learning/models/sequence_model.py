"""Common parts of the families that read sequences: columns become steps and channels, gaps stay gaps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.learning.models.neural import NeuralModel
from pipeline.learning.training.job import Inputs

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["SequenceModel", "StepLayout", "step_layouts"]

# The timeframe, the lag, the channel: session_00_vpoc_move.
_COLUMN = re.compile(r"(.+?)_(\d\d)_(.+)")


@dataclass(frozen=True)
class StepLayout:
    """Layout of the columns of one timeframe.

    Attributes
    ----------
    name
        Of the timeframe.
    channels
        Their names, sorted: the layout doesn't depend on the order of the columns.
    places
        Position of each column in the frame, shape (steps, channels), the oldest step first.
    """

    name: str
    channels: tuple[str, ...]
    places: NDArray[np.int64]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.places)


def step_layouts(columns: Sequence[str], who: str) -> tuple[StepLayout, ...]:
    """Timeframes of columns named as :func:`pipeline.features.sequences.sequence_features` names them, sorted.

    Parameters
    ----------
    columns
        Of a frame, in any order.
    who
        Who asks, for messages.

    Raises
    ------
    DataError
        For a column that is none of a sequence; for one that is missing, so that a step lacks a channel.
    """
    found: dict[str, dict[tuple[int, str], int]] = {}
    for place, column in enumerate(columns):
        parts = _COLUMN.fullmatch(column)
        if parts is None:
            raise DataError(
                f"{who} reads sequences, and {column} is not a column of one (session_00_move is); fit it on "
                "sequence_features"
            )
        found.setdefault(parts[1], {})[int(parts[2]), parts[3]] = place
    layouts = []
    for name, cells in sorted(found.items()):
        channels = sorted({channel for _, channel in cells})
        lags = range(max(lag for lag, _ in cells), -1, -1)
        for lag in lags:
            for channel in channels:
                if (lag, channel) not in cells:
                    raise DataError(
                        f"{who} reads sequences, and {name}_{lag:02d}_{channel} is missing among its columns; give "
                        "every channel of every step"
                    )
        places = np.array([[cells[lag, channel] for channel in channels] for lag in lags], dtype=np.int64)
        layouts.append(StepLayout(name, tuple(channels), places))
    return tuple(layouts)


class SequenceModel(NeuralModel):
    """A network with an encoder for each timeframe.

    Values are winsorised and scaled column by column on the training rows, and none is filled in or left out: for each
    timeframe the network gets the values, shape (n, steps, channels), the oldest step first, and of the same shape
    which of them are known.
    """

    inputs: Literal["features", "sequences"] = "sequences"

    def _transforms(self) -> "Pipeline":
        from sklearn.pipeline import Pipeline

        from pipeline.learning.transforms import MadScaler, MissingValues, Winsorizer

        return Pipeline([("winsorize", Winsorizer()), ("scale", MadScaler()), ("missing", MissingValues("keep"))])

    def _layouts(self, columns: Sequence[str]) -> tuple[StepLayout, ...]:
        return step_layouts(columns, self.family)

    def _inputs(self, frame: pd.DataFrame) -> Inputs:
        values = frame.to_numpy(np.float64)
        known = ~np.isnan(values)
        filled = np.where(known, values, 0.0).astype(np.float32)
        arrays: list[NDArray[np.float32] | NDArray[np.bool_]] = []
        names: list[tuple[str, ...]] = []
        for layout in self._layouts(tuple(map(str, frame.columns))):
            own = tuple(str(frame.columns[place]) for place in layout.places.ravel())
            arrays += [filled[:, layout.places], known[:, layout.places]]
            names += [own, tuple(f"{name} known" for name in own)]
        return Inputs(tuple(arrays), tuple(names))
