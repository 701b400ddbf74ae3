"""A result from its stored tables."""

import numpy as np
import pandas as pd

from pipeline.backtest.account import Account
from pipeline.backtest.ledger import BacktestResult
from pipeline.market import Instrument, label_sessions

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
    labels = label_sessions(pd.DatetimeIndex(equity.index), instrument)
    inside = np.flatnonzero(labels.position >= 0)
    position = labels.position[inside]
    last = inside[np.flatnonzero(np.append(position[1:] != position[:-1], True))] if len(inside) else inside
    by_session = pd.Series(equity.to_numpy()[last], index=labels.sessions[last], name="equity")
    return BacktestResult(trades, orders, equity, by_session, account, instrument)
