"""Result of a desk's backtest: trades, the end of every order, equity, each book's part in it, and margin."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.backtest.account import Account
from pipeline.backtest.desk_settings import Desk
from pipeline.backtest.ledger import daily_returns
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
        return daily_returns(self.session_equity, Account(initial_capital=self.desk.initial_capital))

    @property
    def periods_per_year(self) -> int:
        """Sessions in a year, for annualising: 365 if any book trades around the clock, else 252."""
        return max(instrument.periods_per_year for instrument in self.instruments.values())

    @property
    def contribution(self) -> pd.DataFrame:
        """Trades, P&L, commission, and worst and best session of each book; the P&L sums to the desk's."""
        grouped = self.trades.groupby("book")
        days = self.daily_pnl
        return pd.DataFrame(
            {
                "trades": grouped.size().reindex(days.columns, fill_value=0),
                "pnl": days.sum(),
                "commission": grouped["commission"].sum().reindex(days.columns, fill_value=0.0),
                "worst_session": days.min(),
                "best_session": days.max(),
            }
        )

    @property
    def correlation(self) -> pd.DataFrame:
        """Pearson correlation of the books' daily P&L over all sessions, idle ones included; NaN for a constant one."""
        return self.daily_pnl.corr()

    @property
    def margin_use(self) -> pd.Series:
        """Share of equity that the positions' margin takes (``most``, ``mean_while_held``), and how often any is held.

        ``held_share`` is a share of instants; ``calls`` counts positions closed by a margin call.
        """
        held = self.margin > 0
        share = (self.margin / self.equity).where(self.equity > 0, np.inf)[held]
        return pd.Series(
            {
                "most": share.max() if len(share) else 0.0,
                "mean_while_held": share.mean() if len(share) else 0.0,
                "held_share": held.mean() if len(held) else 0.0,
                "calls": float((self.trades["exit_reason"] == "margin_call").sum()),
            },
            name="margin_use",
        )
