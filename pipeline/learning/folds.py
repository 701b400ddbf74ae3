"""Boundaries of folds, and the rows beside a fold that may be learned from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.learning.intervals import Intervals

__all__ = ["EMBARGOED", "PURGED", "ROLES", "TEST", "TRAIN", "UNUSED", "around_fold", "fold_numbers"]

# What a row is in a split; the numbers index these names.
ROLES = ("unused", "train", "test", "purged", "embargoed")
UNUSED, TRAIN, TEST, PURGED, EMBARGOED = range(5)


def fold_numbers(intervals: Intervals, cuts: Sequence[int]) -> NDArray[np.int64]:
    """Number of the fold each row lies in: rows in order of ``start``, cut near ``cuts``.

    Rows of one start are never separated (the long and the short of a session are judged together): a cut that falls
    between them moves to the nearer end of theirs, and further where a fold would stay empty.

    Parameters
    ----------
    cuts
        After how many rows to cut, rising, k − 1 for k folds.

    Returns
    -------
    ndarray of int64
        0 to k − 1, in the order of the rows, shape (n,).

    Raises
    ------
    DataError
        If there are fewer different starts than folds.
    """
    starts, inverse, counts = np.unique(intervals.start, return_inverse=True, return_counts=True)
    folds = len(cuts) + 1
    if len(starts) < folds:
        raise DataError(
            f"{len(intervals)} rows with {len(starts)} different start times are too few for {folds} folds; "
            "ask for fewer folds or give more rows"
        )
    rows_before = np.concatenate([[0], np.cumsum(counts)])
    edges = [0]
    for number, cut in enumerate(cuts):
        after = int(np.searchsorted(rows_before, cut))
        nearest = after - (after > 0 and cut - rows_before[after - 1] <= rows_before[after] - cut)
        edges.append(min(max(nearest, edges[-1] + 1), len(starts) - (len(cuts) - number)))
    fold_of_start = np.searchsorted(edges, np.arange(len(starts)), side="right") - 1
    return fold_of_start[inverse].astype(np.int64)


def around_fold(
    intervals: Intervals, fold: NDArray[np.bool_], embargo: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows whose interval meets one of the fold's, and rows that start within the embargo after one of them ends.

    A fold is unbroken in start, so no interval outside it can lie between two of its own, and its hull, from
    the first **start** to the last **end**, says the same as all its intervals one by one.

    Parameters
    ----------
    fold
        Which rows are the fold's, shape (n,), one at least.
    embargo
        Nanoseconds.

    Returns
    -------
    meets, embargoed
        Shape (n,) each; a row of the fold itself meets it, and no row is both.
    """
    first, last = intervals.start[fold].min(), intervals.end[fold].max()
    meets = (intervals.start <= last) & (intervals.end >= first)
    # A difference of times can't overflow; the end plus a long embargo can.
    embargoed = (intervals.start > last) & (intervals.start - last <= embargo)
    return meets, embargoed
