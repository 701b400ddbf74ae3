import json
import math

import numpy as np
import pandas as pd
import pytest

from pipeline.market import load_instruments
from pipeline.performance import (
    HEADLINE_METRICS,
    format_interval,
    format_value,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    summary,
    summary_to_dict,
    verdict,
)
from tests.performance.results import four_sessions, order, result, trade

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning", "error::UserWarning")


def _nothing(es, sessions: int = 0):
    dates = pd.bdate_range("2024-01-02", periods=sessions, name="session")
    bars = pd.DatetimeIndex(dates + pd.Timedelta(hours=16), name="timestamp").tz_localize("UTC")
    equity = pd.Series(100_000.0, index=bars)
    return result(es, [], [], equity, pd.Series(0.0, index=dates))


def _years(es, count: int = 1800, taken: int = 500):
    random = np.random.default_rng(5)
    dates = pd.bdate_range("2015-01-02", periods=count, name="session")
    days = dates[sorted(random.choice(count, taken, replace=False))].strftime("%Y-%m-%d")
    outcomes = random.choice([490.0, -260.0], taken).tolist()
    rows = [trade(f"{day} 15:00", f"{day} 17:00", pnl) for day, pnl in zip(days, outcomes, strict=True)]
    pnl = pd.Series([row["pnl"] for row in rows], index=[row["session"] for row in rows]).reindex(dates, fill_value=0.0)
    equity = 100_000 + pnl.cumsum()
    daily = equity / np.r_[100_000, equity.to_numpy()[:-1]] - 1
    equity.index = (equity.index + pd.Timedelta(hours=18)).tz_localize("UTC")
    return result(es, rows, [order("2015-01-02", "closed")] * taken, equity, daily)


def test_summary_of_two_trades_matches_hand_computation(es):
    ran = four_sessions(es)
    table = summary(ran)
    value = table["value"]
    assert value["sharpe_ratio"] == sharpe_ratio(ran.daily_returns)
    assert value["probabilistic_sharpe_ratio"] == 100 * probabilistic_sharpe_ratio(ran.daily_returns)
    assert value["total_return"] == pytest.approx(0.23)
    assert value["annual_return"] == pytest.approx(100 * (1.0023**63 - 1))
    assert value["sessions"] == 4
    assert value["trades"] == 2
    assert value["win_rate"] == 50.0
    assert value["profit_factor"] == 490 / 260
    assert value["expectancy"] == 115.0
    assert value["expectancy_r"] == pytest.approx(0.46)
    assert value["average_trade"] == pytest.approx(115 / 12.5)
    assert (value["average_win"], value["average_loss"]) == (490.0, -260.0)
    assert value["time_in_trade"] == 60.0
    assert value["exposure"] == 25.0  # 4 of 16 bars
    assert value["commission"] == 20.0
    notional = 50 * (8000 + 500 / 50 + 8000 - 250 / 50)
    assert value["turnover"] == pytest.approx(notional / ran.equity.mean() * 63)


def test_summary_measures_the_drawdown_on_bars_not_on_session_ends(es):
    table = summary(four_sessions(es))
    assert table.loc["maximum_drawdown", "value"] == pytest.approx(100 * 490 / 100_490)
    assert table.loc["maximum_drawdown_amount", "value"] == 490.0
    assert table.loc["drawdown_length", "value"] == 1.0  # from the peak on the 4th to the end on the 5th
    assert table.loc["drawdown_length", "note"] == "from 2024-01-04, lowest 2024-01-04, not recovered"


def test_summary_drawdown_from_a_bar_outside_the_sessions_is_as_long_as_the_sessions_it_spans():
    spy = load_instruments()["SPY"]
    clock = ["2024-03-05 09:29", "2024-03-05 10:00", "2024-03-06 09:29", "2024-03-06 09:30", "2024-03-07 16:30"]
    bars = pd.DatetimeIndex(clock, tz="America/New_York", name="timestamp").tz_convert("UTC")
    equity = pd.Series([100_000.0, 100_000.0, 100_000.0, 99_000.0, 99_500.0], index=bars)
    sessions = pd.DatetimeIndex(["2024-03-05", "2024-03-06", "2024-03-07"], name="session")
    daily = pd.Series([0.0, -0.01, 0.005], index=sessions)

    table = summary(result(spy, [], [], equity, daily))

    # From before the opening bell of the 6th to after the close of the 7th.
    assert table.loc["drawdown_length", "value"] == 2.0


def test_summary_counts_every_order_by_status_and_reason(es):
    value = summary(four_sessions(es))["value"]
    statuses = [value[f"orders_{s}"] for s in ("closed", "not_reached", "gapped_past_stop", "skipped", "cancelled")]
    assert statuses == [2, 1, 0, 2, 1]
    assert sum(statuses) == value["orders"] == 6
    assert value["skipped: size_zero"] == 2
    assert value["cancelled: no_bars"] == 1
    assert value["ambiguous"] == 1


@pytest.mark.parametrize("sessions", [0, 1, 300])
def test_summary_without_trades_is_nan_with_a_note(es, sessions):
    table = summary(_nothing(es, sessions))
    for name in ("sharpe_ratio", "win_rate", "profit_factor", "expectancy_r"):
        assert math.isnan(table.loc[name, "value"])
        assert table.loc[name, "note"]
    assert table.loc["trades", "value"] == 0
    assert verdict(table) == "No trades, so there is nothing to judge."
    json.dumps(summary_to_dict(table), allow_nan=False)


def test_summary_of_one_trade_has_values_and_no_trade_interval(es):
    ran = four_sessions(es)
    one = result(es, ran.trades.head(1).to_dict("records"), [], ran.equity, ran.daily_returns)
    table = summary(one)
    assert table.loc["win_rate", "value"] == 100.0
    assert table.loc["profit_factor", "value"] == math.inf
    assert math.isnan(table.loc["win_rate", "low"])
    assert "one trade" in table.loc["win_rate", "note"]
    assert summary_to_dict(table)["profit_factor"]["value"] is None


def test_summary_of_one_session_has_no_ratio(es):
    ran = four_sessions(es)
    table = summary(
        result(es, ran.trades.head(1).to_dict("records"), [], ran.equity.head(4), ran.daily_returns.head(1))
    )
    assert math.isnan(table.loc["sharpe_ratio", "value"])
    assert table.loc["sharpe_ratio", "note"] == "1 session(s): not enough"
    assert table.loc["total_return", "value"] == pytest.approx(0.49)


def test_summary_of_years_has_an_interval_around_every_headline_value(es):
    table = summary(_years(es))
    exempt = {"probabilistic_sharpe_ratio", "maximum_drawdown", "trades"}
    for name in set(HEADLINE_METRICS) - exempt:
        row = table.loc[name]
        assert row["low"] < row["value"] < row["high"], name


def test_summary_is_the_same_for_the_same_seed(es):
    ran = _years(es, 300, 60)
    pd.testing.assert_frame_equal(summary(ran, seed=3), summary(ran, seed=3))
    assert not summary(ran, seed=3).equals(summary(ran, seed=4))


def test_summary_in_another_currency_names_it(es):
    assert summary(four_sessions(es), currency="BTC").loc["expectancy", "unit"] == "BTC"


def _judged(low: float, high: float, trades: int = 100) -> str:
    table = pd.DataFrame(
        {"value": [0.3, trades], "low": [low, math.nan], "high": [high, math.nan]}, index=["sharpe_ratio", "trades"]
    )
    return verdict(table)


def test_verdict_follows_the_interval_of_the_sharpe_ratio():
    assert _judged(-0.6, 1.1) == (
        "No evidence of an edge: the 95 % interval of the Sharpe ratio is −0.60 to 1.10, which includes zero."
    )
    assert _judged(0.2, 1.1).startswith("Some evidence of an edge, before any correction")
    assert _judged(-1.2, -0.1).startswith("Evidence of a loss")
    assert _judged(0.2, 1.1, trades=29).startswith("Too few trades to judge (29)")
    assert "no interval" in _judged(math.nan, math.nan)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (12.34, "%", "12.3 %"),
        (-0.001, "%", "0.0 %"),
        (-1234.5, "$", "−$1,234"),
        (12.5, "$", "$12.50"),
        (0.256, "R", "0.26 R"),
        (-0.6, "", "−0.60"),
        (1800, "sessions", "1,800"),
        (math.nan, "$", "–"),
        (math.inf, "", "∞"),
        (-math.inf, "", "−∞"),
        (0.00012, "BTC", "0.00012 BTC"),
    ],
)
def test_format_value_shows_unit_and_sign(value, unit, shown):
    assert format_value(value, unit) == shown


def test_format_interval_of_an_interval_that_does_not_exist_is_empty():
    assert format_interval(math.nan, 1.0, "%") == ""


def test_format_interval_names_percent_once_and_leaves_other_units_to_the_value():
    assert format_interval(-0.6, 1.1, "") == "−0.60 to 1.10"
    assert format_interval(-3.0, 1.5, "%") == "−3.0 to 1.5 %"
    assert format_interval(-3.0, 1500.0, "$") == "−$3.00 to $1,500"
    assert format_interval(-3.0, 1.5, "ticks") == "−3.00 to 1.50"
    assert format_interval(math.nan, math.nan, "") == ""
