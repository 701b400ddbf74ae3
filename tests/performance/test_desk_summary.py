"""The summary of a desk: one book gives what ``simulate`` gives, several instruments count by their own ticks."""

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import BookOrders, Desk, simulate, simulate_desk
from pipeline.market import Instrument, load_instruments, simulate_market
from pipeline.performance import summary
from pipeline.research import run_research
from pipeline.strategies.value_area_fade import ValueAreaFade
from tests.backtest.frames import BASE, book, order, session_bars

B = BASE  # 4,000 points
DIP = (B + 8, B + 9, B - 1, B + 2)  # fills a long at B inside the bar
UP = (B + 2, B + 41, B + 1, B + 40)  # reaches a target of B + 40
LONG = order(1, B, B - 20, B + 40, quantity=1)
MES = load_instruments()["MES"]


@pytest.mark.parametrize("kind", ["limit", "stop"])
def test_summary_one_book_on_a_desk_is_that_of_simulate_to_the_bit(es: Instrument, kind: str) -> None:
    bars = simulate_market(es, "2019-01-02", 80, 5, bar="5min")
    orders = run_research(bars, es).results[ValueAreaFade.baseline].orders.drop(columns=["status", "reason"])
    if kind == "stop":
        orders = orders.assign(type=np.where(np.arange(len(orders)) % 2, "stop", "limit"))
    desk = Desk(risk_per_trade=0.02)
    one = BookOrders("only", es, bars, orders)

    alone = summary(simulate(bars, orders, es, desk.account_of(one)))
    together = summary(simulate_desk([one], desk))

    assert alone.loc["trades", "value"] >= 30
    pd.testing.assert_frame_equal(together, alone, check_exact=True)


def test_summary_several_instruments_counts_each_by_its_own_tick_and_point(es: Instrument) -> None:
    bars = session_bars([DIP, UP, (B + 40,) * 4])
    loses = {**LONG, "stop": (B - 20) / 4, "target": (B + 400) / 4, "quantity": 10}
    books = [BookOrders("big", es, bars, book(LONG)), BookOrders("small", MES, bars, book(loses))]

    found = summary(simulate_desk(books, Desk()))["value"]

    # ES leaves at its target, 40 ticks up; MES at the last close, B + 40 less one tick.
    assert found["commission"] == 110
    assert found["pnl"] == 490 + 387.50
    assert found["slippage"] == 1 * 10 * 1.25
    assert found["average_trade"] == pytest.approx((490 / 12.5 + 387.5 / 12.5) / 2)
    assert found["pnl_ticks"] == pytest.approx((490 + 387.5) / (12.5 + 10 * 1.25))
    notional = 50 * (4_000 + 4_010) + 5 * 10 * (4_000 + 4_009.75)
    assert found["turnover"] == pytest.approx(notional / simulate_desk(books, Desk()).equity.mean() * 252)
    assert found["trades"] == 2
    assert found["orders_closed"] == 2


def test_summary_of_a_desk_without_orders_has_no_trades_and_no_drawdown(es: Instrument) -> None:
    bars, none = session_bars([DIP, UP]), book(LONG).iloc[:0]
    books = [BookOrders("a", es, bars, none), BookOrders("b", MES, bars, none)]

    found = summary(simulate_desk(books, Desk()))

    assert found.loc[["trades", "total_return", "maximum_drawdown", "pnl"], "value"].tolist() == [0, 0, 0, 0]
    assert np.isnan(found.loc["sharpe_ratio", "value"])
