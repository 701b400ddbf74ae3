"""Fill rules: one order or one position in one bar (contract §6 and §6a), in integer ticks, compiled.

Everything is written for a long. A short is the same order in a mirror: its prices and the bar's are
negated and the bar's high and low change places, so "below" is always worse and "above" always better.
"""

from pipeline.backtest.compiled import inner
from pipeline.backtest.outcomes import GIVE_BACK, STAYS, STOP, TARGET, TIME
from pipeline.backtest.replayed import LIMIT, MARKET, WHOLE_GAIN

__all__ = [
    "AT_OPEN",
    "BEFORE",
    "FROM_ABOVE",
    "FROM_BELOW",
    "FROM_OPEN",
    "GAPPED_STOP",
    "GAPPED_TARGET",
    "INSIDE",
    "UNTOUCHED",
    "at_close",
    "enter",
    "fill_price",
    "held_since",
    "leave",
]

# How an order meets a bar.
UNTOUCHED, GAPPED_STOP, GAPPED_TARGET, AT_OPEN, INSIDE = range(5)
# Since when a position is held: before the bar, from its open, or from somewhere inside it, to which the price came
# down (a limit) or up (a stop order).
BEFORE, FROM_OPEN, FROM_ABOVE, FROM_BELOW = range(4)


@inner()
def enter(kind: int, open_: int, high: int, low: int, entry: int, stop: int, target: int, through: int) -> int:
    """Classify how a live order meets a bar: UNTOUCHED, GAPPED_STOP, GAPPED_TARGET, AT_OPEN or INSIDE."""
    if kind == LIMIT:
        if open_ <= stop:
            return GAPPED_STOP
        if open_ <= entry:
            return AT_OPEN
        return INSIDE if low <= entry - through else UNTOUCHED
    if open_ >= target:
        return GAPPED_TARGET
    if kind == MARKET:
        return GAPPED_STOP if open_ <= stop else AT_OPEN
    if open_ >= entry:
        return AT_OPEN
    return INSIDE if high >= entry else UNTOUCHED


@inner()
def fill_price(kind: int, how: int, open_: int, entry: int, slippage: int) -> int:
    """Return the price of an entry AT_OPEN or INSIDE; a limit pays no slippage."""
    price = open_ if how == AT_OPEN else entry
    return price if kind == LIMIT else price + slippage


@inner()
def held_since(kind: int, how: int) -> int:
    """Return since when a position is held in the bar that it was entered in."""
    if how == AT_OPEN:
        return FROM_OPEN
    return FROM_ABOVE if kind == LIMIT else FROM_BELOW


@inner()
def leave(
    open_: int,
    high: int,
    low: int,
    close: int,
    stop: int,
    target: int,
    due: int,
    through: int,
    slippage: int,
    since: int,
) -> tuple[int, int, bool]:
    """Decide how a position leaves in a bar: exit reason (STAYS, STOP, TARGET or ``due``), price, whether ambiguous.

    ``due`` is the exit decided at the close before (:func:`at_close`), STAYS for none.
    """
    if since == BEFORE:
        if open_ <= stop:
            return STOP, open_ - slippage, False
        if open_ >= target:
            return TARGET, open_, False
        if due != STAYS:
            return due, open_ - slippage, False
    reached = high >= target + through
    if since == FROM_ABOVE:  # the bar's high may have come before the fill, its close has not
        if low <= stop:
            return STOP, stop - slippage, False
        if close >= target + through:
            return TARGET, target, False
        return STAYS, 0, False
    if since == FROM_BELOW:  # the bar's low may have come before the fill, its high and close have not
        if close <= stop:
            return STOP, stop - slippage, False
        if low <= stop < open_:
            return STOP, stop - slippage, True
    elif low <= stop:
        return STOP, stop - slippage, reached
    if reached:
        return TARGET, target, False
    return STAYS, 0, False


@inner()
def at_close(
    close: int,
    fill: int,
    best: int,
    stop: int,
    bars: int,
    trail: int,
    breakeven: int,
    give_back: int,
    give_back_from: int,
    max_bars: int,
) -> tuple[int, int, int]:
    """Settle a position that is held over a bar's close; what it decides acts from the next bar on.

    Parameters
    ----------
    close, fill
        Of this bar, and the price of the entry.
    best, stop
        The best close so far (the fill before the first), and where the stop lies.
    bars
        In the position so far, this one included.
    trail, breakeven, give_back, give_back_from, max_bars
        The order's managed exits, each 0 for none; ``give_back`` in parts of WHOLE_GAIN.

    Returns
    -------
    best, stop, due
        As they are now; ``due`` is the exit at the next bar's open: GIVE_BACK, TIME, or STAYS for none.
    """
    best = max(best, close)
    if trail > 0:
        stop = max(stop, best - trail)
    if breakeven > 0 and close - fill >= breakeven:
        stop = max(stop, fill)
    gain = best - fill
    if give_back > 0 and gain >= give_back_from and WHOLE_GAIN * (best - close) >= give_back * gain:
        return best, stop, GIVE_BACK
    if 0 < max_bars <= bars:
        return best, stop, TIME
    return best, stop, STAYS
