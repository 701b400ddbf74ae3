"""Bars of an evening under the trade date they belong to, which is the day after: a day late."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.evidence.data import HOUR, Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_WEEKEND = 24 * HOUR
_EVENING = 6 * HOUR
_SHARE = 0.8


def look(data: Evidence) -> Iterator[Finding]:
    """Look for bars after a week's last close and none in the next one's first evening, in rows that turn back."""
    if not data.closes_daily or len(data.instants) == 0:
        return
    opens, closes = data.bounds("open"), data.bounds("close")
    weekend = opens[1:] - closes[:-1] >= _WEEKEND
    closed, opened = closes[:-1][weekend], opens[1:][weekend]
    after = _count(data, closed, closed + _EVENING) > 0
    before, evening = _count(data, closed - _EVENING, closed) > 0, _count(data, opened, opened + _EVENING) > 0
    late = int((after & ~evening & before).sum())
    if late == 0 or late < _SHARE * (before & (after | evening)).sum() or _turns(data) < late:
        return
    yield Finding(
        "trade_dates",
        "warning",
        f"on {late} weekend{'s' * (late > 1)} there are bars after the last close and none in the evening of the next "
        "open, and the rows go back by a day at midnight: the dates are probably trade dates, which run a day ahead in "
        "the evening; write the calendar date into the file",
    )


def _count(data: Evidence, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the different times in each span, its end excluded."""
    return np.searchsorted(data.instants, end) - np.searchsorted(data.instants, begin)


def _turns(data: Evidence) -> int:
    """Count how often the file's rows go back by most of a day; from its other end where times fall."""
    places = [name for name in ("source_file", "source_line") if name in data.raw]
    rows = data.raw.sort_values(places, kind="stable") if places else data.raw
    steps = np.diff(pd.DatetimeIndex(rows["timestamp"].dropna()).as_unit("ns").asi8)
    if (steps < 0).sum() > (steps > 0).sum():
        steps = -steps
    return int(((steps < -12 * HOUR) & (steps >= -24 * HOUR)).sum())
