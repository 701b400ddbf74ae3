"""Series from elsewhere (VIX): when each of their rows may be known.

A daily row carries a date, not the time at which it was known. A row dated d is therefore known at the close of the
sessions **after** d only: yesterday's close. A series that can prove better carries ``known_at`` (times with a zone):
its rows are known at the closes of sessions from that time on.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError

__all__ = ["as_known", "cut_external", "external_dates", "require_external"]

# Older than that, a value is a hole in the data and no longer the last one known. Longer than any exchange's closure.
STALE_DAYS = 10

_DAY = 86_400 * 10**9


def require_external(name: str, frame: pd.DataFrame) -> None:
    """See that rows have a date, or say what is missing.

    Raises
    ------
    DataError
        For a frame without ``timestamp``, or with ``known_at`` without a zone.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"the external series {name} must be a pandas DataFrame, not {type(frame).__name__}")
    if "timestamp" not in frame.columns and not isinstance(frame.index, pd.DatetimeIndex):
        raise DataError(f"the external series {name} has neither a column timestamp nor an index of dates; give it one")
    dates = frame["timestamp"] if "timestamp" in frame.columns else frame.index
    if not pd.api.types.is_datetime64_any_dtype(dates.dtype):
        raise DataError(f"the external series {name} has timestamps of type {dates.dtype}; convert with pd.to_datetime")
    if pd.isna(dates).any():
        raise DataError(f"the external series {name} has a row without a timestamp; drop or fill it")
    if "known_at" in frame.columns:
        known = frame["known_at"]
        if not isinstance(known.dtype, pd.DatetimeTZDtype) or known.isna().any():
            raise DataError(f"the external series {name} has known_at without a zone or missing; give UTC times")


def external_dates(frame: pd.DataFrame) -> pd.DatetimeIndex:
    """The date of each row, in the zone it is written in; midnight, without a zone, shape (rows,)."""
    stamps = pd.DatetimeIndex(frame["timestamp"] if "timestamp" in frame.columns else frame.index)
    return stamps.tz_localize(None).normalize().as_unit("ns")


def as_known(
    frame: pd.DataFrame, values: NDArray[np.float64], sessions: pd.DatetimeIndex, closes: pd.DatetimeIndex
) -> NDArray[np.float64]:
    """The last value known at each session's close.

    Parameters
    ----------
    frame
        The series, shape (rows, ...).
    values
        One a row of it; rows with NaN are passed over.
    sessions, closes
        Sessions and the times they close (UTC), shape (sessions,).

    Returns
    -------
    Shape (sessions,); NaN where the last row known is more than ten days older than the session.
    """
    dates = external_dates(frame)
    known = ~np.isnan(values)
    if "known_at" in frame.columns:
        when, limits = pd.DatetimeIndex(frame["known_at"]).as_unit("ns").asi8, closes.as_unit("ns").asi8
    else:
        # A day later than it is dated, so that both rules read: known by then.
        when, limits = dates.asi8 + _DAY, sessions.as_unit("ns").asi8
    # By the day it is of among what is known at the same time; of two rows of one day the first stays.
    order = np.lexsort((-np.arange(len(dates)), dates.asi8, when))
    order = order[known[order]]
    place = np.searchsorted(when[order], limits, side="right") - 1
    if len(order) == 0:
        return np.full(len(sessions), np.nan)
    row = order[np.maximum(place, 0)]
    fresh = sessions.asi8 - dates.asi8[row] <= STALE_DAYS * _DAY
    return np.where((place >= 0) & fresh, values[row], np.nan)


def cut_external(
    frame: pd.DataFrame,
    *,
    first: pd.Timestamp | None = None,
    last: pd.Timestamp | None = None,
    close: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Rows dated ``first`` or later; rows known at the close (the time ``close``) of session ``last``."""
    dates = external_dates(frame)
    kept = np.ones(len(frame), np.bool_)
    if first is not None:
        kept &= dates >= first
    if last is not None:
        kept &= frame["known_at"].to_numpy() <= close if "known_at" in frame.columns else dates < last
    return frame[kept]
