"""Input and state of the compiled replay of a desk, beside what :mod:`~pipeline.backtest.replayed` says.

Bars, sessions, blocks and orders of all books lie one book after the other in the arrays of one ``Bars``, ``Orders``
and ``Margins``, so that the rules of one bar are those of the replay of one instrument.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.replayed import Ticks

__all__ = ["NO_LIMIT", "Books", "Limits", "Money", "State", "new_state"]

NO_LIMIT = 1 << 62


class Books(NamedTuple):
    """The books, in their order.

    Attributes
    ----------
    first_bar, first_session, first_block, first_order
        Where each one's begin and, at last, where all end, shape (b + 1,).
    opens, ends
        Instants at which each bar opens and is over, shape (n,).
    tick_value, commission_per_side, commission_rate
        Of each one's instrument, shape (b,).
    max_positions, max_contracts
        Positions a book holds at once, and the cap on the size the sizing rule gives one, 0 for none, shape (b,).
    """

    first_bar: Ticks
    first_session: Ticks
    first_block: Ticks
    first_order: Ticks
    opens: Ticks
    ends: Ticks
    tick_value: NDArray[np.float64]
    commission_per_side: NDArray[np.float64]
    commission_rate: NDArray[np.float64]
    max_positions: Ticks
    max_contracts: Ticks


class Money(NamedTuple):
    """The account's settings that all books share."""

    capital: float
    slippage: int
    through: int
    hold_overnight: bool


class Limits(NamedTuple):
    """Limits of the desk and of its groups; NO_LIMIT and infinity where there is none.

    Attributes
    ----------
    max_positions, max_contracts, total_risk
        Held at once by all books; risk as a fraction of equity.
    members
        Which books each group has, shape (g, b).
    group_positions, group_risk
        Of each group, shape (g,).
    """

    max_positions: int
    max_contracts: int
    total_risk: float
    members: NDArray[np.bool_]
    group_positions: Ticks
    group_risk: NDArray[np.float64]


class State(NamedTuple):
    """State of the orders, shape (m,) each but for the last three.

    Attributes
    ----------
    owner
        The order's book.
    waits, met, ends, commissions, positions
        As in the replay of one instrument; shapes of ``ends`` (9, m), of ``positions`` (m, 4).
    paid
        What entry and exit add to the cash, shape (2, m).
    loss
        Money one contract loses at the order's own stop.
    reserved
        The margin it was opened with.
    known, gone, called
        Whether a position's entry, its exit and a margin call were seen; ``gone`` before its bar is over.
    slots, held
        Orders that are positions, oldest first, and their number, shapes (m,) and (1,).
    busy
        Positions of each book, shape (b,).
    """

    owner: Ticks
    waits: NDArray[np.bool_]
    met: Ticks
    positions: Ticks
    ends: Ticks
    commissions: NDArray[np.float64]
    paid: NDArray[np.float64]
    loss: NDArray[np.float64]
    reserved: NDArray[np.float64]
    known: NDArray[np.bool_]
    gone: NDArray[np.bool_]
    called: NDArray[np.bool_]
    slots: Ticks
    held: Ticks
    busy: Ticks


def new_state(first_order: Ticks) -> State:
    """Return the state before the first bar."""
    per_book = np.diff(first_order)
    m, books = int(first_order[-1]), len(per_book)
    return State(
        owner=np.repeat(np.arange(books), per_book),
        waits=np.ones(m, np.bool_),
        met=np.zeros(m, np.int64),
        positions=np.zeros((m, 4), np.int64),
        ends=np.zeros((9, m), np.int64),
        commissions=np.zeros(m),
        paid=np.zeros((2, m)),
        loss=np.zeros(m),
        reserved=np.zeros(m),
        known=np.zeros(m, np.bool_),
        gone=np.zeros(m, np.bool_),
        called=np.zeros(m, np.bool_),
        slots=np.zeros(m, np.int64),
        held=np.zeros(1, np.int64),
        busy=np.zeros(books, np.int64),
    )
