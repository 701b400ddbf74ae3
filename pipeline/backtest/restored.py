"""A result from its stored tables."""

import pandas as pd

from pipeline.backtest.account import Account
from pipeline.backtest.ledger import BacktestResult, equity_by_session
from pipeline.market import Instrument

__all__ = ["restored"]


def restored(
    trades: pd.DataFrame, orders: pd.DataFrame, equity: pd.Series, account: Account, instrument: Instrument
) -> BacktestResult:
    """Make the result again from ``trades``, ``orders`` and ``equity`` as they were stored.

    Parameters
    ----------
    trades, orders, equity
        The attributes of a :class:`BacktestResult`.
    account, instrument
        What it was run with.
    """
    return BacktestResult(trades, orders, equity, equity_by_session(equity, instrument), account, instrument)
