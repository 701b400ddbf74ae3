"""Result of a desk's backtest: trades, the end of every order, equity, each book's P&L, and margin."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.backtest.desk_settings import Desk
from pipeline.backtest.ledger import BookLedger, daily_returns
from pipeline.market import Instrument

__all__ = ["DeskResult"]


@dataclass(frozen=True)
class DeskResult:
    """Result of :func:`~pipeline.backtest.desk.simulate_desk`.

    Attributes
    ----------
    trades
        As of :class:`~pipeline.backtest.ledger.BacktestResult`, with book and symbol, in the order they were opened.
    orders
        The orders of all books, book after book, with book, symbol, status and reason. Beyond the reasons of
        ``simulate`` there are desk_positions, desk_contracts, desk_risk, group_positions and group_risk.
    equity
        Equity by the instants at which a bar of any book opens (UTC): as known before the next of them, each position
        at the last close of its book's bars that are over.
    session_equity
        Equity at the last bar of every session of any book, idle ones included, indexed by session. Where calendars
        differ, a date ends with the last bar that any book has of it.
    margin
        Maintenance margin of the positions held, at the same instants as equity.
    daily_pnl
        P&L of each book in every session, marked as ``session_equity`` is, a column a book; a row's sum is the desk's.
    instruments
        Of each book.
    desk
        What it was run with.
    """

    trades: pd.DataFrame
    orders: pd.DataFrame
    equity: pd.Series
    session_equity: pd.Series
    margin: pd.Series
    daily_pnl: pd.DataFrame
    instruments: Mapping[str, Instrument]
    desk: Desk

    @property
    def daily_returns(self) -> pd.Series:
        """As of :class:`~pipeline.backtest.ledger.BacktestResult`."""
        return daily_returns(self.session_equity, self.initial_capital)

    @property
    def ledgers(self) -> tuple[BookLedger, ...]:
        """Trades and orders of each book, in the books' order."""
        return tuple(map(self.ledger, self.instruments))

    def ledger(self, book: str) -> BookLedger:
        """Return the trades and orders of one book."""
        mine = (frame[frame["book"] == book] for frame in (self.trades, self.orders))
        return BookLedger(self.instruments[book], *mine)

    @property
    def initial_capital(self) -> float:
        """Money before the first bar."""
        return self.desk.initial_capital

    @property
    def slippage_ticks(self) -> int:
        """Ticks that fills pay which are not a limit's."""
        return self.desk.slippage_ticks

    @property
    def periods_per_year(self) -> int:
        """Sessions in a year, for annualising: 365 if any book trades around the clock, else 252."""
        return max(instrument.periods_per_year for instrument in self.instruments.values())
