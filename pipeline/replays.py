"""The chain from clean bars to a backtest, each step kept for the settings that it depends on.

What is worked out once:

- bars in ticks, their sessions and contracts: for all settings;
- whole numbers that profiles are made from, and open, high, low and close of sessions: by hours and rows;
- profiles: by these and the value area;
- columns of the session history: by hours, rows and their own window.

:func:`pipeline.research.run_research` goes through it once, a study of the strategy once a trial. All is arrays, of
ticks and rows; frames are made where they are asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest import Account, PreparedBars
from pipeline.backtest.ledger import daily_returns
from pipeline.backtest.orders import OrderBatch
from pipeline.backtest.prepared import Run
from pipeline.market import Hours, Instrument, next_session
from pipeline.profiles import ProfileSettings, RowRule, SessionLevels
from pipeline.profiles.sessions import ProfileBars
from pipeline.strategy import GateValues, StrategySettings, pass_gates
from pipeline.strategy.candidates import Setups, candidates_frame, find_setups
from pipeline.strategy.history import HistoryParts
from pipeline.strategy.signals import SIGNAL_COLUMNS

__all__ = ["Decisions", "Outcome", "Replays"]


@dataclass(frozen=True)
class Decisions:
    """Every candidate of a strategy, as numbers.

    Attributes
    ----------
    strategy
        Whose.
    setups
        The candidates, m of them; ``setups.row`` is each one's place among the sessions.
    sessions, upcoming
        The sessions of the history, and for each the one that its candidates are for, shape (n,).
    contracts
        Of the sessions; None where the bars carry none.
    values
        What the gates look at, of the sessions.
    """

    strategy: StrategySettings
    setups: Setups
    sessions: pd.DatetimeIndex
    upcoming: pd.DatetimeIndex
    contracts: NDArray[np.object_] | None
    values: GateValues

    @cached_property
    def gates(self) -> Mapping[str, NDArray[Any]]:
        """What each gate says of each candidate, as :func:`pipeline.strategy.pass_gates`, shape (m,) each."""
        return pass_gates(self.values.take(self.setups.row), self.setups.side, self.strategy)

    def frame(self, instrument: Instrument) -> pd.DataFrame:
        """The frame of :func:`pipeline.strategy.rule_signals`."""
        row = self.setups.row
        contract = None if self.contracts is None else self.contracts[row]
        found = candidates_frame(self.setups, self.sessions[row], self.upcoming[row], contract, instrument)
        return found.assign(**{name: self.gates[name] for name in SIGNAL_COLUMNS})


@dataclass(frozen=True)
class Outcome:
    """The backtest of some candidates; frames are made when they are asked for.

    Attributes
    ----------
    account
        What it was run with.
    book
        The orders, as numbers.
    labels
        The orders' row labels among all candidates, shape (m,).
    run
        What became of them.
    prepared
        The bars.
    """

    account: Account
    book: OrderBatch
    labels: NDArray[np.int64]
    run: Run
    prepared: PreparedBars

    @cached_property
    def pnl(self) -> NDArray[np.float64]:
        """Money a trade, after commission, shape (t,)."""
        return self.prepared.pnl(self.book, self.run)

    @cached_property
    def money(self) -> pd.Series:
        """Dollars of one contract per trade, by the session it was closed in; all sessions with bars."""
        last, sessions = self.prepared.session_ends
        # A trade is closed at or before its session's last bar.
        row = np.searchsorted(last, self.run.ends[5])
        each = np.bincount(row, self.pnl / self.run.ends[2], minlength=len(sessions))
        return pd.Series(each, sessions, name="money")

    @property
    def session_equity(self) -> pd.Series:
        """Same as in :class:`pipeline.backtest.BacktestResult`."""
        return self.prepared.session_equity(self.run.equity)

    @property
    def daily_returns(self) -> pd.Series:
        """Same as in :class:`pipeline.backtest.BacktestResult`."""
        return daily_returns(self.session_equity, self.account)

    @property
    def trades(self) -> pd.DataFrame:
        """Same as in :class:`pipeline.backtest.BacktestResult`."""
        return self.prepared.trades(self.book, self.run, pd.Index(self.labels))


@dataclass(frozen=True)
class _Place:
    """Everything that the hours and the profile's rows determine."""

    bars: ProfileBars
    parts: HistoryParts
    upcoming: pd.DatetimeIndex  # per session of the history, the one its candidates are for


class Replays:
    """Bars of an instrument, for any number of backtests of the strategy on them.

    Parameters
    ----------
    bars
        Clean bars (contract §1), shape (n,).
    instrument
        What trades.
    """

    def __init__(self, bars: pd.DataFrame, instrument: Instrument) -> None:
        self._bars, self.instrument = bars, instrument
        self._places: dict[tuple[Hours, RowRule], _Place] = {}
        self._levels: dict[ProfileSettings, SessionLevels] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Another process works it out again in less time than it takes to send.
        return {"_bars": self._bars, "instrument": self.instrument, "_places": {}, "_levels": {}}

    @cached_property
    def prepared(self) -> PreparedBars:
        """The bars as the replay needs them."""
        return PreparedBars(self._bars, self.instrument)

    def profiles(self, strategy: StrategySettings) -> pd.DataFrame:
        """The profiles of :func:`pipeline.profiles.session_profiles`."""
        place, levels = self._worked_out(strategy)
        return place.bars.frame(levels)

    def history(self, strategy: StrategySettings) -> pd.DataFrame:
        """The frame of :func:`pipeline.strategy.session_history`."""
        place, levels = self._worked_out(strategy)
        return place.parts.history(place.bars.frame(levels), strategy)

    def decide(self, strategy: StrategySettings) -> Decisions:
        """The candidates of all sessions, and what their gates look at."""
        place, levels = self._worked_out(strategy)
        traded, parts = levels.total > 0, place.parts
        ranges = parts.average_true_range(strategy.atr_window)
        setups = find_setups(levels.val[traded], levels.vah[traded], ranges, self.instrument, strategy)
        return Decisions(strategy, setups, parts.sessions, place.upcoming, parts.contracts, parts.gate_values(strategy))

    def replay(self, decisions: Decisions, kept: NDArray[np.bool_], account: Account) -> Outcome:
        """Trade those candidates that are kept (shape (m,)), each one order."""
        setups, labels = decisions.setups, np.flatnonzero(kept)
        row = setups.row[labels]
        book = OrderBatch(
            session=decisions.upcoming[row],
            side=setups.side[labels],
            entry=setups.entry[labels],
            stop=setups.stop[labels],
            target=setups.target[labels],
            quantity=np.zeros(len(row), np.int64),
            risk=np.full(len(row), account.risk_per_trade),
            contract=None if decisions.contracts is None else decisions.contracts[row],
        )
        run = self.prepared.run(book, account, decisions.strategy.hours)
        return Outcome(account, book, labels, run, self.prepared)

    def _worked_out(self, strategy: StrategySettings) -> tuple[_Place, SessionLevels]:
        settings = strategy.profile(self.instrument)
        where = settings.hours, settings.rows
        place = self._places.get(where)
        bars = ProfileBars.of(self._bars, self.instrument, *where) if place is None else place.bars
        if settings not in self._levels:
            self._levels[settings] = bars.levels(settings.area)
        levels = self._levels[settings]
        if place is None:
            by_time = settings.rows.by_time
            parts = HistoryParts.of(
                self._bars, bars.frame(levels), self.instrument, hours=settings.hours, by_time=by_time
            )
            place = _Place(bars, parts, next_session(parts.sessions, self.instrument, settings.hours))
            self._places[where] = place
        return place, levels
