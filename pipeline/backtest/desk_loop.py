"""The replay of a desk: the orders of several books over their bars, on one account, compiled.

An **instant** is a time at which a bar of any book opens. The order of events:

1. at an instant, in the bars that open there, the positions held leave, the oldest first, through the whole bar: at its
   open or inside it;
2. then the books, in their order, enter: within a book longs first, then as given;
3. before the next instant, the bars that are over by then close, in the books' order. Only now is it known what
   happened in a bar: its exits and commissions are in the cash, the positions that left give back slot, margin and
   risk, stops move, and what is left is marked at the bar's close;
4. equity is taken: cash, and each position at its book's last known close. Below the maintenance margin of all, every
   position is called and leaves at the next open of its book's hours.

Sizes use the equity of step 4 before. A position takes its slot, margin and risk from the open of the bar it is entered
in, as one does in the replay of one instrument. So a long bar of one book hands nothing to the short bars of another
that they could not have known.

What one bar does to an order or a position is in the modules that :mod:`~pipeline.backtest.replay` uses too.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.backtest.compiled import inner
from pipeline.backtest.desk_limits import no_slot, within_limits
from pipeline.backtest.desk_replayed import Books, Limits, Money, State
from pipeline.backtest.fills import BEFORE, GAPPED_STOP, GAPPED_TARGET, INSIDE, UNTOUCHED, fill_price, held_since
from pipeline.backtest.outcomes import CLOSED, MARGIN_CALL, NO_REASON, SKIPPED, STAYS
from pipeline.backtest.positions import BARS, BEST, DUE, STOP_AT, book, outcome, settle
from pipeline.backtest.replayed import MARKET, SESSION_END, TRADABLE, Bars, Margins, Orders, Rules, Ticks
from pipeline.backtest.sizing import ROUNDING, entry_fee, loss_at_stop, margin_each, size
from pipeline.backtest.waiting import another_opens, end_gapped, end_group, meet

__all__ = ["replay_desk"]

_NEVER = np.iinfo(np.int64).max


@inner()
def _rules(b: int, books: Books, money: Money) -> Rules:
    return Rules(
        money.capital,
        books.tick_value[b],
        books.commission_per_side[b],
        books.commission_rate[b],
        money.slippage,
        money.through,
        books.max_positions[b],
        books.max_contracts[b],
        money.hold_overnight,
    )


@inner()
def _leave(at: Ticks, bars: Bars, orders: Orders, books: Books, money: Money, state: State) -> None:
    """Let the positions leave whose books have a bar in their hours, ``at`` (−1 for none)."""
    for o in state.slots[: state.held[0]]:
        b = state.owner[o]
        i = at[b]
        if i < 0 or bars.flags[i] & TRADABLE == 0:
            continue
        s, rules = orders.side[o], _rules(b, books, money)
        if state.called[o]:
            out = MARGIN_CALL, s * bars.ticks[0, i] - rules.slippage, False
        else:
            levels = s * orders.entry[o], s * orders.stop[o], s * orders.target[o]
            out = outcome(bars, i, s, levels, state.positions[o], rules, BEFORE)
        if out[0] != STAYS:
            state.gone[o] = True
            state.paid[1, o] = book(state.ends, state.commissions, o, i, s, out, rules)


@inner()
def _enter(
    b: int,
    i: int,
    live: tuple[int, int],
    margin: tuple[float, float],
    equity: float,
    bars: Bars,
    orders: Orders,
    books: Books,
    limits: Limits,
    money: Money,
    state: State,
) -> None:
    """Try the orders ``live`` (a range) of book ``b`` in bar ``i``; ``margin`` is rate and amount of an entry."""
    rules = _rules(b, books, money)
    waits, met, ends, slots = state.waits, state.met, state.ends, state.slots
    for o in range(live[0], live[1]):
        met[o] = meet(bars, i, orders, o, rules.through) if waits[o] else UNTOUCHED
    again, late = True, False
    while again:  # a second time only for those that let another of their group go first
        again = False
        for o in range(live[0], live[1]):
            how, kind = met[o], orders.kind[o]
            if how == UNTOUCHED or not waits[o]:
                continue
            why = no_slot(b, books, limits, state)
            if why != NO_REASON:  # reached, but ignored: its end unless it is reached again
                ends[0, o], ends[1, o] = SKIPPED, why
                waits[o] = kind != MARKET
                continue
            if how == INSIDE and not late and another_opens(orders.sibling, o, met, waits):
                again = True
                continue
            waits[o] = False
            if how in (GAPPED_STOP, GAPPED_TARGET):
                end_gapped(ends, o, how)
                continue
            s = orders.side[o]
            levels = s * orders.entry[o], s * orders.stop[o], s * orders.target[o]
            price = fill_price(kind, how, s * bars.ticks[0, i], levels[0], rules.slippage)
            each = margin_each(price, margin[0], margin[1], rules)
            loss = loss_at_stop(kind, price, levels[0], levels[1], rules)
            used = 0.0
            for other in slots[: state.held[0]]:
                used += state.reserved[other]
            fixed = orders.fixed[o]
            quantity, why = size(fixed, equity * orders.risk[o], loss, equity - used, each, rules.max_contracts)
            if quantity > 0:
                quantity, why = within_limits(quantity, fixed > 0, loss, equity, b, orders, books, limits, state)
            if quantity == 0:
                ends[0, o], ends[1, o] = SKIPPED, why
                continue
            fee = entry_fee(quantity, price, rules)
            state.commissions[o], state.paid[0, o] = fee, -fee
            state.loss[o], state.reserved[o] = loss, quantity * each
            ends[0, o], ends[1, o] = CLOSED, NO_REASON
            ends[2, o], ends[3, o], ends[4, o] = quantity, i, s * price
            if orders.sibling[o] != o:
                end_group(orders.sibling, o, met, waits, orders.last_bar, i, ends)
            position = state.positions[o]
            position[STOP_AT], position[BEST], position[BARS], position[DUE] = levels[1], price, 0, STAYS
            slots[state.held[0]] = o
            state.held[0] += 1
            state.busy[b] += 1
            out = outcome(bars, i, s, levels, position, rules, held_since(kind, how))
            if out[0] != STAYS:
                state.gone[o] = True
                state.paid[1, o] = book(ends, state.commissions, o, i, s, out, rules)
        late = True


@inner()
def _close(b: int, i: int, cash: NDArray[np.float64], bars: Bars, orders: Orders, state: State) -> None:
    """Let what happened in bar ``i`` of book ``b`` be known; ``cash`` is each book's and, at last, the desk's."""
    kept = 0
    for o in state.slots[: state.held[0]]:
        if state.owner[o] == b:
            if not state.known[o]:
                cash[b] += state.paid[0, o]
                cash[-1] += state.paid[0, o]
                state.known[o] = True
            if state.gone[o]:
                cash[b] += state.paid[1, o]
                cash[-1] += state.paid[1, o]
                state.busy[b] -= 1
                continue
            if len(orders.exits) > 0 and bars.flags[i] & TRADABLE != 0:
                s = orders.side[o]
                settle(state.positions[o], orders.exits[o], s * bars.ticks[3, i], s * state.ends[4, o])
        state.slots[kept] = o
        kept += 1
    state.held[0] = kept


@njit(cache=True, nogil=True)
def replay_desk(
    bars: Bars,
    orders: Orders,
    margins: Margins,
    books: Books,
    limits: Limits,
    money: Money,
    state: State,
    instants: Ticks,
    session_rows: Ticks,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Run the orders of all books over their bars; how orders end is in ``state`` then.

    Parameters
    ----------
    bars, orders, margins, books, limits, money, state
        See :mod:`~pipeline.backtest.desk_replayed`.
    instants
        At which a bar of any book opens, ascending, shape (n,).
    session_rows
        Rows of ``instants`` with the last bar of each session, ascending, shape (s,).

    Returns
    -------
    equity
        As known before the instant after, shape (n,).
    required
        Maintenance margin of the positions there, shape (n,).
    profit
        Of each book since the start, at the session rows, shape (s, b).
    """
    many = len(books.tick_value)
    equity, required = np.empty(len(instants)), np.zeros(len(instants))
    profit = np.zeros((len(session_rows), many))
    cash = np.zeros(many + 1)
    cash[many] = money.capital
    value = money.capital
    upcoming = books.first_bar[:many].copy()  # bars
    at, running, closed = np.empty(many, np.int64), np.full(many, -1), np.zeros(many, np.int64)
    session, block = books.first_session[:many] - 1, books.first_block[:many].copy()
    first, last, live_end = np.zeros(many, np.int64), np.zeros(many, np.int64), np.zeros(many, np.int64)
    rate, amount = np.zeros(many), np.zeros(many)  # of the maintenance margin, by the bar that closed last
    worth = np.zeros(many)
    day = 0

    for k in range(len(instants)):
        until = instants[k + 1] if k + 1 < len(instants) else _NEVER
        for b in range(many):
            i = upcoming[b]
            at[b] = -1
            if i == books.first_bar[b + 1] or books.opens[i] != instants[k]:
                continue
            at[b] = running[b] = i
            upcoming[b] = i + 1
            while session[b] + 1 < books.first_session[b + 1] and bars.session_first[session[b] + 1] <= i:
                session[b] += 1
            if block[b] < books.first_block[b + 1] and i == orders.blocks[0, block[b]]:
                first[b], live_end[b] = orders.blocks[2, block[b]], orders.blocks[1, block[b]]
                block[b] += 1
                more = block[b] < books.first_block[b + 1]
                last[b] = orders.blocks[2, block[b]] if more else books.first_order[b + 1]

        if state.held[0] > 0:
            _leave(at, bars, orders, books, money, state)
        for b in range(many):
            i = at[b]
            if i >= 0 and i < live_end[b] and bars.flags[i] & TRADABLE != 0 and state.waits[first[b] : last[b]].any():
                if money.hold_overnight:
                    margin = margins.night_rate[session[b]], margins.night_amount[session[b]]
                else:
                    margin = margins.day_rate[session[b]], margins.day_amount[session[b]]
                _enter(b, i, (first[b], last[b]), margin, value, bars, orders, books, limits, money, state)

        for b in range(many):
            i = running[b]
            if i < 0 or books.ends[i] > until:
                continue
            running[b], closed[b] = -1, i
            if state.busy[b] > 0:
                if bars.flags[i] & (TRADABLE | SESSION_END) != TRADABLE:
                    rate[b], amount[b] = margins.night_rate[session[b]], margins.night_amount[session[b]]
                else:
                    rate[b], amount[b] = margins.day_rate[session[b]], margins.day_amount[session[b]]
                _close(b, i, cash, bars, orders, state)

        value = cash[many]
        worth[:] = 0.0
        known = False
        for o in state.slots[: state.held[0]]:
            if state.known[o]:
                known = True
                b, quantity = state.owner[o], state.ends[2, o]
                close = bars.ticks[3, closed[b]]
                gain = orders.side[o] * (close - state.ends[4, o]) * books.tick_value[b] * quantity
                value += gain
                worth[b] += gain
                required[k] += quantity * (amount[b] + rate[b] * abs(close) * books.tick_value[b])
        equity[k] = value
        if known and value < required[k] * (1 - ROUNDING):
            for o in state.slots[: state.held[0]]:
                state.called[o] = True
        while day < len(session_rows) and session_rows[day] == k:
            profit[day] = cash[:many] + worth
            day += 1
    return equity, required, profit
