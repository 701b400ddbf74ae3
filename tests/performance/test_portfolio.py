"""Hand-computed figures of books on a desk."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.market import Instrument, load_instruments
from pipeline.performance import summary
from pipeline.performance.portfolio import (
    book_summary,
    contribution,
    correlation,
    diversification,
    drawdown_parts,
    session_drawdowns,
    shared_correlation,
)
from tests.performance.desks import CAPITAL, desk_result
from tests.performance.results import trade

NQ = load_instruments()["NQ"]
UP = [10.0, 0.0, -4.0, 2.0]
DOWN = [-2.0, 4.0, 0.0, 2.0]


@pytest.fixture
def two(es: Instrument):
    trades = [
        {"book": "a", **trade("2024-01-02 15:00", "2024-01-02 15:00", 10.0, commission=1.0)},
        {"book": "b", **trade("2024-01-02 15:00", "2024-01-02 15:00", -2.0, commission=0.5, quantity=2)},
        {"book": "a", **trade("2024-01-04 15:00", "2024-01-04 15:00", -4.0, commission=1.0)},
    ]
    return desk_result({"a": es, "b": NQ}, {"a": UP, "b": DOWN}, trades=trades)


def test_contribution_two_books_sum_to_the_desk(two) -> None:
    found = contribution(two)

    assert found["trades"].tolist() == [2, 1]
    assert found["pnl"].tolist() == [8, 4]
    assert found["pnl_share"].tolist() == [pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert found["commission"].tolist() == [2, 0.5]
    assert found["worst_session"].tolist() == [-4, -2]
    assert found["best_session"].tolist() == [10, 4]
    # Means are 2 and 1; squares about them 64 + 4 + 36 + 0 = 104 and 9 + 9 + 1 + 1 = 20.
    assert found["deviation"].tolist() == [pytest.approx(math.sqrt(104 / 3)), pytest.approx(math.sqrt(20 / 3))]
    assert found["sharpe_ratio"].tolist() == [
        pytest.approx(2 / math.sqrt(104 / 3) * math.sqrt(252)),
        pytest.approx(1 / math.sqrt(20 / 3) * math.sqrt(252)),
    ]
    # Desk's P&L 8, 4, −4, 4 about 3: 25 + 1 + 49 + 1 = 76. Products with a's: 8·5 − 2·1 − 6·−7 + 0·1 = 80.
    assert found["risk_share"].tolist() == [pytest.approx(80 / 76), pytest.approx(-4 / 76)]
    assert found["risk_share"].sum() == pytest.approx(1)


def test_correlation_two_books_is_pearsons_and_of_a_constant_one_unknown(es: Instrument) -> None:
    days = desk_result({"a": es, "b": NQ, "idle": es}, {"a": UP, "b": DOWN, "idle": [0.0] * 4}).daily_pnl

    found = correlation(days)

    # Products about the means 8·−3 − 2·3 − 6·−1 + 0·1 = −24.
    assert found.loc["a", "b"] == pytest.approx(-24 / math.sqrt(104 * 20))
    assert found.loc["a", "a"] == 1
    assert found.loc["idle"].isna().all()


def test_shared_correlation_counts_only_sessions_in_which_both_made_or_lost_money(es: Instrument) -> None:
    a, b = [1.0, 2.0, 3.0, 0.0, 9.0], [3.0, 2.0, 1.0, 5.0, 0.0]

    found = shared_correlation(desk_result({"a": es, "b": NQ}, {"a": a, "b": b}).daily_pnl)

    assert found.sessions.to_numpy().tolist() == [[4, 3], [3, 4]]
    assert found.coefficients.loc["a", "b"] == pytest.approx(-1)
    assert correlation(pd.DataFrame({"a": a, "b": b})).loc["a", "b"] == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_shared_correlation_of_two_sessions_is_unknown(two) -> None:
    found = shared_correlation(two.daily_pnl)

    assert found.sessions.loc["a", "b"] == 2
    assert math.isnan(found.coefficients.loc["a", "b"])


def test_diversification_two_books_is_the_desks_deviation_over_the_sum(two) -> None:
    found = diversification(two.daily_pnl)

    assert found.deviation == pytest.approx(math.sqrt(76 / 3))
    assert found.summed == pytest.approx(math.sqrt(104 / 3) + math.sqrt(20 / 3))
    assert found.uncorrelated == pytest.approx(math.sqrt(124 / 3))
    assert found.ratio == pytest.approx(math.sqrt(76) / (math.sqrt(104) + math.sqrt(20)))
    assert found.uncorrelated_ratio == pytest.approx(math.sqrt(124) / (math.sqrt(104) + math.sqrt(20)))


def test_contribution_and_diversification_of_books_in_step_have_no_benefit(es: Instrument) -> None:
    result = desk_result({"a": es, "b": NQ}, {"a": UP, "b": [3 * each for each in UP]})

    assert diversification(result.daily_pnl).ratio == pytest.approx(1)
    assert contribution(result)["risk_share"].tolist() == [pytest.approx(0.25), pytest.approx(0.75)]


def test_contribution_of_books_that_cancel_each_other_has_no_shares(es: Instrument) -> None:
    result = desk_result({"a": es, "b": NQ}, {"a": UP, "b": [-each for each in UP]})

    assert contribution(result)[["pnl_share", "risk_share"]].isna().all(axis=None)
    assert diversification(result.daily_pnl).ratio == 0


def test_contribution_one_book_has_all_of_the_profit_and_the_risk(es: Instrument) -> None:
    found = contribution(desk_result({"a": es}, {"a": UP})).loc["a"]

    assert found[["pnl_share", "risk_share"]].tolist() == [1, pytest.approx(1)]


@pytest.mark.parametrize("days", [[], [0.0], [0.0, 0.0, 0.0]])
def test_portfolio_without_trades_has_zeros_and_unknowns_and_no_drawdown(es: Instrument, days: list[float]) -> None:
    result = desk_result({"a": es, "b": NQ}, {"a": days, "b": days})

    found = contribution(result)
    assert found[["trades", "pnl", "commission"]].to_numpy().tolist() == [[0, 0, 0], [0, 0, 0]]
    assert found[["pnl_share", "sharpe_ratio", "risk_share"]].isna().all(axis=None)
    assert math.isnan(diversification(result.daily_pnl).ratio)
    assert correlation(result.daily_pnl).isna().all(axis=None)
    falls = session_drawdowns(result)
    assert falls.empty
    assert drawdown_parts(result, falls).shape == (0, 2)
    alone = book_summary(result, "a")
    assert alone.loc[["trades", "pnl", "maximum_drawdown_amount"], "value"].tolist() == [0, 0, 0]
    assert math.isnan(alone.loc["sharpe_ratio", "value"])


def test_contribution_one_session_has_pnl_and_no_ratios(es: Instrument) -> None:
    result = desk_result({"a": es, "b": NQ}, {"a": [30.0], "b": [-10.0]})

    found = contribution(result)

    assert found["pnl_share"].tolist() == [1.5, -0.5]
    assert found[["deviation", "sharpe_ratio", "risk_share"]].isna().all(axis=None)


def test_session_drawdowns_split_each_fall_among_the_books(es: Instrument) -> None:
    # Equity 990, 970, 1,010, 1,000, 960, 1,020: the first fall begins with the capital, the second at 1,010.
    a, b = [-10.0, -30.0, 20.0, 0.0, -50.0, 60.0], [0.0, 10.0, 20.0, -10.0, 10.0, 0.0]
    result = desk_result({"a": es, "b": NQ}, {"a": a, "b": b})

    falls = session_drawdowns(result)
    parts = drawdown_parts(result, falls)

    days = result.session_equity.index
    assert falls["amount"].tolist() == [50, 30]
    assert falls["depth"].tolist() == [50 / 1_010, 30 / CAPITAL]
    assert falls["start"].tolist() == [days[2], pd.NaT]
    assert falls["trough"].tolist() == [days[4], days[1]]
    assert falls["recovery"].tolist() == [days[5], days[2]]
    assert falls["sessions"].tolist() == [3, 3]
    assert parts.to_numpy().tolist() == [[-50, 0], [-40, 10]]
    assert parts.sum(axis=1).tolist() == [-50, -30]


def test_session_drawdowns_after_the_first_session_begin_there_and_may_not_be_over(es: Instrument) -> None:
    result = desk_result({"a": es}, {"a": [50.0, -105.0, 5.0]})

    fall = session_drawdowns(result).iloc[0]

    assert fall["start"] == result.session_equity.index[0]
    assert pd.isna(fall["recovery"])
    assert fall["sessions"] == 2
    assert drawdown_parts(result, session_drawdowns(result)).to_numpy().tolist() == [[-105]]


def test_portfolio_whose_equity_is_ruined_keeps_its_figures(es: Instrument) -> None:
    result = desk_result({"a": es, "b": NQ}, {"a": [100.0, -1_300.0, 0.0], "b": [0.0, 100.0, -50.0]})

    falls = session_drawdowns(result)

    assert result.session_equity.tolist() == [1_100, -100, -150]
    assert falls["depth"].tolist() == [1_250 / 1_100]
    assert drawdown_parts(result, falls).to_numpy().tolist() == [[-1_300, 50]]
    assert contribution(result)["pnl_share"].tolist() == [pytest.approx(1_200 / 1_150), pytest.approx(-50 / 1_150)]
    assert summary(result).loc["total_return", "value"] == pytest.approx(100 * (1.1 * (-100 / 1_100) - 1))


def test_book_summary_has_the_ratio_of_daily_pnl_and_the_trades_of_the_book(two) -> None:
    found = book_summary(two, "a")

    assert found.loc["sharpe_ratio", "value"] == pytest.approx(2 / math.sqrt(104 / 3) * math.sqrt(252))
    assert found.loc[["sessions", "trades", "pnl", "commission"], "value"].tolist() == [4, 2, 8, 2]
    assert found.loc["maximum_drawdown_amount", "value"] == 4
    assert found.loc[["win_rate", "profit_factor", "expectancy"], "value"].tolist() == [50, 2.5, 3]
    assert found.loc["average_trade", "value"] == pytest.approx((10 - 4) / 2 / 12.5)
    assert book_summary(two, "b").loc["average_trade", "value"] == pytest.approx(-2 / 2 / 5)
    assert found["low"].isna().all()


def test_book_summary_of_many_trades_has_the_interval_of_a_summary_of_those_returns(es: Instrument) -> None:
    # On a capital that hardly changes, P&L and returns have one Sharpe ratio and one interval.
    made = np.random.default_rng(2).normal(0.02, 1, 60).round(2)
    times = pd.bdate_range("2024-01-02", periods=60).strftime("%Y-%m-%d 15:00")
    trades = [{"book": "a", **trade(time, time, pnl)} for time, pnl in zip(times, made / 1e6, strict=True)]
    result = desk_result({"a": es}, {"a": made / 1e6}, trades=trades)

    mine, whole = book_summary(result, "a", seed=4), summary(result, seed=4)

    assert mine.loc["trades", "value"] == 60
    for column in ("value", "low", "high"):
        assert mine.loc["sharpe_ratio", column] == pytest.approx(whole.loc["sharpe_ratio", column], rel=1e-4)
    pd.testing.assert_series_equal(mine.loc["win_rate"], whole.loc["win_rate"])
