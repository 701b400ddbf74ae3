"""A desk of one book gives what ``simulate`` gives, and books that share no limit what each gives alone, to the bit."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import BookOrders, Desk, PreparedBars, simulate, simulate_desk
from pipeline.market import Instrument, load_instruments, simulate_market
from pipeline.research import run_research
from pipeline.strategies.value_area_fade import ValueAreaFade
from tests.backtest.agreement import assert_same_as_alone

LIMIT_COLUMNS = ["session", "side", "entry", "stop", "target"]


@pytest.fixture(scope="module")
def minutes(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2019-01-02", 60, 5, bar="1min")


@pytest.fixture(scope="module")
def bars(minutes: pd.DataFrame) -> pd.DataFrame:
    columns = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "contract": "first"}
    return minutes.groupby(minutes["timestamp"].dt.floor("5min")).agg(columns).reset_index()


@pytest.fixture(scope="module")
def brackets(bars: pd.DataFrame, es: Instrument) -> pd.DataFrame:
    return run_research(bars, es).results[ValueAreaFade.baseline].orders[LIMIT_COLUMNS]


@pytest.fixture(scope="module")
def managed(brackets: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = len(brackets)

    def some(low: int, high: int) -> np.ndarray:
        return np.where(rng.random(n) < 0.4, rng.integers(low, high, n).astype(float), np.nan)

    given_back = some(20, 80)
    return brackets.assign(
        type=rng.choice(["limit", "limit", "stop"], n),
        target=brackets["target"].where(rng.random(n) < 0.7),
        group=[f"{date}" if rng.random() < 0.5 else None for date in brackets["session"]],
        trail_ticks=some(4, 40),
        breakeven_ticks=some(4, 20),
        give_back_percent=given_back,
        give_back_from_ticks=np.where(np.isnan(given_back), np.nan, 8),
        max_bars=some(2, 40),
    )


@pytest.mark.parametrize("kind", ["brackets", "managed"])
@pytest.mark.parametrize("settings", [{}, {"hold_overnight": True}, {"entry_cutoff": "11:00", "slippage_ticks": 2}])
@pytest.mark.parametrize("more", [{}, {"max_positions": 3, "max_contracts": 2}, {"hours": "eth"}])
def test_simulate_desk_one_book_gives_what_simulate_gives_to_the_bit(
    kind: str,
    settings: dict[str, Any],
    more: dict[str, Any],
    bars: pd.DataFrame,
    es: Instrument,
    request: pytest.FixtureRequest,
) -> None:
    orders = request.getfixturevalue(kind)
    desk = Desk(risk_per_trade=0.02, **settings)
    one = BookOrders("only", es, bars, orders, **more)

    alone = simulate(bars, orders, es, desk.account_of(one), hours=one.hours)

    assert len(alone.trades) > 20
    assert_same_as_alone(simulate_desk([one], desk), alone)


def test_simulate_desk_one_book_on_finer_bars_gives_what_simulate_gives(
    bars: pd.DataFrame, minutes: pd.DataFrame, managed: pd.DataFrame, es: Instrument
) -> None:
    near = managed.assign(
        target=managed["entry"] + managed["side"] * 1.5, stop=managed["entry"] - managed["side"] * 1.5
    )
    one = BookOrders("only", es, bars, near, intrabar_bars=minutes)

    alone = simulate(bars, near, es, Desk().account_of(one), intrabar_bars=minutes)

    assert alone.trades["ambiguous"].sum() < simulate(bars, near, es, Desk().account_of(one)).trades["ambiguous"].sum()
    assert_same_as_alone(simulate_desk([one], Desk()), alone)


def test_simulate_desk_one_book_with_margin_calls_gives_what_simulate_gives(
    bars: pd.DataFrame, brackets: pd.DataFrame, es: Instrument
) -> None:
    wide = brackets.assign(stop=brackets["entry"] - brackets["side"] * 100, target=np.nan, quantity=1)
    price = brackets["entry"].max() * 50
    desk = Desk(initial_capital=0.1 * price, hold_overnight=True, margin_day=0.09, margin_overnight=0.099)
    one = BookOrders("only", es, bars, wide)

    alone = simulate(bars, wide, es, desk.account_of(one))

    assert (alone.trades["exit_reason"] == "margin_call").any()
    assert_same_as_alone(simulate_desk([one], desk), alone)


def fixed_books(bars: pd.DataFrame, managed: pd.DataFrame, brackets: pd.DataFrame, es: Instrument) -> list[BookOrders]:
    """Books of different symbols and hours, whose sizes don't depend on money."""
    mes = load_instruments()["MES"]
    sparse = bars.iloc[::3].reset_index(drop=True)
    return [
        BookOrders("managed", es, PreparedBars(bars, es), managed.assign(quantity=2)),
        BookOrders("micro", mes, sparse, brackets.assign(quantity=3), hours="eth"),
        BookOrders("brackets", es, bars, brackets.assign(quantity=1)),
    ]


def test_simulate_desk_books_that_share_no_limit_trade_as_each_does_alone(
    bars: pd.DataFrame, managed: pd.DataFrame, brackets: pd.DataFrame, es: Instrument
) -> None:
    desk = Desk(initial_capital=1e7)
    books = fixed_books(bars, managed, brackets, es)

    result = simulate_desk(books, desk)

    for one in books:
        alone = simulate(one.bars, one.orders, one.instrument, desk.account_of(one), hours=one.hours)
        mine = result.trades[result.trades["book"] == one.name]
        shared = [name for name in alone.trades.columns if name != "contract"]
        pd.testing.assert_frame_equal(mine[shared].reset_index(drop=True), alone.trades[shared], check_exact=True)
        ends = result.orders.loc[result.orders["book"] == one.name, ["status", "reason"]]
        pd.testing.assert_frame_equal(ends, alone.orders[["status", "reason"]])
        expected = alone.session_equity.diff().fillna(alone.session_equity - 1e7)
        np.testing.assert_allclose(result.daily_pnl[one.name], expected, rtol=0, atol=1e-6)
    gained = result.session_equity - 1e7
    np.testing.assert_allclose(result.daily_pnl.sum(axis=1).cumsum(), gained, rtol=0, atol=1e-6)


def test_simulate_desk_order_of_books_that_share_no_limit_changes_nothing(
    bars: pd.DataFrame, managed: pd.DataFrame, brackets: pd.DataFrame, es: Instrument
) -> None:
    desk = Desk(initial_capital=1e7)
    books = fixed_books(bars, managed, brackets, es)
    names = [one.name for one in books]

    forward, backward = simulate_desk(books, desk), simulate_desk(books[::-1], desk)

    for name in names:
        forth, back = (run.trades[run.trades["book"] == name].reset_index(drop=True) for run in (forward, backward))
        pd.testing.assert_frame_equal(forth, back, check_exact=True)
    np.testing.assert_allclose(forward.equity, backward.equity, rtol=0, atol=1e-6)
    np.testing.assert_allclose(forward.daily_pnl[names], backward.daily_pnl[names], rtol=0, atol=1e-6)


def test_simulate_desk_bars_to_come_change_nothing_that_came_before(
    bars: pd.DataFrame, managed: pd.DataFrame, brackets: pd.DataFrame, es: Instrument
) -> None:
    # What the desk did until a session's end is the same when nothing after it is there.
    desk = Desk(max_positions=2, total_risk=0.02)
    books = [
        dataclasses.replace(one, orders=one.orders.drop(columns="quantity"))
        for one in fixed_books(bars, managed, brackets, es)
    ]
    until = bars["timestamp"].dt.normalize().unique()[40]

    whole = simulate_desk(books, desk)
    cut = simulate_desk(
        [
            dataclasses.replace(one, bars=given[given["timestamp"] < until].reset_index(drop=True))
            for one, given in zip(books, (bars, bars.iloc[::3], bars), strict=True)
        ],
        desk,
    )

    same = cut.session_equity.index[:-1]  # the last is cut
    assert len(same) > 25
    assert whole.orders["reason"].isin(["desk_positions", "desk_risk"]).any()
    pd.testing.assert_series_equal(cut.session_equity[same], whole.session_equity[same], check_exact=True)
    done = whole.trades["session"].isin(same)
    columns = ["book", "quantity", "entry_time", "exit_time", "exit_price", "pnl"]
    pd.testing.assert_frame_equal(
        cut.trades.loc[cut.trades["session"].isin(same), columns], whole.trades.loc[done, columns], check_exact=True
    )
