"""Fill rules: orders and positions within one bar (contract §6), in integer ticks, compiled.

Everything is written for a long. A short is the same order in a mirror: its prices and the bar's are
negated and the bar's high and low change places, so "below" is always worse and "above" always better.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

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

Ticks = NDArray[np.int64]

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
def _outcome(
    bars: Ticks,
    i: int,
    finer: Ticks,
    finer_range: Ticks,
    side: int,
    stop: int,
    target: int,
    through: int,
    slippage: int,
    since: int,
    closing: bool,
) -> tuple[int, int, bool]:
    """Settle a position in bar ``i`` by its intrabar bars and the session's close; a short's prices are negated."""
    upper, lower = (1, 2) if side > 0 else (2, 1)
    reason, price, ambiguous = leave(
        side * bars[0, i],
        side * bars[upper, i],
        side * bars[lower, i],
        side * bars[3, i],
        stop,
        target,
        through,
        slippage,
        since,
    )
    if ambiguous and finer_range.shape[1] > 0:
        for j in range(finer_range[0, i], finer_range[1, i]):
            why, at, undecided = leave(
                side * finer[0, j],
                side * finer[upper, j],
                side * finer[lower, j],
                side * finer[3, j],
                stop,
                target,
                through,
                slippage,
                BEFORE,
            )
            if why != STAYS:
                return why, at, undecided
    if reason == STAYS and closing:
        return CLOSE, side * bars[3, i] - slippage, False
    return reason, price, ambiguous


@njit(cache=True, nogil=True)
def _book(
    ends: Ticks,
    commissions: NDArray[np.float64],
    o: int,
    i: int,
    side: int,
    reason: int,
    price: int,
    ambiguous: bool,
    tick_value: float,
    per_side: float,
    rate: float,
) -> float:
    """Write down an exit; returns what it adds to the cash."""
    quantity = ends[2, o]
    fee = quantity * (per_side + rate * abs(price) * tick_value)
    commissions[o] += fee
    ends[5, o], ends[6, o], ends[7, o], ends[8, o] = i, side * price, reason, ambiguous
    return (price - side * ends[4, o]) * tick_value * quantity - fee


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
def replay(
    bars: Ticks,
    flags: NDArray[np.uint8],
    finer: Ticks,
    finer_range: Ticks,
    side: Ticks,
    entry: Ticks,
    stop: Ticks,
    target: Ticks,
    fixed: Ticks,
    risk: NDArray[np.float64],
    first_bar: Ticks,
    last_bar: Ticks,
    session_first: Ticks,
    day_rate: NDArray[np.float64],
    day_amount: NDArray[np.float64],
    night_rate: NDArray[np.float64],
    night_amount: NDArray[np.float64],
    capital: float,
    tick_value: float,
    commission_per_side: float,
    commission_rate: float,
    slippage: int,
    through: int,
    max_positions: int,
    max_contracts: int,
    hold_overnight: bool,
) -> tuple[NDArray[np.float64], Ticks, NDArray[np.float64]]:
    """Run the orders over the bars.

    Parameters
    ----------
    bars
        Open, high, low, close in ticks, shape (4, n).
    flags
        What each bar is: bits TRADABLE, SESSION_END, CLOSE_BAR, shape (n,).
    finer, finer_range
        Finer bars, shape (4, k), and per bar the first and the end of those within it, shape (2, n); shapes (4, 0) and
        (2, 0) without.
    side, entry, stop, target, fixed, risk, first_bar, last_bar
        Per order, shape (m,): +1 or −1; ticks; contracts or 0 for the sizing rule; fraction of equity; the range of
        bars it may enter in. Sorted by ``first_bar``, then in the order in which they are tried; orders with the
        same ``first_bar`` share ``last_bar``, and ranges of different ones don't overlap.
    session_first
        First tradable bar of each session, ascending, shape (s,).
    day_rate, day_amount, night_rate, night_amount
        Margin per session, see :func:`~pipeline.backtest.account.margin_per_session`, shape (s,).

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
    n, m = bars.shape[1], len(side)
    opens, highs, lows, closes = bars[0], bars[1], bars[2], bars[3]
    equity = np.empty(n)
    ends = np.zeros((9, m), np.int64)
    commissions = np.zeros(m)
    decided = np.zeros(m, np.bool_)
    slots = np.empty(min(max_positions, max(m, 1)), np.int64)  # orders that are positions now, oldest first
    margins = np.empty(len(slots))  # the margin each was opened with
    held = 0
    cash = capital
    mark = capital  # equity at the last close
    upcoming = 0  # first order not yet live
    live_from, live_to, live_end, undecided = 0, 0, 0, 0
    session = -1
    called = False

    i = 0
    while i < n:
        if upcoming < m and i == first_bar[upcoming]:
            live_from, live_end = upcoming, last_bar[upcoming]
            while upcoming < m and first_bar[upcoming] == i:
                upcoming += 1
            live_to, undecided = upcoming, upcoming - live_from
        if i >= live_end:
            undecided = 0
        if held == 0 and undecided == 0:  # nothing can happen before the next orders
            until = first_bar[upcoming] if upcoming < m else n
            equity[i:until] = cash
            mark = cash
            i = until
            continue
        while session + 1 < len(session_first) and session_first[session + 1] <= i:
            session += 1

        tradable = flags[i] & TRADABLE != 0
        closing = flags[i] & CLOSE_BAR != 0
        if tradable:
            free = max_positions - held
            used_margin = 0.0
            for k in range(held):
                used_margin += margins[k]

            kept = 0
            for k in range(held):
                o = slots[k]
                s = side[o]
                if called:
                    reason, price, ambiguous = MARGIN_CALL, s * opens[i] - slippage, False
                else:
                    reason, price, ambiguous = _outcome(
                        bars, i, finer, finer_range, s, s * stop[o], s * target[o], through, slippage, BEFORE, closing
                    )
                if reason == STAYS:
                    slots[kept] = o
                    margins[kept] = margins[k]
                    kept += 1
                else:
                    cash += _book(
                        ends,
                        commissions,
                        o,
                        i,
                        s,
                        reason,
                        price,
                        ambiguous,
                        tick_value,
                        commission_per_side,
                        commission_rate,
                    )
            held = kept
            called = False

            if undecided > 0:
                for o in range(live_from, live_to):
                    if decided[o]:
                        continue
                    s = side[o]
                    open_ = s * opens[i]
                    low = lows[i] if s > 0 else -highs[i]
                    how = enter(open_, low, s * entry[o], s * stop[o], through)
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
                    if hold_overnight:
                        margin = night_amount[session] + night_rate[session] * notional
                    else:
                        margin = day_amount[session] + day_rate[session] * notional
                    round_trip = 2 * commission_per_side + commission_rate * tick_value * (abs(entry[o]) + abs(stop[o]))
                    loss = abs(entry[o] - stop[o]) * tick_value + round_trip
                    quantity, why = _size(fixed[o], mark * risk[o], loss, mark - used_margin, margin, max_contracts)
                    if quantity == 0:
                        ends[0, o], ends[1, o] = SKIPPED, why
                        continue
                    free -= 1
                    used_margin += quantity * margin
                    fee = quantity * (commission_per_side + commission_rate * notional)
                    cash -= fee
                    commissions[o] = fee
                    ends[0, o], ends[1, o] = CLOSED, NO_REASON
                    ends[2, o], ends[3, o], ends[4, o] = quantity, i, s * price
                    since = FROM_OPEN if how == AT_OPEN else FROM_INSIDE
                    reason, price, ambiguous = _outcome(
                        bars, i, finer, finer_range, s, s * stop[o], s * target[o], through, slippage, since, closing
                    )
                    if reason == STAYS:
                        slots[held] = o
                        margins[held] = quantity * margin
                        held += 1
                    else:
                        cash += _book(
                            ends,
                            commissions,
                            o,
                            i,
                            s,
                            reason,
                            price,
                            ambiguous,
                            tick_value,
                            commission_per_side,
                            commission_rate,
                        )

        mark = cash
        if held > 0:
            by_day = tradable and flags[i] & SESSION_END == 0
            rate = day_rate[session] if by_day else night_rate[session]
            amount = day_amount[session] if by_day else night_amount[session]
            maintenance = 0.0
            for k in range(held):
                o = slots[k]
                mark += side[o] * (closes[i] - ends[4, o]) * tick_value * ends[2, o]
                maintenance += ends[2, o] * (amount + rate * abs(closes[i]) * tick_value)
            if mark < maintenance * (1 - _ROUNDING):
                called = True
        equity[i] = mark
        i += 1
    return equity, ends, commissions
