"""Orders as the compiled replay needs them, which bars each may enter in and in what order; and how they ended."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.orders import OrderBatch
from pipeline.backtest.outcomes import CANCELLED, CLOSED, NO_BARS, NOT_REACHED
from pipeline.backtest.replayed import EXIT_COLUMNS, Bars, Margins, Orders, Rules
from pipeline.strategy.setups import NO_PRICE

__all__ = ["Placed", "Run", "placed_orders"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """Checked orders on their bars: what a replay takes.

    Attributes
    ----------
    bars, orders, margins, rules
        Its input; k of the m orders have bars.
    live
        These, in the order of ``orders``, shape (k,).
    no_bars
        Those of them whose live window holds no bar, shape (k,); None where there are no windows.
    status, reason
        How orders without bars end, shape (m,); zero for the others.
    """

    bars: Bars
    orders: Orders
    margins: Margins
    rules: Rules
    live: NDArray[np.int64]
    no_bars: NDArray[np.bool_] | None
    status: NDArray[np.int64]
    reason: NDArray[np.int64]

    def ended(self, equity: NDArray[np.float64], ends: NDArray[np.int64], commissions: NDArray[np.float64]) -> "Run":
        """Return the run from what :func:`~pipeline.backtest.replay.replay` gave."""
        live, status, reason = self.live, self.status.copy(), self.reason.copy()
        status[live], reason[live] = ends[0], ends[1]
        if self.no_bars is not None:
            none = live[self.no_bars & (ends[0] == NOT_REACHED)]
            status[none], reason[none] = CANCELLED, NO_BARS
        closed = np.flatnonzero(ends[0] == CLOSED)
        closed = closed[np.argsort(ends[3, closed], kind="stable")]  # by bar of entry, then longs first, as given
        return Run(equity, status, reason, live[closed], ends[:, closed], commissions[closed])


@dataclass(frozen=True)
class Run:
    """Result of a run of orders, as numbers.

    Attributes
    ----------
    equity
        At each bar's close, shape (n,).
    status, reason
        Per order, numbers of ``STATUSES`` and ``ORDER_REASONS``, shape (m,).
    rows
        The orders that became trades, in the order of entry, shape (t,).
    ends, commissions
        Of these, as :func:`~pipeline.backtest.replay.replay` gives them, shapes (9, t) and (t,).
    """

    equity: NDArray[np.float64]
    status: NDArray[np.int64]
    reason: NDArray[np.int64]
    rows: NDArray[np.int64]
    ends: NDArray[np.int64]
    commissions: NDArray[np.float64]


def placed_orders(
    book: OrderBatch, live: Ints, bounds: tuple[Ints, Ints], cutoff_bar: Ints | None, instants: Ints
) -> tuple[Ints, Orders, NDArray[np.bool_] | None]:
    """Place orders on the bars.

    Parameters
    ----------
    book
        Checked orders.
    live
        Those that have bars, shape (k,).
    bounds
        First and end bar of each one's session and contract, shape (k,) each.
    cutoff_bar
        The first bar that can't be entered any more, shape (k,); None without a cut-off.
    instants
        Of the bars, ascending.

    Returns
    -------
    live
        In the order of the next.
    orders
        What the replay takes.
    no_bars
        Those whose live window holds no bar; None where there are no windows.
    """
    begin, end = bounds
    first, last, no_bars = begin, end, None
    kinds = book.kinds
    if kinds is not None:
        first = _first_bars(instants, kinds.live_from[live], begin, bounds)
        last = _first_bars(instants, kinds.live_until[live], end, bounds)
        no_bars = first >= last
    if cutoff_bar is not None:
        last = np.minimum(last, cutoff_bar)
    rank = np.lexsort((live, -book.side[live], begin))
    live, begin, end, first, last = live[rank], begin[rank], end[rank], first[rank], last[rank]
    heads = np.flatnonzero(np.append(True, begin[1:] != begin[:-1])[: len(live)])
    if len(heads):
        # From the first bar that one of them may enter in to the last; a bar of their own in any case.
        begins = np.minimum(np.minimum.reduceat(first, heads), end[heads] - 1)
        blocks = np.stack([begins, np.maximum.reduceat(last, heads), heads])
    else:
        blocks = np.empty((3, 0), np.int64)
    many = len(live)
    if kinds is None:
        kind, sibling, exits = np.zeros(many, np.int64), np.arange(many), None
    else:
        kind, sibling = kinds.type[live], _siblings(kinds.group[live])
        exits = None if kinds.exits is None else np.ascontiguousarray(kinds.exits[live])
    orders = Orders(
        book.side[live],
        kind,
        book.entry[live],
        book.stop[live],
        book.target[live],
        book.quantity[live],
        book.risk[live],
        first,
        last,
        sibling,
        np.empty((0, len(EXIT_COLUMNS)), np.int64) if exits is None else exits,
        blocks,
    )
    return live, orders, None if no_bars is None else no_bars[rank]


def _first_bars(instants: Ints, moments: Ints, otherwise: Ints, bounds: tuple[Ints, Ints]) -> Ints:
    """Per moment the first bar within its bounds that opens at or after it; ``otherwise`` where there is no moment."""
    given = np.flatnonzero(moments != NO_PRICE)
    if len(given) == 0:
        return otherwise
    begin, end = bounds
    first = otherwise.copy()
    first[given] = np.clip(np.searchsorted(instants, moments[given]), begin[given], end[given])
    return first


def _siblings(group: Ints) -> Ints:
    """Per order the next one of its group, the last one's being the first; itself where it has none."""
    sibling = np.arange(len(group))
    grouped = np.flatnonzero(group >= 0)
    if len(grouped):
        members = grouped[np.argsort(group[grouped], kind="stable")]
        heads = np.append(True, np.diff(group[members]) != 0)
        following = np.append(members[1:], members[:1])
        following[np.append(heads[1:], True)] = members[heads]
        sibling[members] = following
    return sibling
