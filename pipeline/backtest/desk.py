"""Several books of several instruments on one account, from frames to frames."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest.desk_loop import replay_desk
from pipeline.backtest.desk_replayed import NO_LIMIT, Books, Limits, Money, new_state
from pipeline.backtest.desk_result import DeskResult
from pipeline.backtest.desk_settings import BookOrders, Desk
from pipeline.backtest.orders import OrderBatch, read_orders
from pipeline.backtest.outcomes import ORDER_REASONS, STATUSES
from pipeline.backtest.placed import Placed
from pipeline.backtest.prepared import NO_FINER, PreparedBars, words
from pipeline.backtest.replayed import Bars, Margins, Orders
from pipeline.errors import ConfigurationError, DataError

__all__ = ["simulate_desk"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Book:
    """A book whose orders are checked and placed on its bars."""

    given: BookOrders
    prepared: PreparedBars
    batch: OrderBatch
    placed: Placed


def simulate_desk(books: Sequence[BookOrders], desk: Desk) -> DeskResult:
    """Run the orders of several books on one account (contract §6b), as ``docs/desk.md`` explains it.

    What a bar does to an order or a position is as in :func:`~pipeline.backtest.engine.simulate`; a desk of one book
    gives what ``simulate`` gives with ``desk.account_of(book)``, to the bit, where no limit of the desk's own binds.
    The order of events is at the top of :mod:`~pipeline.backtest.desk_loop`.

    Parameters
    ----------
    books
        In the order in which they enter at one instant.
    desk
        The account's settings and limits.

    Raises
    ------
    DataError
        For bars or orders that can't be used: names the book.
    ConfigurationError
        For books and limits that contradict each other: names them.
    """
    _refuse_what_conflicts(books, desk)
    ready = [_ready(book, desk) for book in books]
    placed = [book.placed for book in ready]
    bars, orders, margins = _joined(placed)
    numbers = _numbers(ready)
    state = new_state(numbers.first_order)
    instants = _instants(ready)
    sessions, session_rows = _sessions(ready, instants)
    money = Money(desk.initial_capital, desk.slippage_ticks, desk.trade_through_ticks, desk.hold_overnight)
    equity, required, profit = replay_desk(
        bars, orders, margins, numbers, _limits(books, desk), money, state, instants, session_rows
    )

    trades, ended = [], []
    for b, book in enumerate(ready):
        mine = slice(numbers.first_order[b], numbers.first_order[b + 1])
        ends = state.ends[:, mine].copy()
        ends[[3, 5]] -= numbers.first_bar[b]  # bars of entry and exit
        run = book.placed.ended(np.empty(0), ends, state.commissions[mine])
        labels = {"book": book.given.name, "symbol": book.given.instrument.symbol}
        trades.append(_labelled(book.prepared.trades(book.batch, run, book.given.orders.index), labels))
        how = {"status": words(STATUSES, run.status), "reason": words(ORDER_REASONS, run.reason)}
        ended.append(_labelled(book.given.orders.assign(**how), labels))
    index = pd.DatetimeIndex(instants.view("M8[ns]"), tz="UTC", name="timestamp")
    names = pd.Index([book.name for book in books], name="book")
    return DeskResult(
        trades=pd.concat(trades, ignore_index=True).sort_values("entry_time", kind="stable", ignore_index=True),
        orders=pd.concat(ended),
        equity=pd.Series(equity, index=index, name="equity"),
        session_equity=pd.Series(equity[session_rows], index=sessions, name="equity"),
        margin=pd.Series(required, index=index, name="margin"),
        daily_pnl=pd.DataFrame(np.diff(profit, axis=0, prepend=0.0), index=sessions, columns=names),
        instruments={book.name: book.instrument for book in books},
        desk=desk,
    )


def _refuse_what_conflicts(books: Sequence[BookOrders], desk: Desk) -> None:
    if not books:
        raise ConfigurationError("the desk has no books; give it at least one")
    twice = [name for name, count in Counter(book.name for book in books).items() if count > 1]
    if twice:
        raise ConfigurationError(f"two books of the desk are called {twice[0]}; give each a name of its own")
    names = [book.name for book in books]
    for group, settings in desk.groups.items():
        for name in settings.books:
            if name not in names:
                raise ConfigurationError(f"group {group} has the book {name}; the desk's are {', '.join(names)}")
    for book in books:
        if book.instrument.currency != desk.currency:
            raise ConfigurationError(
                f"book {book.name} trades {book.instrument.symbol}, which is quoted in {book.instrument.currency}, and "
                f"the account is in {desk.currency}; give it a desk of its own"
            )
    symbols = sorted({book.instrument.symbol for book in books})
    for setting in ("margin_day", "margin_overnight"):
        if isinstance(getattr(desk, setting), dict) and len(symbols) > 1:
            raise ConfigurationError(
                f"desk setting {setting} is a table of money per contract, which can't hold for "
                f"{' and '.join(symbols)} alike; give each book its own"
            )


def _ready(book: BookOrders, desk: Desk) -> _Book:
    try:
        account = desk.account_of(book)
        for setting in ("max_positions", "max_contracts"):
            own, limit = getattr(account, setting), getattr(desk, setting)
            if own is not None and limit is not None and own > limit:
                raise ConfigurationError(
                    f"{setting} is {own}, more than the {limit} of the whole desk; lower the one or raise the other"
                )
        prepared = book.bars if isinstance(book.bars, PreparedBars) else _prepared(book)
        if prepared.instrument != book.instrument:
            raise ConfigurationError(
                f"the bars were prepared for {prepared.instrument.symbol}, not for {book.instrument.symbol} as it is "
                "given here; prepare them with that"
            )
        batch = read_orders(book.orders, book.instrument, account)
        finer = NO_FINER if book.intrabar_bars is None else prepared.within(book.intrabar_bars)
        return _Book(book, prepared, batch, prepared.placed(batch, account, book.hours, finer))
    except DataError as error:
        raise DataError(f"book {book.name}: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"book {book.name}: {error}") from error


def _prepared(book: BookOrders) -> PreparedBars:
    if isinstance(book.bars, pd.DataFrame) and "symbol" in book.bars.columns:
        for symbol in book.bars["symbol"].unique():
            if symbol != book.instrument.symbol:
                raise DataError(
                    f"its bars have rows of {symbol}, and it trades {book.instrument.symbol}; leave them out"
                )
    return PreparedBars(book.bars, book.instrument)


def _begins(counts: Sequence[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _joined(placed: Sequence[Placed]) -> tuple[Bars, Orders, Margins]:
    """What the books' replays take, one book after the other, each number of a bar or an order counted through."""
    bar = _begins([one.bars.ticks.shape[1] for one in placed])
    order = _begins([len(one.live) for one in placed])
    finer = _begins([one.bars.finer.shape[1] for one in placed])
    any_finer, any_exits = finer[-1] > 0, any(len(one.orders.exits) for one in placed)
    ranges, moved = [], []
    for b, one in enumerate(placed):
        own, asked = one.bars, one.orders
        none = np.zeros((2, own.ticks.shape[1]), np.int64)
        ranges.append(own.finer_range + finer[b] if own.finer_range.shape[1] else none)
        moved.append(
            asked._replace(
                first_bar=asked.first_bar + bar[b],
                last_bar=asked.last_bar + bar[b],
                sibling=asked.sibling + order[b],
                exits=asked.exits if len(asked.exits) or not any_exits else np.zeros((len(one.live), 5), np.int64),
                blocks=asked.blocks + np.array([[bar[b]], [bar[b]], [order[b]]]),
            )
        )
    bars = Bars(
        ticks=np.concatenate([one.bars.ticks for one in placed], axis=1, dtype=np.int64),
        flags=np.concatenate([one.bars.flags for one in placed]),
        session_first=np.concatenate([one.bars.session_first + bar[b] for b, one in enumerate(placed)]),
        finer=np.concatenate([one.bars.finer for one in placed], axis=1),
        finer_range=np.concatenate(ranges, axis=1) if any_finer else NO_FINER[1],
    )
    orders = Orders(*(np.concatenate(each, axis=-1 if name == "blocks" else 0) for name, each in _columns(moved)))
    margins = Margins(*(np.concatenate(each) for each in zip(*(one.margins for one in placed), strict=True)))
    return bars, orders, margins


def _columns(orders: Sequence[Orders]) -> list[tuple[str, tuple[NDArray[np.generic], ...]]]:
    return list(zip(Orders._fields, zip(*orders, strict=True), strict=True))


def _numbers(ready: Sequence[_Book]) -> Books:
    placed = [book.placed for book in ready]
    rules = [one.rules for one in placed]
    return Books(
        first_bar=_begins([one.bars.ticks.shape[1] for one in placed]),
        first_session=_begins([len(one.bars.session_first) for one in placed]),
        first_block=_begins([one.orders.blocks.shape[1] for one in placed]),
        first_order=_begins([len(one.live) for one in placed]),
        opens=np.concatenate([book.prepared.timestamps.asi8 for book in ready]),
        ends=np.concatenate([book.prepared.bar_ends for book in ready]),
        tick_value=np.array([one.tick_value for one in rules]),
        commission_per_side=np.array([one.commission_per_side for one in rules]),
        commission_rate=np.array([one.commission_rate for one in rules]),
        max_positions=np.array([one.max_positions for one in rules], np.int64),
        max_contracts=np.array([one.max_contracts for one in rules], np.int64),
    )


def _limits(books: Sequence[BookOrders], desk: Desk) -> Limits:
    groups = list(desk.groups.values())
    members = [[book.name in group.books for book in books] for group in groups]
    return Limits(
        max_positions=desk.max_positions or NO_LIMIT,
        max_contracts=desk.max_contracts or NO_LIMIT,
        total_risk=np.inf if desk.total_risk is None else desk.total_risk,
        members=np.array(members, np.bool_).reshape(len(groups), len(books)),
        group_positions=np.array([group.max_positions or NO_LIMIT for group in groups], np.int64),
        group_risk=np.array([np.inf if group.max_risk is None else group.max_risk for group in groups], np.float64),
    )


def _instants(ready: Sequence[_Book]) -> Ints:
    """Return the instants at which a bar of any book opens, ascending, each once."""
    # A stable sort merges what is ascending already; np.unique would take most of a backtest's time.
    joined = np.sort(np.concatenate([book.prepared.timestamps.asi8 for book in ready]), kind="stable")
    return joined[np.append(True, joined[1:] != joined[:-1])[: len(joined)]]


def _sessions(ready: Sequence[_Book], instants: Ints) -> tuple[pd.DatetimeIndex, Ints]:
    """Return every session of any book, and the row of the last instant with a bar of it."""
    lasts = []
    for book in ready:
        rows, sessions = book.prepared.session_ends
        at = np.searchsorted(instants, book.prepared.timestamps.asi8[rows])
        lasts.append(pd.Series(at, index=sessions, dtype=np.int64))
    last = pd.concat(lasts).groupby(level=0).max()
    # A book that lacks the end of a date must not put it before the one before.
    return pd.DatetimeIndex(last.index, name=lasts[0].index.name), np.maximum.accumulate(last.to_numpy())


def _labelled(frame: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Return the frame with the labels as its first columns."""
    rest = [name for name in frame.columns if name not in labels]
    return frame.assign(**labels)[[*labels, *rest]]
