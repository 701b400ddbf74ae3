"""The fill table of the contract's §6, read line by line: slow, exact, and written without a look at the kernel.

Longs and shorts are spelled out apart, sizes and money are fractions, and every bar asks every question.
"""

from dataclasses import dataclass, field
from fractions import Fraction

TICK_VALUE = Fraction(25, 2)
COMMISSION = 5


@dataclass
class Bar:
    number: int
    session: str | None
    tradable: bool
    minute: int  # of the local day; no bars of the evening before in these markets
    contract: str
    open: int
    high: int
    low: int
    close: int


@dataclass
class Order:
    session: str
    side: int
    entry: int
    stop: int
    target: int
    quantity: int | None
    contract: str | None
    bars: list[int] = field(default_factory=list)
    status: str = "not_reached"
    reason: str = ""
    waiting: bool = True


@dataclass
class Trade:
    order: int
    quantity: int
    entry_bar: int
    entry: int
    margin: Fraction
    exit_bar: int = -1
    exit: int = 0
    exit_reason: str = ""
    ambiguous: bool = False


@dataclass
class Rules:
    capital: int
    risk: Fraction
    max_contracts: int | None
    max_positions: int
    slippage: int
    through: int
    overnight: bool
    cutoff: int | None
    margin_day: Fraction
    margin_night: Fraction


def run(bars: list[Bar], orders: list[Order], rules: Rules) -> tuple[list[Trade], list[Fraction]]:
    tradable = [bar for bar in bars if bar.tradable]
    for order in orders:
        _prepare(order, [bar for bar in tradable if bar.session == order.session], rules)
    ranked = sorted(range(len(orders)), key=lambda number: -orders[number].side)

    trades: list[Trade] = []
    open_trades: list[Trade] = []
    equity: list[Fraction] = []
    cash = mark = Fraction(rules.capital)
    margin_call = False
    next_tradable: list[Bar | None] = [None] * len(bars)
    for earlier, later in zip(reversed(bars[:-1]), reversed(bars), strict=False):
        next_tradable[earlier.number] = later if later.tradable else next_tradable[later.number]
    for bar in bars:
        following = next_tradable[bar.number]
        session_over = following is None or following.session != bar.session
        if bar.tradable:
            must_close = _rolls(bars, bar, following) or (session_over and not rules.overnight)
            slots = rules.max_positions - len(open_trades)
            tied_up = sum((trade.margin for trade in open_trades), Fraction(0))

            for trade in list(open_trades):
                order = orders[trade.order]
                if margin_call:
                    trade.exit, trade.exit_reason = bar.open - order.side * rules.slippage, "margin_call"
                else:
                    _already_in(trade, order, bar, rules)
                    _at_the_end(trade, order, bar, must_close, rules)
                if trade.exit_reason:
                    trade.exit_bar = bar.number
                    cash += order.side * (trade.exit - trade.entry) * TICK_VALUE * trade.quantity
                    cash -= COMMISSION * trade.quantity
                    open_trades.remove(trade)
            margin_call = False

            for number in ranked:
                order = orders[number]
                if not order.waiting or bar.number not in order.bars:
                    continue
                gapped, at_open, inside = _meets(order, bar, rules)
                if not (gapped or at_open or inside):
                    continue
                if slots == 0:
                    order.status, order.reason = "skipped", "position_open"
                    continue
                order.waiting = False
                order.reason = ""
                if gapped:
                    order.status = order.reason = "gapped_past_stop"
                    continue
                price = bar.open if at_open else order.entry
                margin = (rules.margin_night if rules.overnight else rules.margin_day) * price * TICK_VALUE
                quantity, why = _contracts(order, mark, mark - tied_up, margin, rules)
                if quantity == 0:
                    order.status, order.reason = "skipped", why
                    continue
                order.status = "closed"
                trade = Trade(number, quantity, bar.number, price, margin * quantity)
                trades.append(trade)
                slots -= 1
                tied_up += trade.margin
                cash -= COMMISSION * quantity
                if at_open:
                    _hits(trade, order, bar, rules)
                else:
                    _hits_inside(trade, order, bar, rules)
                _at_the_end(trade, order, bar, must_close, rules)
                if trade.exit_reason:
                    trade.exit_bar = bar.number
                    cash += order.side * (trade.exit - trade.entry) * TICK_VALUE * quantity - COMMISSION * quantity
                else:
                    open_trades.append(trade)

        mark = cash
        needed = Fraction(0)
        rate = rules.margin_day if bar.tradable and not session_over else rules.margin_night
        for trade in open_trades:
            mark += orders[trade.order].side * (bar.close - trade.entry) * TICK_VALUE * trade.quantity
            needed += rate * bar.close * TICK_VALUE * trade.quantity
        if open_trades and mark < needed:
            margin_call = True
        equity.append(mark)
    return trades, equity


def _prepare(order: Order, session: list[Bar], rules: Rules) -> None:
    if not session:
        order.status, order.reason, order.waiting = "cancelled", "no_bars", False
        return
    contract = order.contract or session[0].contract
    if contract not in {bar.contract for bar in session}:
        order.status, order.reason, order.waiting = "cancelled", "contract_rolled", False
        return
    own = [bar for bar in session if bar.contract == contract]
    for bar in own:
        if rules.cutoff is not None and bar.minute >= rules.cutoff:
            break
        order.bars.append(bar.number)


def _rolls(bars: list[Bar], bar: Bar, following: Bar | None) -> bool:
    if following is None:
        return True
    return len({other.contract for other in bars[bar.number : following.number + 1]}) > 1


def _meets(order: Order, bar: Bar, rules: Rules) -> tuple[bool, bool, bool]:
    if order.side == 1:
        return (
            bar.open <= order.stop,
            order.stop < bar.open <= order.entry,
            bar.open > order.entry and bar.low <= order.entry - rules.through,
        )
    return (
        bar.open >= order.stop,
        order.stop > bar.open >= order.entry,
        bar.open < order.entry and bar.high >= order.entry + rules.through,
    )


def _already_in(trade: Trade, order: Order, bar: Bar, rules: Rules) -> None:
    if order.side == 1:
        if bar.open <= order.stop:
            trade.exit, trade.exit_reason = bar.open - rules.slippage, "stop"
            return
        if bar.open >= order.target:
            trade.exit, trade.exit_reason = bar.open, "target"
            return
    else:
        if bar.open >= order.stop:
            trade.exit, trade.exit_reason = bar.open + rules.slippage, "stop"
            return
        if bar.open <= order.target:
            trade.exit, trade.exit_reason = bar.open, "target"
            return
    _hits(trade, order, bar, rules)


def _hits(trade: Trade, order: Order, bar: Bar, rules: Rules) -> None:
    if order.side == 1:
        stopped, reached = bar.low <= order.stop, bar.high >= order.target + rules.through
    else:
        stopped, reached = bar.high >= order.stop, bar.low <= order.target - rules.through
    if stopped:
        trade.exit, trade.exit_reason = order.stop - order.side * rules.slippage, "stop"
        trade.ambiguous = reached
    elif reached:
        trade.exit, trade.exit_reason = order.target, "target"


def _hits_inside(trade: Trade, order: Order, bar: Bar, rules: Rules) -> None:
    if (bar.low <= order.stop) if order.side == 1 else (bar.high >= order.stop):
        trade.exit, trade.exit_reason = order.stop - order.side * rules.slippage, "stop"
    elif order.side * (bar.close - order.target) >= rules.through:
        trade.exit, trade.exit_reason = order.target, "target"


def _at_the_end(trade: Trade, order: Order, bar: Bar, must_close: bool, rules: Rules) -> None:
    if must_close and not trade.exit_reason:
        trade.exit, trade.exit_reason = bar.close - order.side * rules.slippage, "close"


def _contracts(order: Order, equity: Fraction, free: Fraction, margin: Fraction, rules: Rules) -> tuple[int, str]:
    affordable = max(free // margin, 0)
    if order.quantity is not None:
        return (order.quantity, "") if affordable >= order.quantity else (0, "margin_below_quantity")
    wanted = equity * rules.risk // (abs(order.entry - order.stop) * TICK_VALUE + 2 * COMMISSION)
    if wanted < 1:
        return 0, "risk_below_one_contract"
    if affordable < 1:
        return 0, "margin_below_one_contract"
    return min(wanted, affordable, rules.max_contracts or wanted), ""
