"""Sample weights: how much of its time a label had to itself."""

from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.learning.intervals import instants, read_intervals

__all__ = ["average_uniqueness"]


def average_uniqueness(start: Any, end: Any, *, times: Any = None) -> pd.Series:
    """Average uniqueness of labels (López de Prado 2018, 4.4): the mean of 1 / concurrency over a label's life.

    Two labels of the same life have 1/2 each, a label that overlaps no other has 1. As ``sample_weight`` they
    keep a stretch crowded with overlapping outcomes from counting as many independent ones.

    Parameters
    ----------
    start, end
        Times of decision and of the label's being known, shape (n,) each, in any order. Intervals are closed.
    times
        The instants that count, for the book's own form, say the opens of bars, in any order, shape (k,). Without
        them it is clock time, nights and weekends included.

    Returns
    -------
    Series
        ``uniqueness`` in (0, 1], float64, on the index of ``start`` if that is a Series. Over clock time two labels
        of which one ends as the other starts don't share time, and a label without length takes the concurrency of
        its instant.

    Raises
    ------
    DataError
        For missing or impossible times, or a label in whose life none of ``times`` lies.
    """
    index = start.index if isinstance(start, pd.Series) else pd.RangeIndex(len(start))
    if len(start) != len(end):
        raise DataError(f"there are {len(start)} starts and {len(end)} ends; give one of each a label")
    columns = {"start": pd.Series(start).array, "end": pd.Series(end).array}
    intervals = read_intervals(pd.DataFrame(columns, index=index))
    rising_starts, rising_ends = np.sort(intervals.start), np.sort(intervals.end)

    def concurrency(at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the closed intervals that hold each instant."""
        begun = np.searchsorted(rising_starts, at, side="right")
        return begun - np.searchsorted(rising_ends, at, side="left")

    if times is not None:
        grid = np.unique(_grid(times, start))
        first = np.searchsorted(grid, intervals.start, side="left")
        stop = np.searchsorted(grid, intervals.end, side="right")
        if (without := stop == first).any():
            row = int(np.argmax(without))
            raise DataError(
                f"none of times lies in the life of the label in row {row} ({index[row]!r}); leave times out"
            )
        held = _running(np.ones(len(grid)), concurrency(grid))
        shares = (held[stop] - held[first]) / (stop - first)
        return pd.Series(np.minimum(shares, 1.0), index=index, name="uniqueness")

    edges = np.unique(np.concatenate([rising_starts, rising_ends]))
    begun = np.searchsorted(rising_starts, edges[:-1], side="right")
    within = begun - np.searchsorted(rising_ends, edges[:-1], side="right")  # between an edge and the next
    held = _running(np.diff(edges).astype(np.float64), within)
    first, last = (np.searchsorted(edges, values) for values in (intervals.start, intervals.end))
    length = (intervals.end - intervals.start).astype(np.float64)
    instant = length == 0
    shares = (held[last] - held[first]) / np.where(instant, 1.0, length)
    shares[instant] = 1.0 / concurrency(intervals.start[instant])
    return pd.Series(np.minimum(shares, 1.0), index=index, name="uniqueness")


def _grid(times: Any, start: Any) -> NDArray[np.int64]:
    grid, zone = instants(times, "times")
    if len(grid) and len(start) and zone != (pd.DatetimeIndex(start).tz is not None):
        raise DataError("times and start must both carry a time zone, or neither; localize the one that doesn't")
    return grid


@njit(cache=True, nogil=True)
def _running(lengths: NDArray[np.float64], concurrency: NDArray[np.int64]) -> NDArray[np.float64]:
    """Running sum of length / concurrency, started again after each idle piece, shape (k + 1,).

    No label reaches over an idle piece, so each sum is short and a label's share does not depend on what was years
    before.
    """
    sums = np.zeros(len(lengths) + 1)
    for piece in range(len(lengths)):
        sums[piece + 1] = sums[piece] + lengths[piece] / concurrency[piece] if concurrency[piece] > 0 else 0.0
    return sums
