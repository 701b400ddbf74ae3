"""Buying and holding the instrument, what any strategy on it is measured against."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.backtest import Account
from pipeline.backtest.ledger import daily_returns, equity_by_session
from pipeline.market import Instrument

__all__ = ["BuyAndHold", "buy_and_hold"]


@dataclass(frozen=True)
class BuyAndHold:
    """The whole capital in the instrument from the first bar to the last, carried from contract to contract.

    Attributes
    ----------
    equity
        At the close of every bar, indexed by the bar's open (UTC).
    session_equity
        At the last bar of every session, indexed by session.
    daily_returns
        As of :class:`~pipeline.backtest.ledger.BacktestResult`.
    one_contract
        What a single contract made after its costs, in money, over the same bars.
    rolls
        How often the position changed contracts.
    """

    equity: pd.Series
    session_equity: pd.Series
    daily_returns: pd.Series
    one_contract: float
    rolls: int


def buy_and_hold(bars: pd.DataFrame, instrument: Instrument, account: Account) -> BuyAndHold:
    """Hold the instrument, without borrowing, over all bars given.

    In each contract the position is bought at its first bar's open, for all the equity there is (fractions of a
    contract included), and sold at its last bar's close. So no return spans two contracts: the price gap of a roll
    earns nothing. Every purchase and sale pays commission and the account's slippage. A contract whose first price is
    not above 0 is left out.

    Parameters
    ----------
    bars
        Clean bars (contract §1), shape (n,); ``contract`` where they carry one.
    instrument, account
        Point value and costs; initial capital and slippage.
    """
    index = pd.DatetimeIndex(bars["timestamp"], name="timestamp")
    values, made, rolls = np.zeros(0), 0.0, 0
    if len(bars):
        opens, closes = (bars[name].to_numpy(np.float64) for name in ("open", "close"))
        changed = np.zeros(len(bars), dtype=bool)
        if "contract" in bars:
            names = bars["contract"].astype(str).to_numpy()
            changed[1:] = names[1:] != names[:-1]
        run = changed.cumsum()
        first = np.flatnonzero(np.append(True, changed[1:]))
        last = np.append(first[1:] - 1, len(bars) - 1)
        point = instrument.point_value
        fixed = instrument.commission_per_side + account.slippage_ticks * instrument.tick_value
        buying, selling = (
            fixed + instrument.commission_rate * np.abs(prices) * point for prices in (opens[first], closes[last])
        )
        made = float((point * (closes[last] - opens[first]) - buying - selling).sum())
        paid = opens[first] * point
        bought = np.where(paid > 0, paid, np.inf)
        growth = 1 + (point * (closes - opens[first][run]) - buying[run]) / bought[run]
        growth[last] -= selling / bought
        values = account.initial_capital * np.append(1.0, growth[last].cumprod()[:-1])[run] * growth
        rolls = len(first) - 1
    equity = pd.Series(values, index=index, name="equity")
    sessions = equity_by_session(equity, instrument)
    return BuyAndHold(equity, sessions, daily_returns(sessions, account.initial_capital), made, rolls)
