"""Small desk results written out by hand."""

from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.backtest import Desk, DeskResult
from pipeline.market import Instrument
from tests.performance.results import ORDER_COLUMNS, TRADE_COLUMNS

CAPITAL = 1_000.0
FLOATS = {"pnl": float, "commission": float, "r_multiple": float, "quantity": "int64", "ambiguous": bool}


def desk_result(
    instruments: Mapping[str, Instrument],
    daily_pnl: Mapping[str, Sequence[float]],
    *,
    trades: Sequence[dict] = (),
    orders: Sequence[dict] = (),
    margin: Sequence[float] = (),
) -> DeskResult:
    """A result as ``simulate_desk`` would make it, with one bar per session from 2024-01-02 on, of capital 1,000."""
    books = list(daily_pnl)
    count = len(next(iter(daily_pnl.values())))
    sessions = pd.bdate_range("2024-01-02", periods=count, name="session")
    bars = pd.DatetimeIndex(sessions + pd.Timedelta(hours=15), name="timestamp").tz_localize("UTC")
    days = pd.DataFrame(daily_pnl, index=sessions, dtype=float).rename_axis(columns="book")[books]
    equity = CAPITAL + days.sum(axis=1).cumsum()
    symbols = {name: instrument.symbol for name, instrument in instruments.items()}
    ledger = pd.DataFrame(list(trades), columns=["book", *TRADE_COLUMNS])
    sent = pd.DataFrame(list(orders), columns=["book", *ORDER_COLUMNS])
    for frame in (ledger, sent):
        frame.insert(1, "symbol", frame["book"].map(symbols))
    return DeskResult(
        trades=ledger.astype(FLOATS),
        orders=sent,
        equity=pd.Series(equity.to_numpy(), index=bars, name="equity"),
        session_equity=equity.rename("equity"),
        margin=pd.Series(list(margin) or [0.0] * count, index=bars, name="margin"),
        daily_pnl=days,
        instruments=instruments,
        desk=Desk(initial_capital=CAPITAL),
    )
