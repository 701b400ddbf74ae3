"""Fill rules: orders and positions within one bar (contract §6), in integer ticks, compiled.

Everything is written for a long. A short is the same order in a mirror: its prices and the bar's are
negated and the bar's high and low change places, so "below" is always worse and "above" always better.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.backtest.replayed import Bars, Margins, Orders, Rules, Ticks

__all__ = [
    "CANCELLED",
    "CLOSED",
    "CLOSE_BAR",
    "CONTRACT_ROLLED",
    "EXIT_REASONS",
    "NO_BARS",
    "ORDER_REASONS",
    "SESSION_END",
    "STATUSES",
    "TRADABLE",
    "enter",
    "leave",
    "replay",
]

# How an order ends, and why; the numbers index these names.
STATUSES = ("not_reached", "closed", "gapped_past_stop", "skipped", "cancelled")
NOT_REACHED, CLOSED, GAPPED_PAST_STOP, SKIPPED, CANCELLED = range(5)
ORDER_REASONS = (
    "",
    "position_open",
    "risk_below_one_contract",
    "margin_below_one_contract",
    "margin_below_quantity",
    "no_bars",
    "contract_rolled",
)
NO_REASON, POSITION_OPEN, RISK_BELOW_ONE, MARGIN_BELOW_ONE, MARGIN_BELOW_QUANTITY, NO_BARS, CONTRACT_ROLLED = range(7)
EXIT_REASONS = ("", "stop", "target", "close", "margin_call")
STAYS, STOP, TARGET, CLOSE, MARGIN_CALL = range(5)

# How an order meets a bar.
UNTOUCHED, GAPPED, AT_OPEN, INSIDE = range(4)
# Since when a position is held: before the bar, from its open, or from somewhere inside it.
BEFORE, FROM_OPEN, FROM_INSIDE = range(3)

# What a bar is, as bits.
TRADABLE = 1  # in the hours traded
SESSION_END = 2  # the last bar given of its session's hours
CLOSE_BAR = 4  # whatever is held is closed at its close


_FAR = 1 << 62  # ticks, beyond any price
_ROUNDING = 1e-12  # 0.29 × 100 must size as 29, not as the 28.999999999999996 of floats


@njit(cache=True, nogil=True)
def enter(open_: int, low: int, entry: int, stop: int, through: int) -> int:
    """Classify how a live order meets a bar: GAPPED, AT_OPEN, INSIDE or UNTOUCHED."""
    if open_ <= stop:
        return GAPPED
    if open_ <= entry:
        return AT_OPEN
    if low <= entry - through:
        return INSIDE
    return UNTOUCHED


@njit(cache=True, nogil=True)
def leave(
    open_: int, high: int, low: int, close: int, stop: int, target: int, through: int, slippage: int, since: int
) -> tuple[int, int, bool]:
    """Decide how a position leaves in a bar: exit reason (STAYS, STOP or TARGET), price, whether ambiguous."""
    if since == BEFORE:
        if open_ <= stop:
            return STOP, open_ - slippage, False
        if open_ >= target:
            return TARGET, open_, False
    if since == FROM_INSIDE:  # the bar's high may have come before the fill, its close has not
        if low <= stop:
            return STOP, stop - slippage, False
        if close >= target + through:
            return TARGET, target, False
        return STAYS, 0, False
    reached = high >= target + through
    if low <= stop:
        return STOP, stop - slippage, reached
    if reached:
        return TARGET, target, False
    return STAYS, 0, False


@njit(cache=True, nogil=True)
def _outcome(bars: Bars, i: int, side: int, stop: int, target: int, rules: Rules, since: int) -> tuple[int, int, bool]:
    """Settle a position in bar ``i`` by its intrabar bars and the session's close; a short's prices are negated."""
    ticks, finer = bars.ticks, bars.finer
    upper, lower = (1, 2) if side > 0 else (2, 1)
    reason, price, ambiguous = leave(
        side * ticks[0, i],
        side * ticks[upper, i],
        side * ticks[lower, i],
        side * ticks[3, i],
        stop,
        target,
        rules.through,
        rules.slippage,
        since,
    )
    if ambiguous and bars.finer_range.shape[1] > 0:
        for j in range(bars.finer_range[0, i], bars.finer_range[1, i]):
            why, at, undecided = leave(
                side * finer[0, j],
                side * finer[upper, j],
                side * finer[lower, j],
                side * finer[3, j],
                stop,
                target,
                rules.through,
                rules.slippage,
                BEFORE,
            )
            if why != STAYS:
                return why, at, undecided
    if reason == STAYS and bars.flags[i] & CLOSE_BAR != 0:
        return CLOSE, side * ticks[3, i] - rules.slippage, False
    return reason, price, ambiguous


@njit(cache=True, nogil=True)
def _book(
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


@njit(cache=True, nogil=True)
def _size(
    fixed: int,
    risk_money: float,
    loss_per_contract: float,
    free_margin: float,
    margin_per_contract: float,
    max_contracts: int,
) -> tuple[int, int]:
    """Contracts to buy or sell, or 0 and the reason."""
    if margin_per_contract > 0:
        affordable = max(np.floor(free_margin / margin_per_contract * (1 + _ROUNDING)), 0.0)
    else:  # a price of zero has no notional
        affordable = np.inf
    if fixed > 0:
        return (fixed, NO_REASON) if affordable >= fixed else (0, MARGIN_BELOW_QUANTITY)
    wanted = max(np.floor(risk_money / loss_per_contract * (1 + _ROUNDING)), 0.0)
    if wanted < 1:
        return 0, RISK_BELOW_ONE
    if affordable < 1:
        return 0, MARGIN_BELOW_ONE
    contracts = min(wanted, affordable)
    if max_contracts > 0:
        contracts = min(contracts, max_contracts)
    return int(contracts), NO_REASON


@njit(cache=True, nogil=True)
def _untouched_until(bars: Bars, i: int, end: int, floor: int, ceiling: int) -> int:
    """Return the first bar from ``i`` on that is more than tradable, or not between the two levels; at most ``end``."""
    ticks, flags = bars.ticks, bars.flags
    while i < end and flags[i] == TRADABLE:
        if min(ticks[0, i], ticks[2, i]) <= floor or max(ticks[0, i], ticks[1, i]) >= ceiling:
            break
        i += 1
    return i


@njit(cache=True, nogil=True)
def _levels_around(orders: Orders, first: int, last: int, decided: NDArray[np.bool_], slots: Ticks) -> tuple[int, int]:
    """Return the nearest levels below and above at which something may happen to live orders and positions."""
    floor, ceiling = -_FAR, _FAR
    for o in range(first, last):
        if not decided[o]:
            if orders.side[o] > 0:
                floor = max(floor, orders.entry[o])
            else:
                ceiling = min(ceiling, orders.entry[o])
    for o in slots:
        lower, upper = (orders.stop[o], orders.target[o]) if orders.side[o] > 0 else (orders.target[o], orders.stop[o])
        floor, ceiling = max(floor, lower), min(ceiling, upper)
    return floor, ceiling


@njit(cache=True, nogil=True)
def _mark(
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
    mark = cash
    for i in range(first, last):
        mark = cash
        maintenance = 0.0
        for o in slots:
            mark += side[o] * (closes[i] - ends[4, o]) * tick_value * ends[2, o]
            maintenance += ends[2, o] * (amount + rate * abs(closes[i]) * tick_value)
        equity[i] = mark
        if mark < maintenance * (1 - _ROUNDING):
            return i + 1, mark, True
    return last, mark, False


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
    opens, highs, lows, closes = bars.ticks[0], bars.ticks[1], bars.ticks[2], bars.ticks[3]
    side, entry, stop, target, first_bar = orders.side, orders.entry, orders.stop, orders.target, orders.first_bar
    tick_value, per_side, rate_of_value = rules.tick_value, rules.commission_per_side, rules.commission_rate
    equity = np.empty(n)
    ends = np.zeros((9, m), np.int64)
    commissions = np.zeros(m)
    decided = np.zeros(m, np.bool_)
    slots = np.empty(min(rules.max_positions, max(m, 1)), np.int64)  # orders that are positions now, oldest first
    reserved = np.empty(len(slots))  # the margin each was opened with
    held = 0
    cash = rules.capital
    mark = cash  # equity at the last close
    upcoming = 0  # first order not yet live
    live_from, live_to, live_end, undecided = 0, 0, 0, 0
    session = -1
    called = False

    i = 0
    while i < n:
        if upcoming < m and i == first_bar[upcoming]:
            live_from, live_end = upcoming, orders.last_bar[upcoming]
            while upcoming < m and first_bar[upcoming] == i:
                upcoming += 1
            live_to, undecided = upcoming, upcoming - live_from
        if i >= live_end:
            undecided = 0
        until = first_bar[upcoming] if upcoming < m else n
        if held == 0 and undecided == 0:  # nothing can happen before the next orders
            equity[i:until] = cash
            mark = cash
            i = until
            continue
        while session + 1 < len(bars.session_first) and bars.session_first[session + 1] <= i:
            session += 1

        if not called:
            end = min(until, live_end) if undecided > 0 else until
            floor, ceiling = _levels_around(orders, live_from, live_to if undecided > 0 else 0, decided, slots[:held])
            quiet = _untouched_until(bars, i, end, floor, ceiling)
            if quiet > i:
                margin = margins.day_rate[session], margins.day_amount[session]
                i, mark, called = _mark(equity, closes, i, quiet, cash, (side, ends, slots[:held]), margin, tick_value)
                continue

        tradable = bars.flags[i] & TRADABLE != 0
        if tradable:
            free = rules.max_positions - held
            used_margin = 0.0
            for k in range(held):
                used_margin += reserved[k]

            kept = 0
            for k in range(held):
                o = slots[k]
                s = side[o]
                if called:
                    outcome = MARGIN_CALL, s * opens[i] - rules.slippage, False
                else:
                    outcome = _outcome(bars, i, s, s * stop[o], s * target[o], rules, BEFORE)
                if outcome[0] == STAYS:
                    slots[kept] = o
                    reserved[kept] = reserved[k]
                    kept += 1
                else:
                    cash += _book(ends, commissions, o, i, s, outcome, rules)
            held = kept
            called = False

            if undecided > 0:
                for o in range(live_from, live_to):
                    if decided[o]:
                        continue
                    s = side[o]
                    open_ = s * opens[i]
                    low = lows[i] if s > 0 else -highs[i]
                    how = enter(open_, low, s * entry[o], s * stop[o], rules.through)
                    if how == UNTOUCHED:
                        continue
                    if free == 0:  # reached, but ignored: its end unless it is reached again
                        ends[0, o], ends[1, o] = SKIPPED, POSITION_OPEN
                        continue
                    decided[o] = True
                    undecided -= 1
                    if how == GAPPED:
                        ends[0, o], ends[1, o] = GAPPED_PAST_STOP, NO_REASON
                        continue
                    price = open_ if how == AT_OPEN else s * entry[o]
                    notional = abs(price) * tick_value
                    if rules.hold_overnight:
                        each = margins.night_amount[session] + margins.night_rate[session] * notional
                    else:
                        each = margins.day_amount[session] + margins.day_rate[session] * notional
                    round_trip = 2 * per_side + rate_of_value * tick_value * (abs(entry[o]) + abs(stop[o]))
                    loss = abs(entry[o] - stop[o]) * tick_value + round_trip
                    quantity, why = _size(
                        orders.fixed[o], mark * orders.risk[o], loss, mark - used_margin, each, rules.max_contracts
                    )
                    if quantity == 0:
                        ends[0, o], ends[1, o] = SKIPPED, why
                        continue
                    free -= 1
                    used_margin += quantity * each
                    fee = quantity * (per_side + rate_of_value * notional)
                    cash -= fee
                    commissions[o] = fee
                    ends[0, o], ends[1, o] = CLOSED, NO_REASON
                    ends[2, o], ends[3, o], ends[4, o] = quantity, i, s * price
                    since = FROM_OPEN if how == AT_OPEN else FROM_INSIDE
                    outcome = _outcome(bars, i, s, s * stop[o], s * target[o], rules, since)
                    if outcome[0] == STAYS:
                        slots[held] = o
                        reserved[held] = quantity * each
                        held += 1
                    else:
                        cash += _book(ends, commissions, o, i, s, outcome, rules)

        if tradable and bars.flags[i] & SESSION_END == 0:
            margin = margins.day_rate[session], margins.day_amount[session]
        else:
            margin = margins.night_rate[session], margins.night_amount[session]
        i, mark, short_of_margin = _mark(equity, closes, i, i + 1, cash, (side, ends, slots[:held]), margin, tick_value)
        called = called or short_of_margin
    return equity, ends, commissions
