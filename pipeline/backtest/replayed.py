"""Input of the compiled replay: bars, orders, margins and the account's rules, as numbers."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bars", "Margins", "Orders", "Rules", "Ticks"]

Ticks = NDArray[np.int64]


class Bars(NamedTuple):
    """The bars that are replayed.

    Attributes
    ----------
    ticks
        Open, high, low, close, shape (4, n).
    flags
        What each bar is: bits TRADABLE, SESSION_END, CLOSE_BAR, shape (n,).
    session_first
        First tradable bar of each session, ascending, shape (s,).
    finer, finer_range
        Finer bars in ticks, shape (4, k), and per bar the first and the end of those within it, shape (2, n); shapes
        (4, 0) and (2, 0) without.
    """

    ticks: NDArray[Any]
    flags: NDArray[np.uint8]
    session_first: Ticks
    finer: Ticks
    finer_range: Ticks


class Orders(NamedTuple):
    """Orders, shape (m,) each.

    Sorted by ``first_bar``, then in the order in which they are tried; orders with the same ``first_bar`` share
    ``last_bar``, and ranges of different ones don't overlap.

    Attributes
    ----------
    side
        +1 or −1.
    entry, stop, target
        In ticks.
    fixed
        Contracts, or 0 for the sizing rule.
    risk
        Fraction of equity.
    first_bar, last_bar
        The range of bars it may enter in.
    """

    side: Ticks
    entry: Ticks
    stop: Ticks
    target: Ticks
    fixed: Ticks
    risk: NDArray[np.float64]
    first_bar: Ticks
    last_bar: Ticks


class Margins(NamedTuple):
    """Margin per session, see :func:`~pipeline.backtest.account.margin_per_session`, shape (s,) each."""

    day_rate: NDArray[np.float64]
    day_amount: NDArray[np.float64]
    night_rate: NDArray[np.float64]
    night_amount: NDArray[np.float64]


class Rules(NamedTuple):
    """Account and costs: money in the instrument's currency, distances in ticks; 0 contracts are no cap."""

    capital: float
    tick_value: float
    commission_per_side: float
    commission_rate: float
    slippage: int
    through: int
    max_positions: int
    max_contracts: int
    hold_overnight: bool
