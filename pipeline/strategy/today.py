"""The coming session's bars as far as they were complete when a decision was made within it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market import Hours, Instrument, session_schedule
from pipeline.market.bar_times import bar_ends
from pipeline.market.bars import require_bars
from pipeline.market.sessions import session_slices
from pipeline.strategy.setups import NO_PRICE

__all__ = ["SessionBars", "Today"]

Ints = NDArray[np.int64]

_MINUTE = 60 * 10**9
_PRICES = ("open", "high", "low", "close")


class SessionBars:
    """Bars in ticks, by the session whose hours they open in.

    Parameters
    ----------
    bars
        Clean bars (contract §1), two or more.
    instrument, hours
        Whose sessions, and which of their hours.
    """

    def __init__(self, bars: pd.DataFrame, instrument: Instrument, hours: Hours) -> None:
        frame = require_bars(bars, ("timestamp", *_PRICES))
        self.instrument, self.hours = instrument, hours
        self.opens = pd.DatetimeIndex(frame["timestamp"]).as_unit("ns").asi8
        self.ends = bar_ends(self.opens)
        self.ticks = {name: instrument.to_ticks(frame[name]) for name in _PRICES}
        self.contract = frame["contract"].to_numpy(object) if "contract" in frame.columns else None
        self._slices = session_slices(self.opens, instrument, hours)

    def until(self, sessions: pd.DatetimeIndex, minutes: int, contracts: NDArray[np.object_] | None) -> "Today":
        """Return the bars of each session that were complete so many minutes after its hours had opened.

        Parameters
        ----------
        sessions
            Shape (n,).
        minutes
            After the open of the hours.
        contracts
            That each session's bars are to be of, shape (n,); where they are of another, there are none.
        """
        place = self._slices.index.get_indexer(sessions)
        there = place >= 0
        starts = np.where(there, self._slices.starts[place], 0)
        opens, closes = self._hours(sessions)
        decided = opens + minutes * _MINUTE
        stops = np.searchsorted(self.ends, decided, side="right")
        # What is decided after the last bar's end has not been decided yet, after the close never.
        there &= (decided <= self.ends[-1]) & (decided < closes)
        if contracts is not None and self.contract is not None:
            there &= self.contract[np.minimum(starts, len(self.opens) - 1)] == contracts
        return Today(self, starts, np.where(there, np.maximum(stops, starts), starts), decided)

    def _hours(self, sessions: pd.DatetimeIndex) -> tuple[Ints, Ints]:
        names = ("rth_open", "rth_close") if self.hours == "rth" else ("open", "close")
        if len(sessions) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        schedule = session_schedule(self.instrument, sessions.min(), sessions.max()).loc[sessions]
        opens, closes = (pd.DatetimeIndex(schedule[name]).as_unit("ns").asi8 for name in names)
        return opens, closes


@dataclass(frozen=True)
class Today:
    """Beginnings of sessions, shape (n,): what a decision within each may see of it.

    Prices are ticks, and ``NO_PRICE`` where no bar was complete.

    Attributes
    ----------
    bars
        All bars.
    starts, stops
        Those of session k are ``starts[k]:stops[k]``.
    decided_at
        Instant of the decision, UTC nanoseconds.
    """

    bars: SessionBars
    starts: Ints
    stops: Ints
    decided_at: Ints

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return True where a bar was complete."""
        return self.stops > self.starts

    @property
    def open(self) -> Ints:
        """The first bar's open."""
        return self._picked("open", self.starts)

    @property
    def last(self) -> Ints:
        """The last complete bar's close."""
        return self._picked("close", self.stops - 1)

    @property
    def high(self) -> Ints:
        """The highest price so far."""
        return self._reduced(np.maximum, "high")

    @property
    def low(self) -> Ints:
        """The lowest price so far."""
        return self._reduced(np.minimum, "low")

    def closes(self, minutes: int, count: int) -> Ints:
        """Return the close of each of the last brackets of so many minutes, the newest last.

        Brackets end at the decision. One whose last bar is missing has the close of the bar before it.

        Returns
        -------
        ndarray
            Shape (n, count); ``NO_PRICE`` for a bracket without a complete bar before its end.
        """
        found = np.empty((len(self.starts), count), np.int64)
        for back in range(count):
            end = self.decided_at - back * minutes * _MINUTE
            stop = np.minimum(np.searchsorted(self.bars.ends, end, side="right"), self.stops)
            there = stop > self.starts
            found[:, count - 1 - back] = np.where(there, self._values("close", stop - 1), NO_PRICE)
        return found

    def _values(self, name: str, rows: Ints) -> Ints:
        return self.bars.ticks[name][np.clip(rows, 0, len(self.bars.opens) - 1)]

    def _picked(self, name: str, rows: Ints) -> Ints:
        return np.where(self.known, self._values(name, rows), NO_PRICE)

    def _reduced(self, function: np.ufunc, name: str) -> Ints:
        found = np.full(len(self.starts), NO_PRICE, np.int64)
        known = self.known
        if known.any():
            edges = np.stack([self.starts[known], self.stops[known]], axis=1).ravel()
            # A value more, for the slice that ends with the last bar.
            values = np.append(self.bars.ticks[name], 0)
            found[known] = function.reduceat(values, edges)[::2]
        return found
