"""The newest rows, held back from a model while it learns when to stop."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.intervals import read_intervals

__all__ = ["validation_slice"]


def validation_slice(outcome: pd.DataFrame, share: float = 0.2) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part rows into those to learn from and the newest, which tell when to stop.

    One block of :class:`~pipeline.learning.splits.PurgedWalkForward`: the slice is the newest ``share`` of the rows by
    ``start``, rows of one start staying together. Of the others those stay whose label was known before the slice's
    first start; no label learned from lives on into the slice.

    Parameters
    ----------
    outcome
        ``start`` and ``end`` of each label, shape (n, ...), in any order.
    share
        Of the rows, between 0 and 1; rounded to whole rows, one at least.

    Returns
    -------
    train, validation
        Rising positions (int64), disjoint.

    Raises
    ------
    ConfigurationError
        For a share that is none.
    DataError
        If nothing is left to learn from.

    Examples
    --------
    >>> days = pd.date_range("2024-03-04", periods=6)
    >>> frame = pd.DataFrame({"start": days, "end": days + pd.Timedelta("30h")})
    >>> [rows.tolist() for rows in validation_slice(frame, 1 / 3)]
    [[0, 1, 2], [4, 5]]
    """
    if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 < share < 1:
        raise ConfigurationError(f"the validation share is {share!r}; give a number between 0 and 1, such as 0.2")
    rows = len(read_intervals(outcome))
    from pipeline.learning.splits import PurgedWalkForward

    try:
        ((train, validation),) = PurgedWalkForward(1, test_size=max(1, round(rows * float(share)))).split(outcome)
    except DataError as error:
        raise DataError(
            f"{rows} training rows are too few to hold {share:.0%} of them back for validation and learn from "
            "those whose label was known before; add earlier bars or hold back less"
        ) from error
    return train, validation
