"""Compares a backtest with what the oracle says, all of it."""

from fractions import Fraction

import numpy as np
import pandas as pd

from pipeline.backtest import Account, BacktestResult, DeskResult, simulate
from pipeline.market import Instrument, label_sessions
from tests.backtest import oracle
from tests.backtest.frames import TICK


def assert_agrees(
    bars: pd.DataFrame, orders: pd.DataFrame, es: Instrument, account: Account, hours: str
) -> BacktestResult:
    result = simulate(bars, orders, es, account, hours=hours)
    asked, trades, equity = answer_of_the_oracle(bars, orders, account, es, hours)

    assert result.orders["status"].tolist() == [one.status for one in asked]
    assert result.orders["reason"].tolist() == [one.reason for one in asked]
    bar = pd.Index(bars["timestamp"])
    found = [
        (
            orders.index.get_loc(trade.order),
            trade.quantity,
            bar.get_loc(trade.entry_time),
            trade.entry_price / TICK,
            bar.get_loc(trade.exit_time),
            trade.exit_price / TICK,
            trade.exit_reason,
            trade.ambiguous,
        )
        for trade in result.trades.itertuples()
    ]
    assert found == [
        (t.order, t.quantity, t.entry_bar, t.entry, t.exit_bar, t.exit, t.exit_reason, t.ambiguous) for t in trades
    ]
    np.testing.assert_allclose(result.equity, np.array(equity, dtype=np.float64), rtol=0, atol=1e-6)
    return result


def assert_same_as_alone(desk: DeskResult, alone: BacktestResult) -> None:
    """Compare a desk of one book with what ``simulate`` gives, to the bit."""
    labels = ["book", "symbol"]
    pd.testing.assert_frame_equal(desk.trades.drop(columns=labels), alone.trades, check_exact=True)
    pd.testing.assert_frame_equal(desk.orders.drop(columns=labels), alone.orders, check_exact=True)
    pd.testing.assert_series_equal(desk.equity, alone.equity, check_exact=True)
    pd.testing.assert_series_equal(desk.session_equity, alone.session_equity, check_exact=True)
    pd.testing.assert_series_equal(desk.daily_returns, alone.daily_returns, check_exact=True)


def answer_of_the_oracle(
    bars: pd.DataFrame, orders: pd.DataFrame, account: Account, es: Instrument, hours: str
) -> tuple[list[oracle.Order], list[oracle.Trade], list[Fraction]]:
    frame = bars.reset_index(drop=True)
    labels = label_sessions(pd.DatetimeIndex(frame["timestamp"]), es)
    tradable = labels.mask(hours)
    local = frame["timestamp"].dt.tz_convert("America/Chicago")
    rows = [
        oracle.Bar(
            i,
            str(labels.sessions[i].date()),
            bool(tradable[i]),
            local[i].hour * 60 + local[i].minute,
            frame["contract"][i],
            *(round(frame[name][i] / TICK) for name in ("open", "high", "low", "close")),
        )
        for i in range(len(frame))
    ]
    asked = [
        oracle.Order(
            str(row.session.date()),
            row.side,
            *(round(price / TICK) for price in (row.entry, row.stop, row.target)),
            None if pd.isna(row.quantity) else int(row.quantity),
            None if pd.isna(row.contract) else row.contract,
        )
        for row in orders.itertuples()
    ]
    cutoff = account.entry_cutoff
    rules = oracle.Rules(
        capital=int(account.initial_capital),
        risk=Fraction(str(account.risk_per_trade)),
        max_contracts=account.max_contracts,
        max_positions=account.max_positions,
        slippage=account.slippage_ticks,
        through=account.trade_through_ticks,
        overnight=account.hold_overnight,
        cutoff=None if cutoff is None else cutoff.hour * 60 + cutoff.minute,
        margin_day=Fraction(str(account.margin_day)),
        margin_night=Fraction(str(account.margin_overnight)),
    )
    trades, equity = oracle.run(rows, asked, rules)
    return asked, trades, equity
