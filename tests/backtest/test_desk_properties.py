"""Small random desks, all kinds of orders, bar lengths and limits mixed, against the slow oracle."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backtest import BookOrders, Desk, simulate_desk
from pipeline.market import load_instruments
from tests.backtest import desk_oracle as oracle
from tests.backtest import order_oracle
from tests.backtest.frames import TICK
from tests.backtest.test_order_properties import (
    DATES,
    bars_of_the_oracle,
    in_points,
    random_market,
    random_orders,
)
from tests.examples import at_least

INSTRUMENTS = load_instruments()
TICK_VALUES = {"ES": Fraction(25, 2), "NQ": Fraction(5), "MES": Fraction(5, 4)}


@st.composite
def desks(draw: st.DrawFn) -> tuple[Desk, int]:
    """A desk and how many books it has."""
    books = draw(st.integers(1, 4))
    risk = draw(st.sampled_from([0.005, 0.01, 0.2]))
    positions = draw(st.sampled_from([None, None, 2, 3]))
    total = draw(st.sampled_from([None, None, risk, min(1.5 * risk, 1.0)]))
    groups = {}
    for name in draw(st.sampled_from([(), ("a",), ("a", "b")])):
        members = draw(st.lists(st.integers(0, books - 1), min_size=1, unique=True))
        limits = {
            "max_positions": draw(st.sampled_from([None, 1, 2])),
            "max_risk": draw(st.sampled_from([None, risk])),
        }
        if any(limits.values()):
            groups[name] = {"books": [str(b) for b in members], **limits}
    desk = Desk(
        initial_capital=draw(st.sampled_from([20_030, 30_040, 50_050, 100_000, 1_000_000, 1_000_000])),
        risk_per_trade=risk,
        slippage_ticks=draw(st.integers(0, 2)),
        trade_through_ticks=draw(st.integers(0, 2)),
        hold_overnight=draw(st.booleans()),
        margin_day=draw(st.sampled_from([0.1, 0.05])),
        margin_overnight=0.15,
        max_positions=positions,
        max_contracts=draw(st.sampled_from([None, None, 3, 6])),
        total_risk=total,
        groups=groups,
    )
    return desk, books


def minutes_of(times: pd.Series) -> list[int]:
    return [int(at.timestamp()) // 60 for at in times]


def longer_lived(
    rng: np.random.Generator, frame: pd.DataFrame, asked: list[order_oracle.Order]
) -> tuple[pd.DataFrame, list[order_oracle.Order]]:
    """Move stops and targets away, so that positions of several books meet, and leave more sizes to the rule."""
    away = int(rng.choice([0, 6, 15]))
    for order in asked:
        order.stop -= order.side * away
        order.target = None if order.target is None else order.target + order.side * away
        order.quantity = order.quantity if rng.random() < 0.5 else None
    prices = {name: np.array([getattr(order, name) for order in asked], np.float64) for name in ("stop", "target")}
    frame = frame.assign(**{name: each * TICK for name, each in prices.items()})
    return frame.assign(quantity=[order.quantity for order in asked]), asked


def random_book(rng: np.random.Generator, name: str, desk: Desk) -> tuple[BookOrders, oracle.Book]:
    symbol, step = str(rng.choice([*TICK_VALUES])), int(rng.choice([5, 5, 5, 10, 15]))
    market = random_market(rng, f"{step}min")
    market = market[rng.random(len(market)) < 0.9].reset_index(drop=True) if rng.random() < 0.5 else market
    hours = "rth" if rng.random() < 0.7 else "eth"
    orders, asked = longer_lived(rng, *random_orders(rng, market, rich=float(rng.choice([0.0, 1.0]))))
    positions = int(rng.choice([1, 1, 2])) if desk.max_positions != 1 else 1
    contracts = None if rng.random() < 0.7 else int(rng.integers(1, 4))
    opens = minutes_of(market["timestamp"])
    steps = [later - earlier for earlier, later in pairwise(opens)]
    usual = max(sorted(set(steps)), key=steps.count) if steps else 0
    ends = [min(at + usual, *opens[n + 1 : n + 2]) if opens[n + 1 :] else at + usual for n, at in enumerate(opens)]
    rules = order_oracle.Rules(
        int(desk.initial_capital),
        Fraction(str(desk.risk_per_trade)),
        positions,
        desk.slippage_ticks,
        desk.trade_through_ticks,
        desk.hold_overnight,
        Fraction(str(desk.margin_day)),
        Fraction(str(desk.margin_overnight)),
    )
    instrument = INSTRUMENTS[symbol]
    rows = bars_of_the_oracle(market, None, instrument, hours)
    book = BookOrders(name, instrument, in_points(market), orders, hours, positions, contracts)  # type: ignore[arg-type]
    return book, oracle.Book(rows, opens, ends, asked, rules, TICK_VALUES[symbol], contracts)


@at_least(200)
@given(seed=st.integers(0, 2**32), drawn=desks())
def test_simulate_desk_random_books_agree_with_the_oracle(seed: int, drawn: tuple[Desk, int]) -> None:
    desk, many = drawn
    rng = np.random.default_rng(seed)
    made = [random_book(rng, str(b), desk) for b in range(many)]
    books, asked = [book for book, _ in made], [book for _, book in made]

    def fraction(value: float | None) -> Fraction | None:
        return None if value is None else Fraction(str(value))

    groups = [
        oracle.Group([int(name) for name in group.books], group.max_positions, fraction(group.max_risk))
        for group in desk.groups.values()
    ]
    limits = oracle.Limits(desk.max_positions, desk.max_contracts, fraction(desk.total_risk), groups)

    result = simulate_desk(books, desk)
    rows = oracle.run(asked, limits, int(desk.initial_capital))

    for book, expected in made:
        orders = result.orders[result.orders["book"] == book.name]
        assert list(zip(orders["status"], orders["reason"], strict=True)) == [
            (order.status, order.reason) for order in expected.orders
        ]
        bar = pd.Index(book.bars["timestamp"])  # type: ignore[index]
        trades = [holding.trade for holding in expected.holdings]
        trades.sort(key=lambda trade, asked=expected.orders: (trade.entry_bar, -asked[trade.order].side, trade.order))  # type: ignore[misc]
        assert [
            (
                trade.order,
                trade.quantity,
                bar.get_loc(trade.entry_time),
                trade.entry_price / TICK,
                bar.get_loc(trade.exit_time),
                trade.exit_price / TICK,
                trade.exit_reason,
                trade.ambiguous,
            )
            for trade in result.trades[result.trades["book"] == book.name].itertuples()
        ] == [
            (t.order, t.quantity, t.entry_bar, t.fill, t.exit_bar, t.exit, t.exit_reason, t.ambiguous) for t in trades
        ]
    assert minutes_of(result.equity.index.to_series()) == [row.at for row in rows]
    close = {"rtol": 0, "atol": 1e-6}
    np.testing.assert_allclose(result.equity, np.array([row.equity for row in rows], dtype=np.float64), **close)
    np.testing.assert_allclose(result.margin, np.array([row.margin for row in rows], dtype=np.float64), **close)
    daily = _profit_by_session(books, rows)
    np.testing.assert_allclose(result.daily_pnl.cumsum(), np.array(daily, dtype=np.float64).reshape(-1, many), **close)
    np.testing.assert_allclose(
        result.daily_pnl.sum(axis=1),
        result.session_equity.diff().fillna(result.session_equity - desk.initial_capital),
        **close,
    )


def _profit_by_session(books: list[BookOrders], rows: list[oracle.Row]) -> list[list[Fraction]]:
    """The books' profits at the last bar of each date; these markets' bars have their Chicago date as their session."""
    last: dict[str, int] = {}
    for book in books:
        for at in book.bars["timestamp"]:  # type: ignore[index]
            date = str(at.tz_convert("America/Chicago").date())
            last[date] = max(last.get(date, 0), int(at.timestamp()) // 60)
    found = {row.at: row.profits for row in rows}
    return [found[last[date]] for date in DATES if date in last]
