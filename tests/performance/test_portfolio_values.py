"""A desk's figures as plain values."""

import json

import pytest

from pipeline.backtest import BookOrders, Desk, simulate_alone, simulate_desk
from pipeline.market import Instrument, load_instruments
from pipeline.performance import contribution, portfolio_to_dict, summary, summary_to_dict
from tests.backtest.frames import BASE, book, days, order, session_bars
from tests.performance.desks import desk_result

B = BASE  # 4,000 points
DIP = (B + 8, B + 9, B - 1, B + 2)  # fills a long at B inside the bar
UP = (B + 2, B + 41, B + 1, B + 40)  # reaches a target of B + 40
DOWN = (B + 2, B + 2, B - 30, B - 30)
NQ = load_instruments()["NQ"]


def test_portfolio_to_dict_has_every_figure_as_json_has_it(es: Instrument) -> None:
    two = [{"side": 1, "quantity": 1, "entry": B, "stop": B - 20, "target": B + 40}]
    orders = book(*(order(**each, day=day) for day in ("2021-03-16", "2021-03-17") for each in two))
    bars = days(session_bars([DIP, UP]), session_bars([DIP, DOWN], day="2021-03-17"))
    books = [BookOrders(name, es, bars, orders) for name in ("first", "second")]
    desk = Desk(max_positions=1)
    result = simulate_desk(books, desk)

    found = portfolio_to_dict(result, simulate_alone(books, desk))

    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["summary"] == summary_to_dict(summary(result))
    first, second = found["books"]["first"], found["books"]["second"]
    assert first["summary"]["trades"]["value"] == 2
    assert first["contribution"]["pnl"] == contribution(result).loc["first", "pnl"] == 490 - 272.5
    assert second["turned_away"] == {"desk_positions": 2}
    assert second["alone"]["missed"] == 2
    assert second["alone"]["sharpe_ratio"] is None
    assert found["correlation"]["first"]["second"] is None
    assert found["shared_sessions"]["first"]["first"] == 2
    assert found["diversification"]["ratio"] == pytest.approx(1)
    assert found["drawdowns"] == [
        {
            "start": "2021-03-16",
            "trough": "2021-03-17",
            "recovery": None,
            "depth": pytest.approx(272.5 / 100_490),
            "amount": 272.5,
            "sessions": 1,
            "books": {"first": -272.5, "second": 0},
        }
    ]
    assert found["opposed_positions"] == []
    assert found["margin_use"]["calls"] == 0


def test_portfolio_to_dict_without_orders_has_the_same_keys(es: Instrument) -> None:
    found = portfolio_to_dict(desk_result({"a": es, "b": NQ}, {"a": [0.0], "b": [0.0]}))

    assert json.dumps(found, allow_nan=False)
    assert found["books"]["a"]["turned_away"] == {}
    assert "alone" not in found["books"]["a"]
    assert found["drawdowns"] == []
