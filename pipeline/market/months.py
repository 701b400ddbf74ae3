"""Months of trade dates: the partitions that bars are kept in."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.market.sessions import label_sessions

__all__ = ["split_by_month", "trade_months"]

FIRST_YEAR, LAST_YEAR = 1900, 2200


def trade_months(timestamps: pd.Series, instrument: Instrument) -> NDArray[np.datetime64]:
    """The month that each row belongs to, shape (n,), unit month.

    It is its session's month: the evening that opens the session of the first of March belongs to March.
    A row outside every session belongs to the month of its own time in the instrument's zone; one
    without a time, or with an impossible one, to that of the row before it in the file (the first to the
    row after), so that every row, quarantined ones included, has exactly one month.
    """
    index = pd.DatetimeIndex(timestamps)
    # A year that no calendar has is a broken time: such a row is quarantined, in the month of its neighbour.
    known = index.notna() & (index.year > FIRST_YEAR) & (index.year < LAST_YEAR)
    months = np.full(len(index), np.datetime64("NaT", "M"))
    if known.any():
        labels = label_sessions(index[known], instrument)
        own = index[known].tz_convert(instrument.time_zone).tz_localize(None).to_numpy().astype("datetime64[M]")
        session = labels.sessions.to_numpy().astype("datetime64[M]")
        months[known] = np.where(labels.position >= 0, session, own)
    filled = pd.Series(months.astype("datetime64[s]")).ffill().bfill()
    return filled.to_numpy().astype("datetime64[M]")


def split_by_month(frame: pd.DataFrame, instrument: Instrument) -> dict[str, pd.DataFrame]:
    """Rows by month of trade date (``2021-03``), in the order of the months; each frame renumbered."""
    months = trade_months(frame["timestamp"], instrument)
    present, position = np.unique(months, return_inverse=True)
    return {
        str(month): frame[position == number].reset_index(drop=True)
        for number, month in enumerate(present)
        if not np.isnat(month)
    }
