"""Desks and books that can't be."""

from typing import Any

import pandas as pd
import pytest

from pipeline.backtest import BookOrders, Desk, PreparedBars, simulate_desk
from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Instrument, load_instruments
from tests.backtest.frames import BASE, book, order, session_bars

BARS = session_bars([(BASE,) * 4] * 2)
ORDERS = book(order(1, BASE, BASE - 20, BASE + 40))
INSTRUMENTS = load_instruments()


def books(*names: str, **more: Any) -> list[BookOrders]:
    return [BookOrders(name, INSTRUMENTS["ES"], BARS, ORDERS, **more) for name in names]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"total_risk": 0.005}, "total_risk is 0.005, less than the 0.01"),
        ({"groups": {"index": {"books": ["a"]}}}, "has no limit"),
        ({"groups": {"index": {"books": [], "max_positions": 1}}}, "books"),
        ({"groups": {"index": {"books": ["a", "a"], "max_positions": 1}}}, "twice"),
        ({"max_positions": 2, "groups": {"index": {"books": ["a"], "max_positions": 3}}}, "group index allows 3"),
        ({"total_risk": 0.02, "groups": {"index": {"books": ["a"], "max_risk": 0.03}}}, "group index allows 0.03"),
        ({"groups": {"index": {"books": ["a"], "max_risk": 0.005}}}, "max_risk of group index is 0.005"),
        ({"groups": {"index": {"books": ["a"], "max_position": 1}}}, "max_positions"),
        ({"max_positions": 0}, "desk setting max_positions"),
        ({"max_contract": 3}, "max_contracts"),
        ({"entry_cutoff": 900}, "clock time"),
        ({"margin_day": 3}, "fraction of notional"),
    ],
)
def test_desk_with_limits_that_conflict_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        Desk(**settings)

    assert "\n" not in str(error.value)


def test_simulate_desk_without_books_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no books"):
        simulate_desk([], Desk())


def test_simulate_desk_two_books_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two books of the desk are called a"):
        simulate_desk(books("a", "b", "a"), Desk())


def test_simulate_desk_group_of_a_book_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="group index has the book c; the desk's are a, b"):
        simulate_desk(books("a", "b"), Desk(groups={"index": {"books": ["a", "c"], "max_positions": 1}}))


@pytest.mark.parametrize("setting", ["max_positions", "max_contracts"])
def test_simulate_desk_book_that_may_more_than_the_desk_is_refused(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=f"book a: {setting} is 3, more than the 2"):
        simulate_desk(books("a", **{setting: 3}), Desk(**{setting: 2}))


def test_simulate_desk_book_in_another_currency_is_refused() -> None:
    bitcoin = BookOrders("coin", INSTRUMENTS["BTCUSDT"], BARS, ORDERS)

    with pytest.raises(ConfigurationError, match=r"book coin trades BTCUSDT, which is quoted in USDT, and .* in \$"):
        simulate_desk([*books("a"), bitcoin], Desk())


def test_simulate_desk_dollars_per_contract_for_two_symbols_are_refused() -> None:
    micro = BookOrders("micro", INSTRUMENTS["MES"], BARS, ORDERS)

    with pytest.raises(ConfigurationError, match=r"margin_day is a table .* ES and MES"):
        simulate_desk([*books("a"), micro], Desk(margin_day={"2020-01-01": 12_000}))


def test_simulate_desk_dollars_per_contract_of_each_book_set_its_margin(es: Instrument) -> None:
    bars = session_bars([(BASE + 8, BASE + 9, BASE - 1, BASE + 2), (BASE + 2,) * 4])
    table = {"2020-01-01": 1_000}
    one = BookOrders("a", es, bars, ORDERS, margin_day=table)

    assert simulate_desk([one], Desk()).margin.iloc[0] == 3 * 1_000


def test_simulate_desk_bars_of_two_symbols_are_refused() -> None:
    mixed = BARS.assign(symbol=["ES", "NQ"])

    with pytest.raises(DataError, match="book a: its bars have rows of NQ, and it trades ES"):
        simulate_desk([BookOrders("a", INSTRUMENTS["ES"], mixed, ORDERS)], Desk())


def test_simulate_desk_bars_of_two_symbols_one_after_the_other_are_refused_without_a_symbol_too() -> None:
    mixed = pd.concat([BARS, BARS], ignore_index=True)

    with pytest.raises(DataError, match="book a: "):
        simulate_desk([BookOrders("a", INSTRUMENTS["ES"], mixed, ORDERS)], Desk())


def test_simulate_desk_bars_prepared_for_another_symbol_are_refused(es: Instrument) -> None:
    with pytest.raises(ConfigurationError, match="book a: the bars were prepared for ES, not for MES"):
        simulate_desk([BookOrders("a", INSTRUMENTS["MES"], PreparedBars(BARS, es), ORDERS)], Desk())


def test_simulate_desk_impossible_order_names_its_book() -> None:
    wrong = ORDERS.assign(stop=ORDERS["entry"] + 5)

    with pytest.raises(DataError, match=r"book b: .*stop"):
        simulate_desk([*books("a"), BookOrders("b", INSTRUMENTS["ES"], BARS, wrong)], Desk())


def test_simulate_desk_impossible_setting_of_a_book_names_it() -> None:
    with pytest.raises(ConfigurationError, match=r"book a: .*max_positions"):
        simulate_desk(books("a", max_positions=0), Desk())
