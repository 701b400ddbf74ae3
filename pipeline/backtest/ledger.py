"""Result of a backtest: trades, the end of every order, and equity at every bar."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest.account import Account
from pipeline.backtest.fills import EXIT_REASONS
from pipeline.market import Instrument
from pipeline.market.sessions import session_slices

__all__ = ["BacktestResult", "daily_returns", "equity_by_session", "trade_pnl", "trade_table"]


@dataclass(frozen=True)
class BacktestResult:
    """Result of :func:`~pipeline.backtest.engine.simulate`.

    Attributes
    ----------
    trades
        A row a closed position, in the order they were opened: session (the order's), side, quantity, entry_time,
        entry_price, exit_time, exit_price, exit_reason (stop, target, close, margin_call), commission (both sides),
        pnl (after commission), ambiguous, order (row label in ``orders``), contract (only where the bars carry
        one), r_multiple, bars_held. Times are the opens of the bars of entry and exit. ``r_multiple`` is pnl over
        what the order put at risk by its own prices, ``|entry − stop| × point value × quantity``.
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
        return daily_returns(self.session_equity, self.account)


def daily_returns(session_equity: pd.Series, account: Account) -> pd.Series:
    """:attr:`BacktestResult.daily_returns` from equity by session."""
    base = session_equity.shift(1, fill_value=account.initial_capital)
    return (session_equity / base - 1).where(base > 0, 0.0).rename("daily_return")


def equity_by_session(equity: pd.Series, instrument: Instrument) -> pd.Series:
    """Equity at the last bar of every session, indexed by session; equity is indexed by bar, in the order of time."""
    slices = session_slices(pd.DatetimeIndex(equity.index).as_unit("ns").asi8, instrument, "eth")
    return pd.Series(equity.to_numpy()[slices.stops - 1], index=slices.index, name="equity")


def trade_pnl(
    ends: NDArray[np.int64], commissions: NDArray[np.float64], side: NDArray[np.int64], instrument: Instrument
) -> NDArray[np.float64]:
    """Money of closed positions after commission, shape (t,), from the kernel's rows as :func:`trade_table`."""
    quantity, _, entry_tick, _, exit_tick, _, _ = ends[2:]
    return side * (exit_tick - entry_tick) * instrument.tick_value * quantity - commissions


def trade_table(
    ends: NDArray[np.int64],
    commissions: NDArray[np.float64],
    *,
    session: pd.DatetimeIndex,
    side: NDArray[np.int64],
    risk_ticks: NDArray[np.int64],
    labels: pd.Index,
    timestamps: pd.DatetimeIndex,
    contract: pd.Series | None,
    instrument: Instrument,
) -> pd.DataFrame:
    """Trades of :class:`BacktestResult` from the kernel's rows, one column of ``ends`` a closed position.

    ``risk_ticks`` is ``|entry − stop|``, ``labels`` the orders' row labels; shapes (t,) each, in the order of entry.
    """
    quantity, entry_bar, entry_tick, exit_bar, exit_tick, exit_reason, ambiguous = ends[2:]
    pnl = trade_pnl(ends, commissions, side, instrument)
    columns: dict[str, object] = {
        "session": session,
        "side": side,
        "quantity": quantity,
        "entry_time": timestamps[entry_bar],
        "entry_price": instrument.to_prices(entry_tick),
        "exit_time": timestamps[exit_bar],
        "exit_price": instrument.to_prices(exit_tick),
        "exit_reason": pd.array(np.array(EXIT_REASONS, dtype=object)[exit_reason], dtype="str"),
        "commission": commissions,
        "pnl": pnl,
        "ambiguous": ambiguous.astype(bool),
        "order": labels,
    }
    if contract is not None:
        columns["contract"] = contract.iloc[entry_bar].array
    columns["r_multiple"] = pnl / (risk_ticks * instrument.tick_value * quantity)
    columns["bars_held"] = exit_bar - entry_bar + 1
    return pd.DataFrame(columns)
