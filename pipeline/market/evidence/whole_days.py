"""Dates that are whole days off: weeks that begin or end where the exchange is closed."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.market.evidence.data import HOUR, Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_DAY = 24 * HOUR
_SHIFTS = (-1, 1, -2, 2, -3, 3)  # days, which are all weekdays that there are
_FEWEST_DAYS = 5
_CLOSED, _LEFT = 0.08, 0.02  # of the rows


def look(data: Evidence) -> Iterator[Finding]:
    """Compare how many times fall where the exchange is closed with how many would, some days earlier or later."""
    if not data.closes_daily or len(np.unique(data.instants // _DAY)) < _FEWEST_DAYS:
        return
    count = len(data.instants)
    closed = _closed(data, data.instants)
    if closed < _CLOSED * count:
        return
    left = [_closed(data, data.instants + shift * _DAY) for shift in _SHIFTS]
    best = int(np.argmin(left))
    if left[best] <= _LEFT * count:
        days = abs(_SHIFTS[best])
        way = "earlier" if _SHIFTS[best] < 0 else "later"
        hint = " (days counted from 1904 and read as from 1900 are 1,462 days too early)" if _SHIFTS[best] == -1 else ""
        yield Finding(
            "whole_days",
            "warning",
            f"{closed:,} of {count:,} times lie where the exchange is closed, and {left[best]:,} with dates {days} "
            f"day{'s' * (days > 1)} {way}: the dates are on the wrong weekdays{hint}; write them into the file as text",
        )


def _closed(data: Evidence, instants: NDArray[np.int64]) -> int:
    """Count the instants that lie in no session."""
    opens, closes = data.bounds("open"), data.bounds("close")
    session = np.searchsorted(opens, instants, side="right") - 1
    return int(((session < 0) | (instants >= closes[np.maximum(session, 0)])).sum())
