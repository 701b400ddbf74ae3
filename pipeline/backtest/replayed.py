"""Input of the compiled replay: bars, orders, margins and the account's rules, as numbers."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CLOSE_BAR",
    "EXIT_COLUMNS",
    "LIMIT",
    "MARKET",
    "NO_TARGET",
    "SESSION_END",
    "STOP_ORDER",
    "TRADABLE",
    "WHOLE_GAIN",
    "Bars",
    "Margins",
    "Orders",
    "Rules",
    "Ticks",
]

Ticks = NDArray[np.int64]

# What a bar is, as bits.
TRADABLE = 1  # in the hours traded
SESSION_END = 2  # the last bar given of its session's hours
CLOSE_BAR = 4  # whatever is held is closed at its close

# How an order enters: positions in TYPES of pipeline.strategy.order_columns.
LIMIT, STOP_ORDER, MARKET = range(3)
NO_TARGET = 1 << 62  # ticks above a long's entry (below a short's) that no price reaches

EXIT_COLUMNS = ("trail_ticks", "breakeven_ticks", "give_back_percent", "give_back_from_ticks", "max_bars")
WHOLE_GAIN = 1_000_000  # 100 percent of give_back_percent, which is compared in whole numbers


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
    """Orders, shape (m,) each but for the last two.

    They come in blocks, those of one session and contract, in the order of time; within a block in the order in which
    they are tried.

    Attributes
    ----------
    side
        +1 or −1.
    kind
        LIMIT, STOP_ORDER or MARKET.
    entry, stop, target
        In ticks; entry is 0 for MARKET, target ``side × NO_TARGET`` for none.
    fixed
        Contracts, or 0 for the sizing rule.
    risk
        Fraction of equity.
    first_bar, last_bar
        The bars it may enter in: from the first to before the last.
    sibling
        The next order of its group, in a circle; itself without a group.
    exits
        EXIT_COLUMNS of each, 0 for none, the percentage in parts of WHOLE_GAIN, shape (m, 5); (0, 5) where no order
        has any.
    blocks
        First bar, end bar and first order of each block, shape (3, b); no two have a bar in common.
    """

    side: Ticks
    kind: Ticks
    entry: Ticks
    stop: Ticks
    target: Ticks
    fixed: Ticks
    risk: NDArray[np.float64]
    first_bar: Ticks
    last_bar: Ticks
    sibling: Ticks
    exits: Ticks
    blocks: Ticks


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
