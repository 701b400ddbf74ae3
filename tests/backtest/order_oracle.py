"""The tables of the contract's §6 and §6a, read line by line: slow, exact, and written without a look at the kernel.

Longs and shorts are spelled out apart where a line of the tables is about prices; money is in fractions; every bar asks
every order and every position.
"""

from dataclasses import dataclass, field
from fractions import Fraction

TICK_VALUE = Fraction(25, 2)
COMMISSION = 5


@dataclass
class Bar:
    open: int
    high: int
    low: int
    close: int
    session: int
    tradable: bool = True
    contract: str = "H"
    finer: list["Bar"] = field(default_factory=list)


@dataclass
class Order:
    session: int
    side: int
    type: str
    entry: int | None
    stop: int
    target: int | None
    quantity: int | None = None
    first: int | None = None  # bar numbers
    last: int | None = None
    cutoff: int | None = None
    group: str | None = None
    trail: int | None = None
    breakeven: int | None = None
    give_back: int | None = None
    give_back_from: int | None = None
    max_bars: int | None = None
    bars: list[int] = field(default_factory=list)
    status: str = "not_reached"
    reason: str = ""
    over: bool = False


@dataclass
class Trade:
    order: int
    quantity: int
    entry_bar: int
    fill: int
    margin: Fraction
    stop: int
    closes: list[int] = field(default_factory=list)  # of the bars in the position, in the hours
    due: str = ""
    exit_bar: int = -1
    exit: int = 0
    exit_reason: str = ""
    ambiguous: bool = False


@dataclass
class Rules:
    capital: int
    risk: Fraction
    positions: int
    slippage: int
    through: int
    overnight: bool
    margin_day: Fraction
    margin_night: Fraction


def run(bars: list[Bar], orders: list[Order], rules: Rules) -> tuple[list[Trade], list[Fraction]]:
    trades: list[Trade] = []
    equity: list[Fraction] = []
    cash = value = Fraction(rules.capital)
    called = False
    place(orders, bars)
    for n, bar in enumerate(bars):
        session_over, last_bar = what_ends(bars, n, rules)
        held = [trade for trade in trades if not trade.exit_reason]
        if bar.tradable:
            room = rules.positions - len(held)
            tied = sum((trade.margin for trade in held), Fraction(0))
            for trade in held:
                order = orders[trade.order]
                if called:
                    _out(trade, "margin_call", bar.open - order.side * rules.slippage)
                else:
                    _in(trade, order, bar, rules)
                    if last_bar:
                        _at_the_close(trade, order, bar, rules)
                cash += _paid(trade, order, n)
            called = False

            live = [k for k in range(len(orders)) if _lives(orders[k], n)]
            for k in _in_turn(live, orders, bar, rules):
                order = orders[k]
                if order.over:
                    continue
                meets = _meets(order, bar, rules)
                if room == 0:
                    order.status, order.reason = "skipped", "position_open"
                    order.over = order.type == "market"
                    continue
                order.over = True
                if meets.startswith("gapped"):
                    _gapped(order, meets)
                    continue
                fill = _fill(order, bar, meets, rules)
                planned = fill if order.entry is None else order.entry
                margin = (rules.margin_night if rules.overnight else rules.margin_day) * fill * TICK_VALUE
                quantity, why = _contracts(order, planned, value, value - tied, margin, rules)
                if quantity == 0:
                    order.status, order.reason = "skipped", why
                    continue
                order.status, order.reason = "closed", ""
                trade = Trade(k, quantity, n, fill, margin * quantity, order.stop)
                trades.append(trade)
                room, tied, cash = room - 1, tied + trade.margin, cash - COMMISSION * quantity
                for other in orders:
                    if order.group is not None and other.group == order.group and not other.over:
                        _ended_by_its_group(other, n, bar, rules)
                if meets == "inside" and order.type == "limit":
                    _inside_from_above(trade, order, bar, rules)
                elif meets == "inside":
                    _inside_from_below(trade, order, bar, rules)
                else:
                    _hits(trade, order, bar, rules)
                if last_bar:
                    _at_the_close(trade, order, bar, rules)
                cash += _paid(trade, order, n)
            for trade in trades:
                if not trade.exit_reason:
                    _settle(trade, orders[trade.order], bar.close)

        value = cash
        needed = Fraction(0)
        rate = rules.margin_day if bar.tradable and not session_over else rules.margin_night
        still = [trade for trade in trades if not trade.exit_reason]
        for trade in still:
            value += orders[trade.order].side * (bar.close - trade.fill) * TICK_VALUE * trade.quantity
            needed += rate * bar.close * TICK_VALUE * trade.quantity
        called = called or (bool(still) and value < needed)
        equity.append(value)
    return trades, equity


def place(orders: list[Order], bars: list[Bar]) -> None:
    """Find the bars each order may see."""
    for order in orders:
        mine = [n for n, bar in enumerate(bars) if bar.tradable and bar.session == order.session]
        order.bars = [n for n in mine if bars[n].contract == bars[mine[0]].contract]
        if not [n for n in order.bars if (order.first or 0) <= n < (len(bars) if order.last is None else order.last)]:
            order.status, order.reason = "cancelled", "no_bars"


def what_ends(bars: list[Bar], n: int, rules: Rules) -> tuple[bool, bool]:
    """Return whether the session is over with bar n, and whether positions are closed at its close."""
    bar = bars[n]
    later = [other for other in bars[n + 1 :] if other.tradable]
    session_over = not later or later[0].session != bar.session
    following = next((k for k in range(n + 1, len(bars)) if bars[k].tradable), n)
    rolls = len({other.contract for other in bars[n : following + 1]}) > 1
    return session_over, bar.tradable and (not later or rolls or (session_over and not rules.overnight))


def _lives(order: Order, n: int) -> bool:
    return n in order.bars and (order.first is None or n >= order.first) and not _past(order, n) and not order.over


def _past(order: Order, n: int) -> bool:
    return any(end is not None and n >= end for end in (order.last, order.cutoff))


def _in_turn(live: list[int], orders: list[Order], bar: Bar, rules: Rules) -> list[int]:
    """Longs, then shorts, as given; one that fills inside the bar after all others if one of its group opens in it."""
    touched = [k for k in live if _meets(orders[k], bar, rules)]
    ranked = sorted(touched, key=lambda k: (-orders[k].side, k))
    late = []
    for place, k in enumerate(ranked):
        group = [j for j in ranked[place + 1 :] if orders[k].group is not None and orders[j].group == orders[k].group]
        if _meets(orders[k], bar, rules) == "inside" and any(_meets(orders[j], bar, rules) == "open" for j in group):
            late.append(k)
    return [k for k in ranked if k not in late] + late


def _meets(order: Order, bar: Bar, rules: Rules) -> str:
    o, s, t, e = bar.open, order.stop, order.target, order.entry
    if order.side == 1:
        beyond = t is not None and o >= t
        if order.type == "limit":
            assert e is not None
            return "gapped_stop" if o <= s else "open" if o <= e else "inside" if bar.low <= e - rules.through else ""
        if order.type == "market":
            return "gapped_target" if beyond else "gapped_stop" if o <= s else "open"
        assert e is not None
        return "gapped_target" if beyond else "open" if o >= e else "inside" if bar.high >= e else ""
    beyond = t is not None and o <= t
    if order.type == "limit":
        assert e is not None
        return "gapped_stop" if o >= s else "open" if o >= e else "inside" if bar.high >= e + rules.through else ""
    if order.type == "market":
        return "gapped_target" if beyond else "gapped_stop" if o >= s else "open"
    assert e is not None
    return "gapped_target" if beyond else "open" if o <= e else "inside" if bar.low <= e else ""


def _gapped(order: Order, meets: str) -> None:
    if meets == "gapped_stop":
        order.status = order.reason = "gapped_past_stop"
    else:
        order.status, order.reason = "cancelled", "gapped_past_target"


def _ended_by_its_group(other: Order, n: int, bar: Bar, rules: Rules) -> None:
    if _past(other, n) or not other.bars:
        return
    meets = _meets(other, bar, rules) if _lives(other, n) else ""
    other.over = True
    if meets.startswith("gapped"):
        _gapped(other, meets)
    else:
        other.status, other.reason = "cancelled", "group_filled"


def _fill(order: Order, bar: Bar, meets: str, rules: Rules) -> int:
    price = bar.open if meets == "open" else order.entry
    assert price is not None
    return price if order.type == "limit" else price + order.side * rules.slippage


def _out(trade: Trade, reason: str, price: int, ambiguous: bool = False) -> None:
    trade.exit_reason, trade.exit, trade.ambiguous = reason, price, ambiguous


def _stopped(trade: Trade, order: Order, price: int, rules: Rules, ambiguous: bool = False) -> None:
    reason = "stop" if trade.stop == order.stop else "trailed_stop"
    _out(trade, reason, price - order.side * rules.slippage, ambiguous)


def _in(trade: Trade, order: Order, bar: Bar, rules: Rules) -> None:
    """Held before the bar: at its open, then inside it."""
    long, t = order.side == 1, order.target
    if (bar.open <= trade.stop) if long else (bar.open >= trade.stop):
        _stopped(trade, order, bar.open, rules)
    elif t is not None and ((bar.open >= t) if long else (bar.open <= t)):
        _out(trade, "target", bar.open)
    elif trade.due:
        _out(trade, trade.due, bar.open - order.side * rules.slippage)
    else:
        _hits(trade, order, bar, rules)


def _low(trade: Trade, order: Order, bar: Bar) -> bool:
    return bar.low <= trade.stop if order.side == 1 else bar.high >= trade.stop


def _high(order: Order, bar: Bar, rules: Rules) -> bool:
    if order.target is None:
        return False
    through = rules.through
    return bar.high >= order.target + through if order.side == 1 else bar.low <= order.target - through


def _hits(trade: Trade, order: Order, bar: Bar, rules: Rules) -> None:
    if _low(trade, order, bar) and _high(order, bar, rules):
        for finer in bar.finer:
            _in_finer(trade, order, finer, rules)
            if trade.exit_reason:
                return
        _stopped(trade, order, trade.stop, rules, ambiguous=True)
    elif _low(trade, order, bar):
        _stopped(trade, order, trade.stop, rules)
    elif _high(order, bar, rules):
        assert order.target is not None
        _out(trade, "target", order.target)


def _in_finer(trade: Trade, order: Order, finer: Bar, rules: Rules) -> None:
    due, trade.due = trade.due, ""  # was for the wide bar's open
    _in(trade, order, Bar(finer.open, finer.high, finer.low, finer.close, finer.session), rules)
    trade.due = due


def _inside_from_above(trade: Trade, order: Order, bar: Bar, rules: Rules) -> None:
    if _low(trade, order, bar):
        _stopped(trade, order, trade.stop, rules)
    elif order.target is not None and order.side * (bar.close - order.target) >= rules.through:
        _out(trade, "target", order.target)


def _inside_from_below(trade: Trade, order: Order, bar: Bar, rules: Rules) -> None:
    stop, long = trade.stop, order.side == 1
    if (bar.close <= stop) if long else (bar.close >= stop):
        _stopped(trade, order, stop, rules)
    elif _low(trade, order, bar) and ((bar.open > stop) if long else (bar.open < stop)):
        if not _finer_bars_tell(trade, order, bar, rules):
            _stopped(trade, order, stop, rules, ambiguous=True)
    elif _high(order, bar, rules):
        assert order.target is not None
        _out(trade, "target", order.target)


def _finer_bars_tell(trade: Trade, order: Order, bar: Bar, rules: Rules) -> bool:
    """Where the low came: before the fill, if finer bars show it there and nothing after it; else what they show."""
    assert order.entry is not None
    filled = low_before = False
    for finer in bar.finer:
        alone = Bar(finer.open, finer.high, finer.low, finer.close, finer.session)
        if filled:
            _in_finer(trade, order, alone, rules)
        else:
            reaches = alone.high >= order.entry if order.side == 1 else alone.low <= order.entry
            opens = alone.open >= order.entry if order.side == 1 else alone.open <= order.entry
            starts_beyond = alone.open <= trade.stop if order.side == 1 else alone.open >= trade.stop
            if not reaches:
                low_before = low_before or _low(trade, order, alone)
                continue
            filled = True
            low_before = low_before or starts_beyond
            if opens:
                _hits(trade, order, alone, rules)
            else:
                _inside_from_below(trade, order, alone, rules)
        if trade.exit_reason:
            return True
    return filled and low_before and not _high(order, bar, rules)


def _at_the_close(trade: Trade, order: Order, bar: Bar, rules: Rules) -> None:
    if not trade.exit_reason:
        _out(trade, "close", bar.close - order.side * rules.slippage)


def _settle(trade: Trade, order: Order, close: int) -> None:
    trade.closes.append(close)
    seen = [trade.fill, *trade.closes]
    best = max(seen) if order.side == 1 else min(seen)
    stops = [trade.stop]
    if order.trail is not None:
        stops.append(best - order.side * order.trail)
    if order.breakeven is not None and order.side * (close - trade.fill) >= order.breakeven:
        stops.append(trade.fill)
    trade.stop = max(stops) if order.side == 1 else min(stops)
    gain, given = order.side * (best - trade.fill), order.side * (best - close)
    trade.due = ""
    if order.max_bars is not None and len(trade.closes) >= order.max_bars:
        trade.due = "time"
    asked = order.give_back is not None and order.give_back_from is not None
    if asked and gain >= order.give_back_from and 100 * given >= order.give_back * gain:
        trade.due = "give_back"


def _paid(trade: Trade, order: Order, n: int) -> Fraction:
    if not trade.exit_reason:
        return Fraction(0)
    trade.exit_bar = n
    return order.side * (trade.exit - trade.fill) * TICK_VALUE * trade.quantity - COMMISSION * trade.quantity


def _contracts(
    order: Order, planned: int, equity: Fraction, free: Fraction, margin: Fraction, rules: Rules
) -> tuple[int, str]:
    affordable = max(free // margin, 0)
    if order.quantity is not None:
        return (order.quantity, "") if affordable >= order.quantity else (0, "margin_below_quantity")
    wanted = equity * rules.risk // (abs(planned - order.stop) * TICK_VALUE + 2 * COMMISSION)
    if wanted < 1:
        return 0, "risk_below_one_contract"
    return (int(min(wanted, affordable)), "") if affordable >= 1 else (0, "margin_below_one_contract")
