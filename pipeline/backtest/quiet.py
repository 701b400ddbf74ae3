"""Bars in which nothing happens but the marking of equity, compiled: nearly all of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.compiled import inlined, inner
from pipeline.backtest.outcomes import STAYS
from pipeline.backtest.positions import DUE, STOP_AT, settle
from pipeline.backtest.replayed import LIMIT, MARKET, TRADABLE, Bars, Orders, Ticks
from pipeline.backtest.sizing import ROUNDING

__all__ = ["levels_around", "mark", "settled_until", "untouched_until"]

_FAR = 1 << 62  # ticks, beyond any price


@inlined()
def levels_around(
    orders: Orders, i: int, end: int, live: tuple[int, int], waits: NDArray[np.bool_], slots: Ticks, positions: Ticks
) -> tuple[int, int, int]:
    """Return the nearest levels below and above at which something may happen from bar ``i`` on, and until when.

    ``live`` is the range of orders that wait, ``slots`` the orders that are positions. They hold for bars before the
    third number, which is ``i`` where something happens at its open whatever the price.
    """
    floor, ceiling = -_FAR, _FAR
    for o in range(live[0], live[1]):
        if not waits[o] or i >= orders.last_bar[o]:
            continue
        if i < orders.first_bar[o]:
            end = min(end, orders.first_bar[o])
        elif orders.kind[o] == MARKET:
            end = i
        elif (orders.side[o] > 0) == (orders.kind[o] == LIMIT):
            floor = max(floor, orders.entry[o])
        else:
            ceiling = min(ceiling, orders.entry[o])
    for o in slots:
        if positions[o, DUE] != STAYS:
            end = i
        stop, target = orders.side[o] * positions[o, STOP_AT], orders.target[o]
        floor, ceiling = max(floor, min(stop, target)), min(ceiling, max(stop, target))
    return floor, ceiling, end


@inner()
def untouched_until(bars: Bars, i: int, end: int, floor: int, ceiling: int) -> int:
    """Return the first bar from ``i`` on that is more than tradable, or not between the two levels; at most ``end``."""
    ticks, flags = bars.ticks, bars.flags
    while i < end and flags[i] == TRADABLE:
        if min(ticks[0, i], ticks[2, i]) <= floor or max(ticks[0, i], ticks[1, i]) >= ceiling:
            break
        i += 1
    return i


@inner()
def settled_until(
    bars: Bars,
    i: int,
    end: int,
    levels: tuple[int, int],
    side: Ticks,
    exits: Ticks,
    known: Ticks,
    ends: Ticks,
    held: Ticks,
    equity: NDArray[np.float64],
    cash: float,
    margin: tuple[float, float],
    tick_value: float,
) -> tuple[int, float, bool]:
    """Mark and settle positions at each close while stops move; :func:`untouched_until` and :func:`mark` in one.

    ``levels`` are those below and above; ``held`` is which orders are positions, ``known`` what is known of each.
    Returns as :func:`mark`.
    """
    ticks, flags, closes = bars.ticks, bars.flags, bars.ticks[3]
    floor, ceiling = levels
    value, called, due = cash, False, False
    while i < end and flags[i] == TRADABLE and not called and not due:
        if min(ticks[0, i], ticks[2, i]) <= floor or max(ticks[0, i], ticks[1, i]) >= ceiling:
            break
        for o in held:
            due |= settle(known[o], exits[o], side[o] * closes[i], side[o] * ends[4, o])
            if side[o] > 0:  # a stop only ever comes nearer
                floor = max(floor, known[o, STOP_AT])
            else:
                ceiling = min(ceiling, -known[o, STOP_AT])
        i, value, called = mark(equity, closes, i, i + 1, cash, (side, ends, held), margin, tick_value)
    return i, value, called


@inlined()
def mark(
    equity: NDArray[np.float64],
    closes: NDArray[Any],
    first: int,
    last: int,
    cash: float,
    positions: tuple[Ticks, Ticks, Ticks],
    margin: tuple[float, float],
    tick_value: float,
) -> tuple[int, float, bool]:
    """Mark positions at the bars' closes, up to one at which the margin no longer suffices.

    ``positions`` are the side of each order, its ends and which are held, ``margin`` rate and amount. Returns the bar
    after the last that was marked, equity there, and whether its margin no longer suffices.
    """
    side, ends, slots = positions
    rate, amount = margin
    if len(slots) == 0:
        equity[first:last] = cash
        return last, cash, False
    value = cash
    if len(slots) == 1:  # nearly always: what stays the same is read once
        o = slots[0]
        one, entry, quantity = side[o], ends[4, o], ends[2, o]
        for i in range(first, last):
            value = cash + one * (closes[i] - entry) * tick_value * quantity
            equity[i] = value
            if value < quantity * (amount + rate * abs(closes[i]) * tick_value) * (1 - ROUNDING):
                return i + 1, value, True
        return last, value, False
    for i in range(first, last):
        value = cash
        maintenance = 0.0
        for o in slots:
            value += side[o] * (closes[i] - ends[4, o]) * tick_value * ends[2, o]
            maintenance += ends[2, o] * (amount + rate * abs(closes[i]) * tick_value)
        equity[i] = value
        if value < maintenance * (1 - ROUNDING):
            return i + 1, value, True
    return last, value, False
