"""Training rows: features, outcomes, times and weights of candidates that became trades."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.learning.uniqueness import average_uniqueness

__all__ = ["OUTCOME_COLUMNS", "TRAINING_META", "TrainingRows"]

OUTCOME_COLUMNS = ("start", "end", "label", "r_multiple", "net", "weight")
TRAINING_META = ("session", "decided_on", "side", "rule_signal", *OUTCOME_COLUMNS)
"""Columns of the training set that are not features."""


@dataclass(frozen=True)
class TrainingRows:
    """Rows to learn from, in any order; features and outcome share one unique index.

    Attributes
    ----------
    features
        float64, shape (n, k), NaN where a value is not known.
    outcome
        Shape (n, 6): ``start`` (decided) and ``end`` (known; both UTC), ``label`` (1.0 where net is above zero, else
        0.0), ``r_multiple``, ``net`` (money for one contract after costs) and ``weight`` (above 0).
    """

    features: pd.DataFrame
    outcome: pd.DataFrame

    @classmethod
    def from_training_set(cls, frame: pd.DataFrame) -> Self:
        """Take rows from the asset ``training_set``; every column that is not metadata is a feature.

        Raises
        ------
        DataError
            For a missing outcome column.
        """
        if absent := [name for name in OUTCOME_COLUMNS if name not in frame.columns]:
            raise DataError(f"the training set has no column {absent[0]}; make it again (asset training_set)")
        names = [name for name in frame.columns if name not in TRAINING_META]
        return cls(frame[names], frame[list(OUTCOME_COLUMNS)])

    def __len__(self) -> int:
        return len(self.outcome)

    def take(self, positions: NDArray[np.integer]) -> Self:
        """The rows at these positions, in this order."""
        return type(self)(self.features.iloc[positions], self.outcome.iloc[positions])

    def weighed_by_uniqueness(self) -> Self:
        """The same rows, each weighed by how much of its label's life it shares with no other of them.

        Of the training rows of a fit alone: another row's weight may tell of a label that was not known yet.
        """
        weight = average_uniqueness(self.outcome["start"], self.outcome["end"])
        return replace(self, outcome=self.outcome.assign(weight=weight))

    @cached_property
    def label(self) -> NDArray[np.float64]:
        """1.0 or 0.0, shape (n,)."""
        return self.outcome["label"].to_numpy(np.float64)

    @cached_property
    def net(self) -> NDArray[np.float64]:
        """Money for one contract after costs, shape (n,)."""
        return self.outcome["net"].to_numpy(np.float64)

    @cached_property
    def r_multiple(self) -> NDArray[np.float64]:
        """Result over what was at risk, shape (n,)."""
        return self.outcome["r_multiple"].to_numpy(np.float64)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """Sample weights, shape (n,)."""
        return self.outcome["weight"].to_numpy(np.float64)
