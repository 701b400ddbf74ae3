"""Quarterly futures: when their contracts expire, which one a session trades, and when it rolls into the next."""

import exchange_calendars
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument

__all__ = ["ROLL_DAYS", "is_futures", "session_contracts", "third_fridays"]

ROLL_DAYS = 8
"""Days from the roll (a Thursday) to the expiry (the third Friday), the index futures' custom."""

_FUTURES_CALENDARS = frozenset({"CMES", "IEPA", "XCBF", "us_futures"})
_MONTH_CODES = {3: "H", 6: "M", 9: "U", 12: "Z"}


def is_futures(instrument: Instrument) -> bool:
    """Return True if the instrument trades as dated contracts, by its exchange's calendar."""
    return exchange_calendars.resolve_alias(instrument.calendar) in _FUTURES_CALENDARS


def session_contracts(sessions: pd.DatetimeIndex, symbol: str) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """The contract of each session and whether the session is the first of its contract.

    Contracts expire on the third Friday of March, June, September and December; from the Thursday
    eight days before, the next one is traded.

    Returns
    -------
    codes : ndarray of str, shape (n,)
        Such as ``ESH25``.
    rolls : ndarray of bool, shape (n,)
        True where the contract differs from the session before; never for the first.
    """
    expiries = third_fridays(sessions[0], sessions[-1] + pd.DateOffset(years=1))
    names = np.array([f"{symbol}{_MONTH_CODES[each.month]}{each.year % 100:02d}" for each in expiries], dtype=object)
    row = np.searchsorted(expiries - pd.Timedelta(days=ROLL_DAYS), sessions, side="right")
    rolls = np.concatenate(([False], row[1:] != row[:-1]))
    return names[row], rolls


def third_fridays(first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Expiry of CME's equity-index futures: third Fridays of March, June, September and December."""
    months = pd.period_range(first, last, freq="M")
    starts = months[np.isin(months.month, list(_MONTH_CODES))].to_timestamp()
    return starts + pd.to_timedelta((4 - starts.day_of_week) % 7 + 14, unit="D")
