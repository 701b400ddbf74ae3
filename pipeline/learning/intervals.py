"""Label intervals: from the decision to when the label is known, both ends included, as integers."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError

__all__ = ["Intervals", "duration", "instants", "read_intervals"]


@dataclass(frozen=True)
class Intervals:
    """Closed intervals ``[start, end]`` in nanoseconds, shape (n,) each, in the order of the rows."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)


def read_intervals(frame: pd.DataFrame) -> Intervals:
    """The columns ``start`` and ``end`` of a frame.

    Parameters
    ----------
    frame
        ``start`` (decision time) and ``end`` (when the label is known): times of any unit, both with a zone or both
        without one; rows in any order, shape (n, ...).

    Raises
    ------
    DataError
        For a missing column, values that are not times, a missing time, an end before its start: names the row.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"splits and weights need a pandas DataFrame with start and end, not {type(frame).__name__}")
    if missing := [name for name in ("start", "end") if name not in frame.columns]:
        found = ", ".join(map(str, frame.columns[:12])) or "none"
        raise DataError(
            f"the frame has no column {' and '.join(missing)} (columns found: {found}); "
            "add when each label was decided (start) and when it is known (end)"
        )
    start, zone = instants(frame["start"], "start")
    end, other = instants(frame["end"], "end")
    if zone != other and len(frame):
        bare = "end" if zone else "start"
        raise DataError(f"column {bare} carries no time zone and the other one does; localize it")
    if (backward := end < start).any():
        row = int(np.argmax(backward))
        raise DataError(
            f"row {row} ({frame.index[row]!r}) ends at {frame['end'].iloc[row]}, before it starts at "
            f"{frame['start'].iloc[row]}; a label is known after it was decided"
        )
    return Intervals(start, end)


def instants(values: Any, name: str) -> tuple[NDArray[np.int64], bool]:
    """Times as nanoseconds, and whether they carry a zone; ``name`` is for the error.

    Raises
    ------
    DataError
        If they are not times, or one is missing.
    """
    if isinstance(values, pd.DataFrame):
        raise DataError(f"the frame has the column {name} more than once; keep one of them")
    dtype = getattr(values, "dtype", None)
    if dtype is not None and (pd.api.types.is_numeric_dtype(dtype) or isinstance(dtype, pd.StringDtype)):
        raise DataError(f"column {name} holds {dtype}, not times; convert it, e.g. with pd.to_datetime")
    try:
        index = pd.DatetimeIndex(values)
        zone = index.tz is not None
        index = (index.tz_convert("UTC") if zone else index).as_unit("ns")
    except (TypeError, ValueError) as error:
        raise DataError(f"column {name} can't be read as times: {' '.join(str(error).split())}") from error
    if index.hasnans:
        row = int(np.argmax(index.isna()))
        label = values.index[row] if isinstance(values, pd.Series) else row
        raise DataError(f"row {row} ({label!r}) has no {name}; leave out rows whose label is not known yet")
    return index.asi8, zone


def duration(value: Any, name: str) -> int:
    """A duration in nanoseconds, 0 or more; ``name`` is the setting's, for the error.

    Raises
    ------
    ConfigurationError
        For what is not a duration, a bare number (of what?), or less than none.
    """
    wrong = ConfigurationError(f"{name} is {value!r}; give a duration such as '5D' or '12h', not below zero")
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            pass
        else:
            raise wrong
    elif not isinstance(value, dt.timedelta | np.timedelta64) and not (type(value) is int and value == 0):
        raise wrong
    try:
        span = pd.Timedelta(value)
        if span is pd.NaT or span < pd.Timedelta(0):
            raise wrong
        return int(span.as_unit("ns").value)
    except (ValueError, TypeError, OverflowError) as error:
        raise wrong from error
