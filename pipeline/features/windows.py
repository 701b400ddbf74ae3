"""Trailing windows whose results don't depend, not even in the last bit, on what lies outside them.

Running sums (pandas' ``rolling``) carry rounding along from the first row on; here each window is summed separately.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.strategy import window_deviation
from pipeline.strategy.gates import MIN_KNOWN_SHARE, trailing_windows

__all__ = ["trailing", "trailing_deviation", "trailing_mean", "trailing_sum"]

Floats = NDArray[np.float64]


def trailing(values: Floats, length: int) -> Floats:
    """The last ``length`` values up to each position, NaN before the first: a copy of shape (n, length)."""
    return np.ascontiguousarray(trailing_windows(np.asarray(values, np.float64), length))


def trailing_sum(values: Floats, length: int) -> Floats:
    """Sum of the known values in each window, shape (n,); NaN where less than three quarters of it are known."""
    windows = trailing(values, length)
    known = ~np.isnan(windows)
    enough = known.sum(axis=1) >= MIN_KNOWN_SHARE * length
    return np.where(enough, np.where(known, windows, 0.0).sum(axis=1), np.nan)


def trailing_mean(values: Floats, length: int) -> Floats:
    """Mean of the known values in each window, shape (n,); NaN where less than three quarters of it are known."""
    count = (~np.isnan(trailing(values, length))).sum(axis=1)
    return trailing_sum(values, length) / np.maximum(count, 1)


def trailing_deviation(values: Floats, length: int) -> Floats:
    """Standard deviation (ddof = 1) of the known values in each window, shape (n,).

    NaN where less than three quarters are known.
    """
    return window_deviation(trailing(values, length))
