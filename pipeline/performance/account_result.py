"""What the statistics of an account need of a backtest, whether it ran one book or several."""

from collections.abc import Sequence
from typing import Protocol

import pandas as pd

from pipeline.backtest import BookLedger

__all__ = ["AccountResult"]


class AccountResult(Protocol):
    """Result of a backtest: :class:`~pipeline.backtest.BacktestResult`, :class:`~pipeline.backtest.DeskResult`."""

    @property
    def trades(self) -> pd.DataFrame:
        """All closed positions, in the order they were opened."""

    @property
    def orders(self) -> pd.DataFrame:
        """All orders, with status and reason."""

    @property
    def equity(self) -> pd.Series:
        """Equity indexed by the opens of bars (UTC)."""

    @property
    def daily_returns(self) -> pd.Series:
        """Returns of every session, idle ones included, indexed by session."""

    @property
    def ledgers(self) -> Sequence[BookLedger]:
        """Trades and orders by book; together they have every trade once, under its label in ``trades``."""

    @property
    def initial_capital(self) -> float:
        """Money before the first bar."""

    @property
    def slippage_ticks(self) -> int:
        """Ticks that fills pay which are not a limit's."""

    @property
    def periods_per_year(self) -> int:
        """Sessions in a year, for annualising."""
