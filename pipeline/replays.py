"""The chain from clean bars to a backtest, each step kept for the settings that it depends on.

What is worked out once:

- bars in ticks, their sessions and contracts: for all settings;
- whole numbers that profiles are made from, and open, high, low and close of sessions: by hours and rows;
- profiles: by these and the value area;
- columns of the session history: by hours, rows and their own window.

:func:`pipeline.research.run_research` goes through it once, a study of the strategy once a trial. All is arrays, of
ticks and rows; frames are made where they are asked for.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest import Account, PreparedBars
from pipeline.backtest.ledger import daily_returns
from pipeline.backtest.orders import OrderBatch, read_orders
from pipeline.backtest.placed import Run
from pipeline.market import Hours, Instrument, next_session
from pipeline.profiles import ProfileSettings, RowRule, SessionLevels
from pipeline.profiles.sessions import ProfileBars
from pipeline.strategy import HistorySettings, Seen, Setups, TradingRules
from pipeline.strategy.decisions import checked_setups
from pipeline.strategy.history import HistoryParts
from pipeline.strategy.seen import PartsHistory
from pipeline.strategy.signals import candidates_frame, signals_frame
from pipeline.strategy.today import SessionBars

__all__ = ["Decisions", "Outcome", "Replays"]


@dataclass(frozen=True)
class Decisions:
    """Every candidate of a strategy, as numbers.

    Attributes
    ----------
    rules
        Whose.
    setups
        The candidates, m of them; ``setups.row`` is each one's place among the sessions seen.
    seen
        What they were decided from.
    """

    rules: TradingRules
    setups: Setups
    seen: Seen

    def frame(self) -> pd.DataFrame:
        """The frame of :func:`pipeline.strategy.make_signals`."""
        return signals_frame(self.setups, self.seen)


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
        return daily_returns(self.session_equity, self.account.initial_capital)

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
        self._today: dict[Hours, SessionBars] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Another process works it out again in less time than it takes to send.
        return {"_bars": self._bars, "instrument": self.instrument, "_places": {}, "_levels": {}, "_today": {}}

    @cached_property
    def prepared(self) -> PreparedBars:
        """The bars as the replay needs them."""
        return PreparedBars(self._bars, self.instrument)

    def profiles(self, history: HistorySettings) -> pd.DataFrame:
        """The profiles of :func:`pipeline.profiles.session_profiles`."""
        place, levels = self._worked_out(history)
        return place.bars.frame(levels)

    def history(self, history: HistorySettings) -> pd.DataFrame:
        """The frame of :func:`pipeline.strategy.session_history`."""
        place, levels = self._worked_out(history)
        return place.parts.history(place.bars.frame(levels), history)

    def decide(self, rules: TradingRules) -> Decisions:
        """The candidates of all sessions, and what their gates say."""
        place, levels = self._worked_out(rules.history)
        traded = levels.total > 0
        areas = {"val": levels.val[traded], "vah": levels.vah[traded]}
        columns = PartsHistory(place.parts, areas, self.instrument, rules.history)
        bars = self._session_bars(rules.history.hours) if rules.strategy.decision_minutes() else None
        seen = Seen(columns, self.instrument, rules.history, bars)
        seen.upcoming = place.upcoming
        return Decisions(rules, checked_setups(rules.strategy, seen), seen)

    def replay(self, decisions: Decisions, kept: NDArray[np.bool_], account: Account) -> Outcome:
        """Trade those candidates that are kept (shape (m,)), each one order."""
        labels = np.flatnonzero(kept)
        book = self._plain_book(decisions, labels, account) if not decisions.setups.columns else None
        if book is None:
            book = read_orders(
                candidates_frame(decisions.setups, decisions.seen).iloc[labels], self.instrument, account
            )
        run = self.prepared.run(book, account, decisions.rules.history.hours)
        return Outcome(account, book, labels, run, self.prepared)

    def _plain_book(self, decisions: Decisions, labels: NDArray[np.int64], account: Account) -> OrderBatch:
        """Brackets of limit orders, without the way through a frame."""
        setups, contracts = decisions.setups, decisions.seen.columns.contracts
        row = setups.row[labels]
        return OrderBatch(
            session=decisions.seen.upcoming[row],
            side=setups.side[labels],
            entry=setups.entry[labels],
            stop=setups.stop[labels],
            target=setups.target[labels],
            quantity=np.zeros(len(row), np.int64),
            risk=np.full(len(row), account.risk_per_trade),
            contract=None if contracts is None else contracts[row],
        )

    def _session_bars(self, hours: Hours) -> SessionBars:
        if hours not in self._today:
            self._today[hours] = SessionBars(self._bars, self.instrument, hours)
        return self._today[hours]

    def _worked_out(self, history: HistorySettings) -> tuple[_Place, SessionLevels]:
        settings = history.profile(self.instrument)
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
