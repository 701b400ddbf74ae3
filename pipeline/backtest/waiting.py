"""Orders that wait: how each meets a bar, and what one of a group does to the others, compiled."""

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.compiled import inlined, inner
from pipeline.backtest.fills import AT_OPEN, GAPPED_STOP, GAPPED_TARGET, UNTOUCHED, enter
from pipeline.backtest.outcomes import CANCELLED, GAPPED_PAST_STOP, GROUP_FILLED, PAST_STOP, PAST_TARGET
from pipeline.backtest.replayed import Bars, Orders, Ticks

__all__ = ["another_opens", "end_gapped", "end_group", "meet"]


@inlined()
def meet(bars: Bars, i: int, orders: Orders, o: int, through: int) -> int:
    """Classify how order ``o`` meets bar ``i``, see :func:`~pipeline.backtest.fills.enter`."""
    if i < orders.first_bar[o] or i >= orders.last_bar[o]:
        return UNTOUCHED
    ticks = bars.ticks
    side = orders.side[o]
    high, low = (ticks[1, i], ticks[2, i]) if side > 0 else (-ticks[2, i], -ticks[1, i])
    entry, stop, target = side * orders.entry[o], side * orders.stop[o], side * orders.target[o]
    return enter(orders.kind[o], side * ticks[0, i], high, low, entry, stop, target, through)


@inner()
def end_gapped(ends: Ticks, o: int, how: int) -> None:
    """Write down that a bar opened beyond order ``o``'s stop or target."""
    if how == GAPPED_STOP:
        ends[0, o], ends[1, o] = GAPPED_PAST_STOP, PAST_STOP
    else:
        ends[0, o], ends[1, o] = CANCELLED, PAST_TARGET


@inner()
def another_opens(sibling: Ticks, o: int, met: Ticks, waits: NDArray[np.bool_]) -> bool:
    """Return whether one of order ``o``'s group that is tried after it fills at the bar's open, which comes first."""
    k = sibling[o]
    while k != o:
        if k > o and waits[k] and met[k] == AT_OPEN:
            return True
        k = sibling[k]
    return False


@inner()
def end_group(
    sibling: Ticks, o: int, met: Ticks, waits: NDArray[np.bool_], last_bar: Ticks, i: int, ends: Ticks
) -> None:
    """End the others of the group of order ``o``, filled in bar ``i``.

    One that the bar's open gapped past ended so, before the fill; one that could enter no more keeps its end.
    """
    k = sibling[o]
    while k != o:
        if waits[k] and i < last_bar[k]:
            waits[k] = False
            if met[k] in (GAPPED_STOP, GAPPED_TARGET):
                end_gapped(ends, k, met[k])
            else:
                ends[0, k], ends[1, k] = CANCELLED, GROUP_FILLED
        k = sibling[k]
