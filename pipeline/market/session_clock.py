"""Assignment of the rows of a sorted stretch of time to sessions, chunk after chunk of a long file."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours, session_schedule

__all__ = ["SessionClock", "SessionSlices"]

_HORIZON = 10 * 86_400 * 10**9  # ns; longer than any closure, so that the first and last rows find their session
# No calendar reaches beyond; a time outside belongs to no session.
_EARLIEST, _LATEST = (pd.Timestamp(each, tz="UTC").as_unit("ns").value for each in ("1901-01-01", "2200-01-01"))
_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class SessionSlices:
    """Sessions of sorted instants.

    Attributes
    ----------
    sessions
        Sessions with rows in the hours asked for, as nanoseconds of their midnight, rising, shape (sessions,).
    starts, stops
        Session k is the rows ``starts[k]:stops[k]``, shape (sessions,).
    opens
        When the hours of each open, nanoseconds, shape (sessions,).
    inside
        Per row, whether it lies in any session at all, whatever the hours; None where all do.
    """

    sessions: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    opens: NDArray[np.int64]
    inside: NDArray[np.bool_] | None


class SessionClock:
    """The sessions of an instrument, remembered between calls and extended as times pass outside.

    Parameters
    ----------
    instrument
        Gives the calendar.
    hours
        ``"rth"``: the regular hours; ``"eth"``: the whole trade date.
    """

    def __init__(self, instrument: Instrument, hours: Hours) -> None:
        if hours not in ("rth", "eth"):
            raise ConfigurationError(f"hours is {hours!r}; it must be 'rth' (regular) or 'eth' (the whole trade date)")
        self._instrument = instrument
        self._columns = ("rth_open", "rth_close") if hours == "rth" else ("open", "close")
        self._covered = (0, 0)
        self._sessions = self._opens = self._closes = self._begins = self._ends = _NOTHING

    def slices(self, instants: NDArray[np.int64]) -> SessionSlices:
        """The sessions of instants (UTC nanoseconds, not falling), shape (rows,)."""
        known = slice(*np.searchsorted(instants, [_EARLIEST, _LATEST]))
        if known.start == known.stop:
            return SessionSlices(_NOTHING, _NOTHING, _NOTHING, _NOTHING, np.zeros(len(instants), dtype=bool))
        self._cover(int(instants[known.start]), int(instants[known.stop - 1]))
        near = slice(
            np.searchsorted(self._closes, instants[known.start], side="right"),
            np.searchsorted(self._opens, instants[known.stop - 1], side="right"),
        )
        opened, closed = (np.searchsorted(instants, each[near]) for each in (self._opens, self._closes))
        inside = None
        if int((closed - opened).sum()) < len(instants):
            edges = np.zeros(len(instants) + 1, dtype=np.int8)
            np.add.at(edges, opened, 1)
            np.subtract.at(edges, closed, 1)
            inside = np.cumsum(edges[:-1]) > 0
        starts, stops = (np.searchsorted(instants, each[near]) for each in (self._begins, self._ends))
        filled = stops > starts
        opens = self._begins[near][filled]
        return SessionSlices(self._sessions[near][filled], starts[filled], stops[filled], opens, inside)

    def _cover(self, first: int, last: int) -> None:
        if self._covered[0] <= first and last <= self._covered[1] and len(self._sessions):
            return
        if len(self._sessions):
            first, last = min(first, self._covered[0]), max(last, self._covered[1])
        days = [pd.Timestamp(each).normalize() for each in (first - _HORIZON, last + _HORIZON)]
        schedule = session_schedule(self._instrument, days[0], days[1])
        self._sessions = pd.DatetimeIndex(schedule.index).as_unit("ns").asi8
        self._opens, self._closes, self._begins, self._ends = (
            pd.DatetimeIndex(schedule[name]).as_unit("ns").asi8 for name in ("open", "close", *self._columns)
        )
        self._covered = (first, last)
