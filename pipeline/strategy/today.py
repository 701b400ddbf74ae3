"""The coming session's bars as far as they were complete when a decision was made within it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market import Hours, Instrument, session_schedule
from pipeline.market.bar_times import bar_ends, complete_until
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
    known_until
        Instant up to which the bars are complete, with a zone; the last bar's end by default.

    Raises
    ------
    DataError
        For unusable bars, fewer than two, or a ``known_until`` without a zone or before the last bar's end.
    """

    def __init__(
        self,
        bars: pd.DataFrame,
        instrument: Instrument,
        hours: Hours,
        known_until: pd.Timestamp | str | None = None,
    ) -> None:
        frame = require_bars(bars, ("timestamp", *_PRICES))
        self.frame = frame.reset_index(drop=True)
        self.instrument, self.hours = instrument, hours
        self.opens = pd.DatetimeIndex(frame["timestamp"]).as_unit("ns").asi8
        self.ends = bar_ends(self.opens)
        self.known_until = complete_until(known_until, self.ends)
        self.ticks = {name: instrument.to_ticks(frame[name]) for name in _PRICES}
        self.contract = frame["contract"].to_numpy(object) if "contract" in frame.columns else None
        # Rises by one with each bar of another contract than the one before.
        self._run = np.zeros(len(self.opens), np.int64)
        if self.contract is not None:
            self._run[1:] = np.cumsum(self.contract[1:] != self.contract[:-1])
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
            That each session's bars are to be of, shape (n,). Where they are of another, or of two, there are none.
        """
        place = self._slices.index.get_indexer(sessions)
        there = place >= 0
        starts = np.zeros(len(sessions), np.int64)
        starts[there] = self._slices.starts[place[there]]
        opens, closes = self._hours(sessions)
        decided = opens + minutes * _MINUTE
        stops = np.maximum(np.searchsorted(self.ends, decided, side="right"), starts)
        # What is decided after the bars are known has not been decided yet, after the close never.
        there &= (decided <= self.known_until) & (decided < closes) & (stops > starts)
        if self.contract is not None:
            there &= self._run[starts] == self._run[np.maximum(stops - 1, 0)]
            if contracts is not None:
                there &= self.contract[starts] == contracts
        return Today(self, starts, np.where(there, stops, starts), decided)

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

        Brackets end at the decision. A bracket's close is that of the last bar to end within it.

        Returns
        -------
        ndarray
            Shape (n, count); ``NO_PRICE`` for a bracket in which no bar ended.
        """
        # Bars that had ended by each bracket's end, and by the first one's beginning.
        ends = self.decided_at[:, None] - np.arange(count, -1, -1) * (minutes * _MINUTE)
        stops = np.clip(np.searchsorted(self.bars.ends, ends, side="right"), self.starts[:, None], self.stops[:, None])
        return np.where(stops[:, 1:] > stops[:, :-1], self._values("close", stops[:, 1:] - 1), NO_PRICE)

    def frame(self, row: int) -> pd.DataFrame:
        """Return the bars of one session as they were given, with all their columns."""
        return self.bars.frame.iloc[self.starts[row] : self.stops[row]]

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
