"""The replay: all orders over all bars, on one account, compiled.

What happens to an order or a position in one bar is in :mod:`~pipeline.backtest.fills`; here is which of them it
happens to, in what order, and the money.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.backtest.compiled import inner
from pipeline.backtest.fills import (
    BEFORE,
    GAPPED_STOP,
    GAPPED_TARGET,
    INSIDE,
    UNTOUCHED,
    fill_price,
    held_since,
)
from pipeline.backtest.outcomes import CLOSED, MARGIN_CALL, NO_REASON, POSITION_OPEN, SKIPPED, STAYS
from pipeline.backtest.positions import BARS, BEST, DUE, STOP_AT, book, outcome, settle
from pipeline.backtest.quiet import levels_around, mark, settled_until, untouched_until
from pipeline.backtest.replayed import MARKET, SESSION_END, TRADABLE, Bars, Margins, Orders, Rules, Ticks
from pipeline.backtest.sizing import entry_fee, loss_at_stop, margin_each, size
from pipeline.backtest.waiting import another_opens, end_gapped, end_group, meet

__all__ = ["replay"]


@inner()
def _managed(exits: Ticks, slots: Ticks) -> bool:
    """Return whether any of the positions has a managed exit."""
    if len(exits) > 0:
        for o in slots:
            if exits[o].any():
                return True
    return False


@njit(cache=True, nogil=True)
def replay(
    bars: Bars, orders: Orders, margins: Margins, rules: Rules
) -> tuple[NDArray[np.float64], Ticks, NDArray[np.float64]]:
    """Run the orders over the bars.

    Returns
    -------
    equity
        At each bar's close, shape (n,).
    ends
        Per order, shape (9, m): status, reason, quantity, entry bar, entry tick, exit bar, exit tick, exit reason,
        ambiguous.
    commissions
        Per order, both sides, shape (m,).
    """
    n, m = bars.ticks.shape[1], len(orders.side)
    opens, closes = bars.ticks[0], bars.ticks[3]
    side, blocks = orders.side, orders.blocks
    tick_value = rules.tick_value
    equity = np.empty(n)
    ends = np.zeros((9, m), np.int64)
    commissions = np.zeros(m)
    waits = np.ones(m, np.bool_)  # neither filled nor ended
    met = np.zeros(m, np.int64)  # how each meets the bar
    positions = np.empty((m, 4), np.int64)
    slots = np.empty(min(rules.max_positions, max(m, 1)), np.int64)  # orders that are positions now, oldest first
    reserved = np.empty(len(slots))  # the margin each was opened with
    held = 0
    cash = rules.capital
    value = cash  # equity at the last close
    block = 0  # the first not yet live
    first, last, live_end, waiting = 0, 0, 0, False
    session = -1
    called = False

    i = 0
    while i < n:
        if block < blocks.shape[1] and i == blocks[0, block]:
            first, live_end = blocks[2, block], blocks[1, block]
            block += 1
            last = blocks[2, block] if block < blocks.shape[1] else m
        waiting = False
        if i < live_end:
            for o in range(first, last):
                waiting |= waits[o]
        until = blocks[0, block] if block < blocks.shape[1] else n
        if held == 0 and not waiting:  # nothing can happen before the next orders
            equity[i:until] = cash
            value = cash
            i = until
            continue
        while session + 1 < len(bars.session_first) and bars.session_first[session + 1] <= i:
            session += 1

        upto = i
        margin = margins.day_rate[session], margins.day_amount[session]
        if not called:
            end = min(until, live_end) if waiting else until
            live = (first, last) if waiting else (0, 0)
            floor, ceiling, end = levels_around(orders, i, end, live, waits, slots[:held], positions)
            if _managed(orders.exits, slots[:held]):
                upto, at_close, called = settled_until(
                    bars,
                    i,
                    end,
                    (floor, ceiling),
                    side,
                    orders.exits,
                    positions,
                    ends,
                    slots[:held],
                    equity,
                    cash,
                    margin,
                    tick_value,
                )
                if upto > i:
                    i, value = upto, at_close
                    continue
            else:
                upto = untouched_until(bars, i, end, floor, ceiling)

        if upto == i:
            upto = i + 1
            if bars.flags[i] & TRADABLE != 0:
                free = rules.max_positions - held
                used_margin = 0.0
                for k in range(held):
                    used_margin += reserved[k]

                kept = 0
                for k in range(held):
                    o = slots[k]
                    s = side[o]
                    if called:
                        out = MARGIN_CALL, s * opens[i] - rules.slippage, False
                    else:
                        levels = s * orders.entry[o], s * orders.stop[o], s * orders.target[o]
                        out = outcome(bars, i, s, levels, positions[o], rules, BEFORE)
                    if out[0] == STAYS:
                        slots[kept] = o
                        reserved[kept] = reserved[k]
                        kept += 1
                    else:
                        cash += book(ends, commissions, o, i, s, out, rules)
                held = kept
                called = False

                again = waiting
                late = False
                if waiting:
                    for o in range(first, last):
                        met[o] = meet(bars, i, orders, o, rules.through) if waits[o] else UNTOUCHED
                while again:  # a second time only for those that let another of their group go first
                    again = False
                    for o in range(first, last):
                        how = met[o]
                        if how == UNTOUCHED or not waits[o]:
                            continue
                        kind = orders.kind[o]
                        if free == 0:  # reached, but ignored: its end unless it is reached again
                            ends[0, o], ends[1, o] = SKIPPED, POSITION_OPEN
                            waits[o] = kind != MARKET
                            continue
                        if how == INSIDE and not late and another_opens(orders.sibling, o, met, waits):
                            again = True
                            continue
                        waits[o] = False
                        if how in (GAPPED_STOP, GAPPED_TARGET):
                            end_gapped(ends, o, how)
                            continue
                        s = side[o]
                        levels = s * orders.entry[o], s * orders.stop[o], s * orders.target[o]
                        price = fill_price(kind, how, s * opens[i], levels[0], rules.slippage)
                        if rules.hold_overnight:
                            each = margin_each(price, margins.night_rate[session], margins.night_amount[session], rules)
                        else:
                            each = margin_each(price, margins.day_rate[session], margins.day_amount[session], rules)
                        quantity, why = size(
                            orders.fixed[o],
                            value * orders.risk[o],
                            loss_at_stop(kind, price, levels[0], levels[1], rules),
                            value - used_margin,
                            each,
                            rules.max_contracts,
                        )
                        if quantity == 0:
                            ends[0, o], ends[1, o] = SKIPPED, why
                            continue
                        free -= 1
                        used_margin += quantity * each
                        fee = entry_fee(quantity, price, rules)
                        cash -= fee
                        commissions[o] = fee
                        ends[0, o], ends[1, o] = CLOSED, NO_REASON
                        ends[2, o], ends[3, o], ends[4, o] = quantity, i, s * price
                        if orders.sibling[o] != o:
                            end_group(orders.sibling, o, met, waits, orders.last_bar, i, ends)
                        position = positions[o]
                        position[STOP_AT], position[BEST], position[BARS], position[DUE] = levels[1], price, 0, STAYS
                        out = outcome(bars, i, s, levels, position, rules, held_since(kind, how))
                        if out[0] == STAYS:
                            slots[held] = o
                            reserved[held] = quantity * each
                            held += 1
                        else:
                            cash += book(ends, commissions, o, i, s, out, rules)
                    late = True

                if len(orders.exits) > 0:
                    for o in slots[:held]:
                        settle(positions[o], orders.exits[o], side[o] * closes[i], side[o] * ends[4, o])

            if bars.flags[i] & (TRADABLE | SESSION_END) != TRADABLE:
                margin = margins.night_rate[session], margins.night_amount[session]
        known = side, ends, slots[:held]
        i, value, short_of_margin = mark(equity, closes, i, upto, cash, known, margin, tick_value)
        called = called or short_of_margin
    return equity, ends, commissions
