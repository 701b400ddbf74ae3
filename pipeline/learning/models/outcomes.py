"""Requirements of a model on the outcomes it learns from."""

import numpy as np

from pipeline.errors import DataError
from pipeline.learning.models.rows import TrainingRows

__all__ = ["check_outcomes"]


def check_outcomes(rows: TrainingRows, *names: str) -> None:
    """Refuse rows whose weight isn't above zero, or in which one of these outcomes is missing or infinite.

    Parameters
    ----------
    names
        Outcomes that are learned from, such as ``net``.

    Raises
    ------
    DataError
        Names column and row.
    """
    for name in ("weight", *names):
        values = rows.outcome[name].to_numpy(np.float64)
        wrong = ~np.isfinite(values) | ((values <= 0) if name == "weight" else False)
        if wrong.any():
            row = int(np.argmax(wrong))
            needed = "must be a number above zero" if name == "weight" else "must be a number"
            raise DataError(
                f"{name} is {values[row]} in training row {rows.outcome.index[row]}, and it {needed}; leave the row "
                "out or make the training set again"
            )
