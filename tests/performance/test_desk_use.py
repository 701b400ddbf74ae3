"""Hand-computed use of a desk's account: margin, limits, both sides of a symbol, each book alone."""

import math
from collections.abc import Iterable

import pandas as pd
import pytest

from pipeline.backtest import BookOrders, Desk, simulate, simulate_alone, simulate_desk
from pipeline.errors import DataError
from pipeline.market import Instrument, load_instruments
from pipeline.performance.desk_use import beside_alone, margin_by_session, margin_use, opposed_positions, turned_away
from tests.backtest.frames import BASE, book, days, order, session_bars
from tests.performance.desks import desk_result
from tests.performance.results import order as ended
from tests.performance.results import trade

B = BASE  # 4,000 points
DIP = (B + 8, B + 9, B - 1, B + 2)  # fills a long at B inside the bar
STAY = (B + 2, B + 2, B + 2, B + 2)
LONG = order(1, B, B - 20, B + 40, quantity=1)
INSTRUMENTS = load_instruments()
NQ = INSTRUMENTS["NQ"]


def idle(books: Iterable[str]) -> dict[str, list[float]]:
    return {book: [0.0] for book in books}


def test_margin_use_is_a_share_of_equity_while_a_position_is_held(es: Instrument) -> None:
    trades = [{"book": "a", **trade("2024-01-03 15:00", "2024-01-04 15:00", -10.0, exit_reason="margin_call")}]
    result = desk_result({"a": es}, {"a": [0.0, -200.0, 200.0, 0.0]}, trades=trades, margin=[0, 400, 300, 0])

    found = margin_use(result)

    assert found.to_dict() == {"most": 0.5, "mean_while_held": 0.4, "held_share": 0.5, "calls": 1}
    assert margin_by_session(result).to_numpy().tolist() == [[0, 0], [400, 0.5], [300, 0.3], [0, 0]]


def test_margin_use_without_positions_is_zero_and_on_ruined_equity_infinite(es: Instrument) -> None:
    none = desk_result({"a": es}, {"a": [0.0, 0.0]})
    ruined = desk_result({"a": es}, {"a": [-1_000.0, 0.0]}, margin=[10, 0])

    assert margin_use(none).tolist() == [0, 0, 0, 0]
    assert margin_by_session(none).to_numpy().tolist() == [[0, 0], [0, 0]]
    assert margin_use(ruined)["most"] == math.inf
    assert margin_by_session(ruined)["share"].tolist() == [math.inf, 0]


def test_margin_by_session_gives_an_instant_to_the_latest_session_that_has_begun(es: Instrument) -> None:
    # Bitcoin's session of the 16th lasts until midnight UTC, when futures have begun their 17th.
    always_open = next(each for each in INSTRUMENTS.values() if each.always_open)
    bitcoin = always_open.model_copy(update={"currency": es.currency})
    held = days(session_bars([DIP, STAY]), session_bars([STAY], start="18:00"), session_bars([STAY], day="2021-03-17"))
    always = session_bars([(B, B, B, B)] * 2, start="18:00")
    books = [
        BookOrders("f", es, held, book(LONG), hours="eth"),
        BookOrders("c", bitcoin, always, book(LONG).iloc[:0]),
    ]

    result = simulate_desk(books, Desk(hold_overnight=True))

    assert [f"{session:%m-%d}" for session in margin_by_session(result).index] == ["03-16", "03-17"]
    assert margin_by_session(result)["money"].gt(0).tolist() == [True, True]


def test_turned_away_counts_skipped_orders_by_book_and_reason(es: Instrument) -> None:
    orders = [
        {"book": "a", **ended("2024-01-02", "skipped", "desk_positions")},
        {"book": "a", **ended("2024-01-02", "skipped", "desk_positions")},
        {"book": "b", **ended("2024-01-02", "skipped", "group_risk")},
        {"book": "b", **ended("2024-01-02", "cancelled", "no_bars")},
        {"book": "c", **ended("2024-01-02", "closed")},
    ]
    result = desk_result({"a": es, "b": NQ, "c": es}, idle("abc"), orders=orders)

    found = turned_away(result)

    assert found.to_dict() == {
        "desk_positions": {"a": 2, "b": 0, "c": 0},
        "group_risk": {"a": 0, "b": 1, "c": 0},
    }
    assert turned_away(desk_result({"a": es}, {"a": [0.0]})).shape == (1, 0)


def test_opposed_positions_counts_pairs_that_were_surely_held_at_once(es: Instrument) -> None:
    def held(name: str, side: int, entry: str, exit_: str) -> dict:
        return {"book": name, **trade(f"2024-01-02 {entry}", f"2024-01-02 {exit_}", 1.0, side=side)}

    trades = [
        held("a", 1, "15:00", "16:00"),
        held("b", -1, "15:30", "15:30"),  # within the long
        held("b", -1, "16:00", "17:00"),  # entered in the bar in which the long left: perhaps after it
        held("a", 1, "16:30", "18:00"),
        held("nasdaq", -1, "15:00", "18:00"),  # another symbol
        held("b", 1, "19:00", "20:00"),
        held("a", -1, "19:30", "21:00"),
    ]
    result = desk_result({"a": es, "b": es, "nasdaq": NQ}, idle(["a", "b", "nasdaq"]), trades=trades)

    found = opposed_positions(result)

    day = pd.Timestamp("2024-01-02")
    assert found.to_numpy().tolist() == [["ES", "a", "b", 2, day], ["ES", "b", "a", 1, day]]


def test_opposed_positions_of_different_contracts_or_of_nobody_are_none(es: Instrument) -> None:
    trades = [
        {"book": "a", **trade("2024-01-02 15:00", "2024-01-02 16:00", 1.0, side=1)},
        {"book": "b", **trade("2024-01-02 15:00", "2024-01-02 16:00", 1.0, side=-1, contract="ESM24")},
    ]
    books = {"a": es, "b": es}

    assert opposed_positions(desk_result(books, idle("ab"), trades=trades)).empty
    assert opposed_positions(desk_result(books, idle("ab"))).empty


def test_beside_alone_shows_what_the_desk_took_from_each_book(es: Instrument) -> None:
    bars = session_bars([DIP, (B + 2, B + 41, B + 1, B + 40)])
    books = [BookOrders(name, es, bars, book(LONG)) for name in ("first", "second")]
    desk = Desk(max_positions=1)

    found = beside_alone(simulate_desk(books, desk), simulate_alone(books, desk))

    assert found[["trades_alone", "trades", "pnl_alone", "pnl", "missed", "missed_pnl"]].to_numpy().tolist() == [
        [1, 1, 490, 490, 0, 0],
        [1, 0, 490, 0, 1, 490],
    ]
    assert found[["sharpe_ratio_alone", "sharpe_ratio"]].isna().all(axis=None)  # one session


def test_beside_alone_on_other_orders_is_refused_by_name(es: Instrument) -> None:
    bars = session_bars([DIP, STAY])
    one = BookOrders("one", es, bars, book(LONG))
    other = simulate(bars, book(LONG, LONG), es, Desk().account_of(one))

    with pytest.raises(DataError, match="book one alone has 2 orders"):
        beside_alone(simulate_desk([one], Desk()), {"one": other})
