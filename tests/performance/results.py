"""Small backtest results written out by hand."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.backtest import BookLedger
from pipeline.market.instruments import Instrument

TRADE_COLUMNS = [
    *("session", "side", "quantity", "entry_time", "entry_price", "exit_time", "exit_price", "exit_reason"),
    *("commission", "pnl", "ambiguous", "order", "contract", "r_multiple", "bars_held"),
]
ORDER_COLUMNS = ["session", "side", "entry", "stop", "target", "status", "reason"]


@dataclass(frozen=True)
class Result:
    trades: pd.DataFrame
    orders: pd.DataFrame
    equity: pd.Series
    daily_returns: pd.Series
    instrument: Instrument
    initial_capital: float = 100_000.0
    slippage_ticks: int = 1
    periods_per_year: int = 252

    @property
    def ledgers(self) -> tuple[BookLedger]:
        return (BookLedger(self.instrument, self.trades, self.orders),)


def trade(entry: str, exit_: str, pnl: float, **values: object) -> dict[str, object]:
    row = {
        "session": pd.Timestamp(entry[:10]),
        "side": 1,
        "quantity": 1,
        "entry_time": pd.Timestamp(entry, tz="UTC"),
        "entry_price": 4000.0,
        "exit_time": pd.Timestamp(exit_, tz="UTC"),
        "exit_price": 4000.0 + (pnl + 10) / 50,
        "exit_reason": "target" if pnl > 0 else "stop",
        "commission": 10.0,
        "pnl": pnl,
        "ambiguous": False,
        "order": 0,
        "contract": "ESH24",
        "r_multiple": pnl / 250,
        "bars_held": 3,
    }
    return row | values


def order(session: str, status: str, reason: str = "") -> dict[str, object]:
    return {
        "session": pd.Timestamp(session),
        "side": 1,
        "entry": 4000.0,
        "stop": 3995.0,
        "target": 4010.0,
        "status": status,
        "reason": reason,
    }


def result(
    instrument: Instrument, trades: list[dict], orders: list[dict], equity: pd.Series, sessions: pd.Series
) -> Result:
    """A result as simulate would make it, of trades and orders as ``trade`` and ``order`` write them."""
    ledger = pd.DataFrame(trades, columns=TRADE_COLUMNS)
    if not trades:
        ledger = ledger.astype({"pnl": float, "r_multiple": float, "quantity": "int64", "ambiguous": bool})
    return Result(ledger, pd.DataFrame(orders, columns=ORDER_COLUMNS), equity, sessions, instrument)


def four_sessions(instrument: Instrument) -> Result:
    """Two trades in four sessions of four hourly bars, one of them lost and ambiguous."""
    dates = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"], name="session")
    bars = pd.DatetimeIndex(
        [date + pd.Timedelta(hours=hour) for date in dates for hour in (15, 16, 17, 18)], tz="UTC", name="timestamp"
    )
    values = [100_000, 100_200, 100_490, 100_490, 100_490, 100_490, 100_490, 100_490]
    values += [100_490, 100_000, 100_230, 100_230, 100_230, 100_230, 100_230, 100_230]
    equity = pd.Series(np.array(values, float), index=bars, name="equity")
    closes = equity.to_numpy()[3::4]
    daily = pd.Series(closes / np.r_[100_000, closes[:-1]] - 1, index=dates, name="return")
    trades = [
        trade("2024-01-02 16:00", "2024-01-02 17:00", 490.0),
        trade("2024-01-04 16:00", "2024-01-04 17:00", -260.0, ambiguous=True, order=2),
    ]
    orders = [
        order("2024-01-02", "closed"),
        order("2024-01-03", "not_reached"),
        order("2024-01-04", "closed"),
        order("2024-01-05", "skipped", "size_zero"),
        order("2024-01-05", "cancelled", "no_bars"),
        order("2024-01-05", "skipped", "size_zero"),
    ]
    return result(instrument, trades, orders, equity, daily)
