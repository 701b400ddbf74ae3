"""The contract's §6b read line by line, on top of the slow reading of one bar in ``order_oracle``.

Slow, exact, and written without a look at the compiled loop: money is in fractions, and every event asks every book.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from tests.backtest import order_oracle as one

COMMISSION = 5


@dataclass
class Book:
    bars: list[one.Bar]
    opens: list[int]  # minutes
    ends: list[int]
    orders: list[one.Order]
    rules: one.Rules
    tick_value: Fraction
    max_contracts: int | None = None
    holdings: list["Holding"] = field(default_factory=list)
    last_close: int = 0
    rate: Fraction = Fraction(0)
    cash: Fraction = Fraction(0)

    def busy(self) -> int:
        return sum(not holding.over for holding in self.holdings)


@dataclass
class Holding:
    """A position, from the open of the bar it is entered in to the end of the bar it leaves in."""

    trade: one.Trade
    order: one.Order
    loss: Fraction  # of one contract at the order's own stop
    seen: bool = False  # the bar of its entry is over
    over: bool = False  # so is that of its exit
    called: bool = False


@dataclass
class Group:
    books: list[int]
    positions: int | None
    risk: Fraction | None


@dataclass
class Limits:
    positions: int | None
    contracts: int | None
    risk: Fraction | None
    groups: list[Group]


@dataclass
class Row:
    at: int
    equity: Fraction
    margin: Fraction
    profits: list[Fraction]


def run(books: list[Book], limits: Limits, capital: int) -> list[Row]:
    for book in books:
        one.place(book.orders, book.bars)
    instants = sorted({minute for book in books for minute in book.opens})
    running: dict[int, int] = {}
    rows: list[Row] = []
    equity = Fraction(capital)
    for row, now in enumerate(instants):
        starts = [(b, book.opens.index(now)) for b, book in enumerate(books) if now in book.opens]
        for b, n in starts:
            running[b] = n
            _exits(books[b], n)
        for b, n in starts:
            _entries(books, b, n, equity, limits)
        following = instants[row + 1] if row + 1 < len(instants) else None
        over = [
            (books[b].ends[n], b, n) for b, n in running.items() if following is None or books[b].ends[n] <= following
        ]
        for _, b, n in sorted(over):
            del running[b]
            _close(books[b], n)
        profits, margin, any_held = [], Fraction(0), False
        for book in books:
            profit = book.cash
            for holding in book.holdings:
                if holding.seen and not holding.over:
                    any_held = True
                    each = book.tick_value * holding.trade.quantity
                    profit += holding.order.side * (book.last_close - holding.trade.fill) * each
                    margin += book.rate * book.last_close * each
            profits.append(profit)
        equity = capital + sum(profits, Fraction(0))
        if any_held and equity < margin:
            for holding in _held(books):
                holding.called = True
        rows.append(Row(now, equity, margin, profits))
    return rows


def _held(books: list[Book]) -> list[Holding]:
    return [holding for book in books for holding in book.holdings if not holding.over]


def _exits(book: Book, n: int) -> None:
    bar = book.bars[n]
    if not bar.tradable:
        return
    for holding in book.holdings:
        if holding.over:
            continue
        trade, order = holding.trade, holding.order
        if holding.called:
            one._out(trade, "margin_call", bar.open - order.side * book.rules.slippage)
        else:
            one._in(trade, order, bar, book.rules)
            if one.what_ends(book.bars, n, book.rules)[1]:
                one._at_the_close(trade, order, bar, book.rules)
        if trade.exit_reason:
            trade.exit_bar = n


def _entries(books: list[Book], b: int, n: int, equity: Fraction, limits: Limits) -> None:
    book = books[b]
    bar, rules = book.bars[n], book.rules
    live = [k for k in range(len(book.orders)) if one._lives(book.orders[k], n)]
    for k in one._in_turn(live, book.orders, bar, rules):
        order = book.orders[k]
        if order.over:
            continue
        full = _full(books, b, limits)
        if full:
            order.status, order.reason = "skipped", full
            order.over = order.type == "market"
            continue
        order.over = True
        meets = one._meets(order, bar, rules)
        if meets.startswith("gapped"):
            one._gapped(order, meets)
            continue
        fill = one._fill(order, bar, meets, rules)
        planned = fill if order.entry is None else order.entry
        loss = abs(planned - order.stop) * book.tick_value + 2 * COMMISSION
        margin = (rules.margin_night if rules.overnight else rules.margin_day) * fill * book.tick_value
        quantity, why = _quantity(books, b, order, loss, margin, equity, limits)
        if quantity == 0:
            order.status, order.reason = "skipped", why
            continue
        order.status, order.reason = "closed", ""
        trade = one.Trade(k, quantity, n, fill, margin * quantity, order.stop)
        book.holdings.append(Holding(trade, order, loss))
        for other in book.orders:
            if order.group is not None and other.group == order.group and not other.over:
                one._ended_by_its_group(other, n, bar, rules)
        if meets == "open" or order.type == "market":
            one._hits(trade, order, bar, rules)
        elif order.type == "limit":
            one._inside_from_above(trade, order, bar, rules)
        else:
            one._inside_from_below(trade, order, bar, rules)
        if one.what_ends(book.bars, n, rules)[1]:
            one._at_the_close(trade, order, bar, rules)
        if trade.exit_reason:
            trade.exit_bar = n


def _full(books: list[Book], b: int, limits: Limits) -> str:
    if books[b].busy() >= books[b].rules.positions:
        return "position_open"
    if limits.positions is not None and len(_held(books)) >= limits.positions:
        return "desk_positions"
    for group in limits.groups:
        held = sum(books[member].busy() for member in group.books)
        if b in group.books and group.positions is not None and held >= group.positions:
            return "group_positions"
    return ""


def _quantity(
    books: list[Book], b: int, order: one.Order, loss: Fraction, margin: Fraction, equity: Fraction, limits: Limits
) -> tuple[int, str]:
    book, own = books[b], order.quantity
    affordable = (equity - sum((holding.trade.margin for holding in _held(books)), Fraction(0))) // margin
    if own is not None:
        if affordable < own:
            return 0, "margin_below_quantity"
        quantity = own
    else:
        quantity = int(equity * book.rules.risk // loss)
        if quantity < 1:
            return 0, "risk_below_one_contract"
        if affordable < 1:
            return 0, "margin_below_one_contract"
        quantity = min(quantity, int(affordable), book.max_contracts or quantity)
    caps = []
    if limits.contracts is not None:
        caps.append((limits.contracts - sum(holding.trade.quantity for holding in _held(books)), "desk_contracts"))
    if limits.risk is not None:
        caps.append(((equity * limits.risk - _risk(books)) // loss, "desk_risk"))
    for group in limits.groups:
        if b in group.books and group.risk is not None:
            caps.append(((equity * group.risk - _risk([books[k] for k in group.books])) // loss, "group_risk"))
    for left, why in caps:
        if left < (1 if own is None else own):
            return 0, why
        quantity = min(quantity, int(left))
    return quantity, ""


def _risk(books: list[Book]) -> Fraction:
    """Money at risk at the stops as they lie now; a stop that has moved beyond the entry risks nothing."""
    total = Fraction(0)
    for book in books:
        for holding in book.holdings:
            if not holding.over:
                moved = holding.order.side * (holding.trade.stop - holding.order.stop) * book.tick_value
                total += holding.trade.quantity * max(holding.loss - moved, Fraction(0))
    return total


def _close(book: Book, n: int) -> None:
    """Let it be known what happened in a bar."""
    bar = book.bars[n]
    over = one.what_ends(book.bars, n, book.rules)[0]
    book.last_close = bar.close
    book.rate = book.rules.margin_day if bar.tradable and not over else book.rules.margin_night
    for holding in book.holdings:
        if holding.over:
            continue
        trade, order = holding.trade, holding.order
        if not holding.seen:
            book.cash -= COMMISSION * trade.quantity
            holding.seen = True
        if trade.exit_reason:
            book.cash += (order.side * (trade.exit - trade.fill) * book.tick_value - COMMISSION) * trade.quantity
            holding.over = True
        elif bar.tradable:
            one._settle(trade, order, bar.close)
