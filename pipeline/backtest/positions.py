"""Positions in one bar: how each leaves it, and what its close decides, compiled."""

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.compiled import inner
from pipeline.backtest.fills import BEFORE, FROM_BELOW, FROM_OPEN, at_close, leave
from pipeline.backtest.outcomes import CLOSE, STAYS, STOP, TRAILED_STOP
from pipeline.backtest.replayed import CLOSE_BAR, Bars, Rules, Ticks

__all__ = ["BARS", "BEST", "DUE", "STOP_AT", "book", "outcome", "settle"]

# Columns of what is known of a position besides its order; prices times side.
STOP_AT, BEST, BARS, DUE = range(4)


@inner()
def outcome(
    bars: Bars, i: int, side: int, levels: tuple[int, int, int], position: Ticks, rules: Rules, since: int
) -> tuple[int, int, bool]:
    """Decide how a position leaves bar ``i``: exit reason, price, whether ambiguous.

    ``levels`` are the entry, stop and target of its order; they and the price are times side.
    """
    ticks = bars.ticks
    upper, lower = (1, 2) if side > 0 else (2, 1)
    entry, first_stop, target = levels
    stop = position[STOP_AT]
    high, close = side * ticks[upper, i], side * ticks[3, i]
    reason, price, ambiguous = leave(
        side * ticks[0, i],
        high,
        side * ticks[lower, i],
        close,
        stop,
        target,
        position[DUE],
        rules.through,
        rules.slippage,
        since,
    )
    if ambiguous and bars.finer_range.shape[1] > 0:
        known, why, at, undecided = _on_finer_bars(bars, i, side, entry, stop, target, rules, since == FROM_BELOW)
        # What finer bars leave open must fit what the wide bar did.
        if known and (why != STAYS or high < target + rules.through):
            reason, price, ambiguous = why, at, undecided
    if reason == STOP and stop != first_stop:
        reason = TRAILED_STOP
    if reason == STAYS and bars.flags[i] & CLOSE_BAR != 0:
        return CLOSE, close - rules.slippage, False
    return reason, price, ambiguous


@inner()
def _on_finer_bars(
    bars: Bars, i: int, side: int, entry: int, stop: int, target: int, rules: Rules, flat: bool
) -> tuple[bool, int, int, bool]:
    """Follow a position through the finer bars of bar ``i``, from where a stop order fills in them if ``flat``.

    Returns whether they decide it, then exit reason, price and whether that is ambiguous. A stop order's position stays
    if they show the price at the stop before the fill, and neither stop nor target after it.
    """
    finer = bars.finer
    upper, lower = (1, 2) if side > 0 else (2, 1)
    low_came_before = False
    since = BEFORE
    for j in range(bars.finer_range[0, i], bars.finer_range[1, i]):
        open_, high, low, close = side * finer[0, j], side * finer[upper, j], side * finer[lower, j], side * finer[3, j]
        if flat:
            if high < entry:
                low_came_before |= low <= stop
                continue
            since = FROM_OPEN if open_ >= entry else FROM_BELOW
            low_came_before |= open_ <= stop
        why, at, undecided = leave(open_, high, low, close, stop, target, STAYS, rules.through, rules.slippage, since)
        if why != STAYS:
            return True, why, at, undecided
        flat, since = False, BEFORE
    return low_came_before and not flat, STAYS, 0, False


@inner()
def book(
    ends: Ticks,
    commissions: NDArray[np.float64],
    o: int,
    i: int,
    side: int,
    outcome: tuple[int, int, bool],
    rules: Rules,
) -> float:
    """Write down an exit; returns what it adds to the cash."""
    reason, price, ambiguous = outcome
    quantity = ends[2, o]
    fee = quantity * (rules.commission_per_side + rules.commission_rate * abs(price) * rules.tick_value)
    commissions[o] += fee
    ends[5, o], ends[6, o], ends[7, o], ends[8, o] = i, side * price, reason, ambiguous
    return (price - side * ends[4, o]) * rules.tick_value * quantity - fee


@inner()
def settle(position: Ticks, exits: Ticks, close: int, fill: int) -> bool:
    """Let an order's managed exits see a bar's close; returns whether one is due then. Prices are times side."""
    position[BARS] += 1
    position[BEST], position[STOP_AT], position[DUE] = at_close(
        close,
        fill,
        position[BEST],
        position[STOP_AT],
        position[BARS],
        exits[0],
        exits[1],
        exits[2],
        exits[3],
        exits[4],
    )
    return position[DUE] != STAYS
