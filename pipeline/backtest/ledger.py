"""Result of a backtest: trades, the end of every order, and equity at every bar."""

from dataclasses import dataclass

import pandas as pd

from pipeline.backtest.account import Account
from pipeline.market import Instrument
from pipeline.market.sessions import session_slices

__all__ = ["BacktestResult", "BookLedger", "daily_returns", "equity_by_session"]


@dataclass(frozen=True)
class BookLedger:
    """Trades and orders of one book.

    Attributes
    ----------
    instrument
        What it trades.
    trades, orders
        As of :class:`BacktestResult`; ``order`` of a trade is a row label in these orders.
    """

    instrument: Instrument
    trades: pd.DataFrame
    orders: pd.DataFrame


@dataclass(frozen=True)
class BacktestResult:
    """Result of :func:`~pipeline.backtest.engine.simulate`.

    Attributes
    ----------
    trades
        A row a closed position, in the order they were opened: session (the order's), side, quantity, entry_time,
        entry_price, exit_time, exit_price, exit_reason (stop, trailed_stop, target, give_back, time, close,
        margin_call), commission (both sides), pnl (after commission), ambiguous, order (row label in ``orders``),
        contract (only where the bars carry one), r_multiple, bars_held. Times are the opens of the bars of entry and
        exit. ``r_multiple`` is pnl over what the order put at risk by its own prices, ``|entry − stop| × point value ×
        quantity``; a market order's entry is its fill.
        ``bars_held`` counts the bars given from that of entry to that of exit, both included.
    orders
        The orders given, with their index, plus ``status`` (closed, not_reached, gapped_past_stop, skipped,
        cancelled) and ``reason`` (empty where the status says all).
    equity
        Equity at the close of every bar given, indexed by the bar's open (UTC).
    session_equity
        Equity at the last bar given of every session, idle ones included, indexed by session.
    account, instrument
        What it was run with.
    off_tick_bars
        Bars with a price off the tick grid, which was taken at the nearest tick.
    """

    trades: pd.DataFrame
    orders: pd.DataFrame
    equity: pd.Series
    session_equity: pd.Series
    account: Account
    instrument: Instrument
    off_tick_bars: int = 0

    @property
    def daily_returns(self) -> pd.Series:
        """Return of every session with bars, idle ones included, on the equity at the end of the one before.

        The first is on the initial capital. Once equity is zero or less there is nothing to earn a return
        on: the sessions after it return 0.
        """
        return daily_returns(self.session_equity, self.account.initial_capital)

    @property
    def ledgers(self) -> tuple[BookLedger]:
        """Trades and orders of the one book."""
        return (BookLedger(self.instrument, self.trades, self.orders),)

    @property
    def initial_capital(self) -> float:
        """Money before the first bar."""
        return self.account.initial_capital

    @property
    def slippage_ticks(self) -> int:
        """Ticks that fills pay which are not a limit's."""
        return self.account.slippage_ticks

    @property
    def periods_per_year(self) -> int:
        """Sessions in a year, for annualising."""
        return self.instrument.periods_per_year


def daily_returns(session_equity: pd.Series, initial_capital: float) -> pd.Series:
    """:attr:`BacktestResult.daily_returns` from equity by session."""
    base = session_equity.shift(1, fill_value=initial_capital)
    return (session_equity / base - 1).where(base > 0, 0.0).rename("daily_return")


def equity_by_session(equity: pd.Series, instrument: Instrument) -> pd.Series:
    """Equity at the last bar of every session, indexed by session; equity is indexed by bar, in the order of time."""
    slices = session_slices(pd.DatetimeIndex(equity.index).as_unit("ns").asi8, instrument, "eth")
    return pd.Series(equity.to_numpy()[slices.stops - 1], index=slices.index, name="equity")
