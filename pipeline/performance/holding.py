"""Buying and holding the instrument, what any strategy on it is measured against."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.backtest import Account
from pipeline.backtest.ledger import daily_returns, equity_by_session
from pipeline.market import Instrument, label_sessions

__all__ = ["BuyAndHold", "buy_and_hold"]


@dataclass(frozen=True)
class BuyAndHold:
    """A position bought at the first bar, carried from contract to contract, and sold at the last.

    Attributes
    ----------
    equity
        At the close of every bar, indexed by the bar's open (UTC).
    session_equity
        At the last bar of every session, indexed by session.
    daily_returns
        As of :class:`~pipeline.backtest.ledger.BacktestResult`.
    quantity
        Contracts held throughout.
    rolls
        How often the position changed contracts.
    costs
        Commission and slippage of all of it, in money.
    """

    equity: pd.Series
    session_equity: pd.Series
    daily_returns: pd.Series
    quantity: int
    rolls: int
    costs: float


def buy_and_hold(bars: pd.DataFrame, instrument: Instrument, account: Account) -> BuyAndHold:
    """Hold the instrument over all bars given.

    As many whole contracts as the initial capital pays for in full at the first open, at least one; the number is never
    changed. In each contract the position is bought at its first bar's open and sold at its last bar's close, so no
    return spans two contracts: the price gap of a roll earns nothing, and neither does what the new contract did
    before its first bar. Every purchase and sale pays commission and the account's slippage. Margin calls are left out.

    Parameters
    ----------
    bars
        Clean bars (contract §1), shape (n,); ``contract`` where they carry one.
    instrument, account
        Point value and costs; initial capital and slippage.
    """
    opens, closes = (bars[name].to_numpy(np.float64) for name in ("open", "close"))
    capital = account.initial_capital
    index = pd.DatetimeIndex(bars["timestamp"], name="timestamp")
    point = instrument.point_value
    quantity, costs, last = 1, 0.0, np.zeros(0, np.int64)
    values = np.full(len(bars), float(capital))
    if len(bars):
        quantity = max(1, math.floor(capital / (opens[0] * point))) if opens[0] > 0 else 1
        changed = np.zeros(len(bars), dtype=bool)
        if "contract" in bars:
            names = bars["contract"].astype(str).to_numpy()
            changed[1:] = names[1:] != names[:-1]
        run = changed.cumsum()
        first = np.flatnonzero(np.append(True, changed[1:]))
        last = np.append(first[1:] - 1, len(bars) - 1)
        fixed = quantity * (instrument.commission_per_side + account.slippage_ticks * instrument.tick_value)
        buying, selling = (
            fixed + instrument.commission_rate * np.abs(prices) * point * quantity
            for prices in (opens[first], closes[last])
        )
        gains = quantity * point * (closes[last] - opens[first]) - buying - selling
        before = np.append(0.0, gains.cumsum()[:-1])
        values = capital + before[run] + quantity * point * (closes - opens[first][run]) - buying[run]
        values[last] -= selling
        costs = float(buying.sum() + selling.sum())
    equity = pd.Series(values, index=index, name="equity")
    sessions = equity_by_session(equity, label_sessions(index, instrument))
    return BuyAndHold(
        equity=equity,
        session_equity=sessions,
        daily_returns=daily_returns(sessions, account),
        quantity=quantity,
        rolls=max(0, len(last) - 1),
        costs=costs,
    )
