"""Quarterly futures: which contract a session trades, and when it rolls into the next."""

import exchange_calendars
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument

__all__ = ["ROLL_DAYS", "has_contracts", "session_contracts"]

ROLL_DAYS = 8
"""Days from the roll (a Thursday) to the expiry (the third Friday), the index futures' custom."""

_FUTURES_CALENDARS = frozenset({"CMES", "IEPA", "XCBF", "us_futures"})
_MONTH_CODES = {3: "H", 6: "M", 9: "U", 12: "Z"}


def has_contracts(instrument: Instrument) -> bool:
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
    years = range(sessions[0].year, sessions[-1].year + 2)
    quarters = [(year, month) for year in years for month in _MONTH_CODES]
    roll_dates = np.array([_third_friday(year, month) - ROLL_DAYS for year, month in quarters])
    names = np.array([f"{symbol}{_MONTH_CODES[month]}{year % 100:02d}" for year, month in quarters], dtype=object)
    dates = sessions.to_numpy().astype("datetime64[D]")
    row = np.searchsorted(roll_dates, dates, side="right")
    rolls = np.concatenate(([False], row[1:] != row[:-1]))
    return names[row], rolls


def _third_friday(year: int, month: int) -> np.datetime64:
    return np.busday_offset(f"{year}-{month:02d}", 2, roll="forward", weekmask="Fri")
