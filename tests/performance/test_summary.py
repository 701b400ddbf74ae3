import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import Account, simulate
from pipeline.market import load_instruments
from pipeline.performance import (
    COST_LINES,
    FEWEST_TRADES,
    HEADLINE_METRICS,
    format_estimate,
    format_interval,
    format_line,
    format_value,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    summary,
    summary_to_dict,
    verdict,
)
from tests.performance.results import four_sessions, order, result, trade
from tests.reports.chain import walk

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
    notional = 50 * (8000 + 500 / 50 + 8000 - 250 / 50)
    assert value["turnover"] == pytest.approx(notional / ran.equity.mean() * 63)


def test_summary_leads_from_profit_before_costs_to_net_profit_in_money_and_ticks_a_contract(es):
    trades = [
        trade("2024-01-02 16:00", "2024-01-02 17:00", 490.0),  # 500 by price, at its target: no slippage
        trade("2024-01-03 16:00", "2024-01-03 17:00", -260.0, quantity=2, commission=20.0),  # a stop of two contracts
        trade("2024-01-04 16:00", "2024-01-04 17:00", 90.0, exit_reason="close"),
        trade("2024-01-05 16:00", "2024-01-05 17:00", -10.0, exit_reason="margin_call"),
    ]
    ran = four_sessions(es)

    value = summary(result(es, trades, [], ran.equity, ran.daily_returns))["value"]

    assert value["pnl"] == 310.0
    assert value["commission"] == 50.0
    assert value["pnl_before_commission"] == 360.0
    assert value["slippage"] == 50.0  # one tick of $12.50 on each of 2 + 1 + 1 contracts
    assert value["pnl_before_costs"] == 410.0
    ticks = [value[f"{name}_ticks"] for name in COST_LINES]
    assert ticks == [410 / 62.5, 50 / 62.5, 360 / 62.5, 50 / 62.5, 310 / 62.5]  # 5 contracts of $12.50 a tick


def test_summary_slippage_is_what_the_same_orders_cost_more_with_it(es):
    bars = walk(es)
    closes = bars.groupby(bars["timestamp"].dt.date)["close"].last().iloc[:-1]
    orders = pd.DataFrame(
        {
            "session": pd.DatetimeIndex(sorted(bars["timestamp"].dt.date.unique())[1:]),
            "side": np.where(np.arange(len(closes)) % 2, 1, -1),
            "entry": closes.to_numpy(),
            "quantity": 1,
        }
    )
    orders["stop"] = orders["entry"] - 20 * orders["side"]
    orders["target"] = orders["entry"] + 20 * orders["side"]

    without, paid = (summary(simulate(bars, orders, es, Account(slippage_ticks=ticks)))["value"] for ticks in (0, 3))

    assert paid["trades"] == without["trades"] > FEWEST_TRADES
    assert without["slippage"] == 0.0
    assert paid["slippage"] == without["pnl"] - paid["pnl"] > 0
    assert paid["pnl_before_costs"] == without["pnl_before_costs"]


def test_summary_average_trade_and_expectancy_of_sizes_that_vary_differ_in_sign_and_say_why(es):
    trades = [
        trade("2024-01-02 16:00", "2024-01-02 17:00", 500.0),  # 40 ticks of one contract
        trade("2024-01-04 16:00", "2024-01-04 17:00", -1000.0, quantity=4),  # 20 ticks of four
    ]
    ran = four_sessions(es)
    table = summary(result(es, trades, [], ran.equity, ran.daily_returns))
    assert table.loc["average_trade", "value"] == 10.0
    assert table.loc["expectancy", "value"] == -250.0
    assert table.loc["pnl_ticks", "value"] == -8.0
    assert "each trade counts once here, in money larger positions weigh more" in table.loc["average_trade", "note"]


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


def test_summary_of_one_trade_has_values_and_no_interval_at_all(es):
    ran = four_sessions(es)
    one = result(es, ran.trades.head(1).to_dict("records"), [], ran.equity, ran.daily_returns)
    table = summary(one)
    assert table.loc["win_rate", "value"] == 100.0
    assert table.loc["profit_factor", "value"] == math.inf
    assert table[["low", "high"]].isna().all(axis=None)
    assert table.loc["win_rate", "note"].endswith("too few trades (1) for an interval")
    assert table.loc["profit_factor", "note"].endswith("no losing trade")
    assert table.loc["average_win", "note"] == "1 trade"
    assert table.loc["average_loss", "note"] == "no trades"
    assert summary_to_dict(table)["profit_factor"]["value"] is None


def test_summary_of_one_session_has_no_ratio(es):
    ran = four_sessions(es)
    table = summary(
        result(es, ran.trades.head(1).to_dict("records"), [], ran.equity.head(4), ran.daily_returns.head(1))
    )
    assert math.isnan(table.loc["sharpe_ratio", "value"])
    assert table.loc["sharpe_ratio", "note"] == "daily returns of all sessions × √252; 1 session, not enough"
    assert table.loc["total_return", "value"] == pytest.approx(0.49)


@pytest.mark.parametrize("trades", [FEWEST_TRADES - 1, FEWEST_TRADES])
def test_summary_gives_intervals_and_a_probability_from_the_least_number_of_trades_on(es, trades):
    ran = _years(es, 300, trades)
    table = summary(ran)
    enough = trades >= FEWEST_TRADES
    assert table.loc["sharpe_ratio", "value"] == sharpe_ratio(ran.daily_returns)
    for name in ("sharpe_ratio", "sortino_ratio", "total_return", "win_rate", "expectancy"):
        assert table.loc[name, ["low", "high"]].notna().all() == enough
        assert (f"too few trades ({trades}) for an interval" in table.loc[name, "note"]) != enough
    probability = table.loc["probabilistic_sharpe_ratio"]
    assert (probability["value"] == 100 * probabilistic_sharpe_ratio(ran.daily_returns, dependent=True)) == enough
    assert ("too few trades (29) for a probability" in probability["note"]) != enough
    assert verdict(table).startswith("Too few trades to judge (29)") != enough


def test_summary_of_years_has_an_interval_around_every_headline_value(es):
    table = summary(_years(es))
    exempt = {"probabilistic_sharpe_ratio", "maximum_drawdown", "trades", *COST_LINES}
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
    assert _judged(0.2, 1.1, trades=29) == "Too few trades to judge (29): an interval needs at least 30."
    assert _judged(math.nan, math.nan, trades=1).startswith("Too few trades to judge (1)")
    assert "no interval" in _judged(math.nan, math.nan)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (12.34, "%", "12.3 %"),
        (-0.001, "%", "0.0 %"),
        (-1234.5, "$", "−$1,235"),
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
    assert format_interval(-3.0, 1500.0, "$") == "−$3 to $1,500"
    assert format_interval(-3.0, 1.5, "ticks") == "−3.00 to 1.50"
    assert format_interval(math.nan, math.nan, "") == ""


def test_format_interval_of_a_value_has_its_decimals():
    assert format_interval(-3.0, 1500.0, "$", value=-49.7) == "−$3.00 to $1,500.00"
    assert format_interval(-3.0, 1500.0, "$", value=1200.0) == "−$3 to $1,500"
    assert format_interval(90.126, 250.4, "", value=140.2) == "90 to 250"
    assert format_interval(-0.0004, 0.0012, "BTC", value=0.00012) == "−0.00040 to 0.00120"
    assert format_interval(0.71, math.inf, "", value=math.inf) == "0.71 to ∞"


def test_summary_streaks_count_trades_in_the_order_they_ended(es):
    outcomes = [100.0, -50.0, -50.0, 0.0, -50.0, 100.0, 100.0, 100.0, -50.0]
    trades = [trade(f"2024-01-02 {10 + k}:00", f"2024-01-02 {10 + k}:30", pnl) for k, pnl in enumerate(outcomes)]
    base = four_sessions(es)
    table = summary(result(es, trades[::-1], [], base.equity, base.daily_returns))
    assert table.loc[["longest_winning_streak", "longest_losing_streak"], "value"].tolist() == [3, 2]


def test_summary_calmar_ratio_is_growth_over_maximum_drawdown(es):
    table = summary(four_sessions(es))["value"]
    assert table["calmar_ratio"] == pytest.approx(table["annual_return"] / table["maximum_drawdown"])
    idle = replace(four_sessions(es), equity=pd.Series(100_000.0, index=four_sessions(es).equity.index))
    assert np.isnan(summary(idle).loc["calmar_ratio", "value"])


def test_format_estimate_takes_the_decimals_of_the_metric_and_of_the_value():
    line = pd.Series({"value": 0.4886, "low": 0.4391, "high": 0.541, "unit": ""}, name="auc_within_folds")
    assert format_estimate(line) == "0.489 (0.439 to 0.541)"
    money = pd.Series({"value": -57.75, "low": -110.2, "high": 3.03, "unit": "$"}, name=("ES", "expectancy"))
    assert format_line(money) == ("−$57.75", "−$110.20 to $3.03")
    assert format_estimate(money.replace({-110.2: np.nan})) == "−$57.75"
