"""Input of every engine: integer bars, and the slices of them that are sessions."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

__all__ = ["session_slices", "split_evenly"]


def session_slices(
    starts: NDArray[np.int64], stops: NDArray[np.int64] | None, bars: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First bar of every session and the bar after its last, checked against the number of bars.

    Raises
    ------
    DataError
        For slices of different lengths, or that don't lie within the bars.
    """
    begins = np.ascontiguousarray(starts, dtype=np.int64)
    ends = np.append(begins, bars)[1:] if stops is None else np.ascontiguousarray(stops, dtype=np.int64)
    if begins.shape != ends.shape or begins.ndim != 1:
        raise DataError(f"starts has shape {begins.shape} and stops {ends.shape}; both need one entry per session")
    if len(begins) and not ((begins >= 0) & (begins <= ends) & (ends <= bars)).all():
        raise DataError(f"sessions must start at 0 or later and stop, not before, at {bars} bars or earlier")
    return begins, ends


def split_evenly(lengths: NDArray[np.int64], parts: int) -> list[slice]:
    """Split into at most ``parts`` runs of neighbouring sessions of about equal numbers of bars, none empty."""
    total = np.cumsum(lengths)
    goals = np.arange(1, parts) * (int(total[-1]) if len(total) else 0) // parts
    cuts = np.unique(np.concatenate([[0], np.searchsorted(total, goals, side="right"), [len(lengths)]]))
    return [slice(int(first), int(last)) for first, last in pairwise(cuts)]
