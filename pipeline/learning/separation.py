"""Check that a split is clean, from its positions alone, whoever made it."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import DataError
from pipeline.learning.intervals import duration, read_intervals

__all__ = ["leaking_rows"]


def leaking_rows(frame: pd.DataFrame, train: ArrayLike, test: ArrayLike, *, embargo: Any = "0D") -> NDArray[np.int64]:
    """Training rows that a clean split would not have.

    Parameters
    ----------
    frame
        ``start`` and ``end`` of each label, shape (n, ...).
    train, test
        Positions in ``frame``, in any order.
    embargo
        Duration after each test interval's end in which no training row may start.

    Returns
    -------
    ndarray of int64
        Rising positions of training rows that are test rows too, whose label interval meets a test interval (touching
        included), or that start within the embargo after one. Works in O(n log n), and not by way of
        folds: gaps between test intervals are seen.

    Raises
    ------
    DataError
        For a frame without usable intervals, or positions outside it.
    """
    intervals, span = read_intervals(frame), duration(embargo, "embargo")
    learned, tested = (_positions(values, len(intervals)) for values in (train, test))
    if not len(tested):
        return np.empty(0, np.int64)
    order = tested[np.argsort(intervals.start[tested], kind="stable")]
    starts = intervals.start[order]
    latest_end = np.maximum.accumulate(intervals.end[order])
    # Of the test intervals that start by the time the training label ends, one that ends latest is the nearest.
    begun = np.searchsorted(starts, intervals.end[learned], side="right") - 1
    reach = latest_end[np.maximum(begun, 0)]
    leaks = (begun >= 0) & (intervals.start[learned] <= reach)
    # Embargo: the latest end among those over before the training label starts.
    ends = np.sort(intervals.end[tested])
    over = np.searchsorted(ends, intervals.start[learned], side="left") - 1
    leaks |= (over >= 0) & (intervals.start[learned] - ends[np.maximum(over, 0)] <= span)
    return np.unique(learned[leaks | np.isin(learned, tested)])


def _positions(values: ArrayLike, count: int) -> NDArray[np.int64]:
    positions = np.asarray(values, dtype=np.int64).ravel()
    if len(positions) and (positions.min() < 0 or positions.max() >= count):
        raise DataError(f"positions from {positions.min()} to {positions.max()} don't lie in a frame of {count} rows")
    return positions
