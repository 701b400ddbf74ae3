import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.errors import DataError
from pipeline.performance import (
    annual_return,
    drawdown_series,
    expectancy,
    exposure,
    maximum_drawdown,
    profit_factor,
    sharpe_ratio,
    sortino_ratio,
    tail_ratio,
    total_return,
    turnover,
    win_rate,
)
from pipeline.performance.metrics import expected_longest_run, longest_run

RETURNS = [0.01, -0.02, 0.0, 0.03]  # mean 0.005, sum of squares about it 0.0013, negative squares 0.0004


def test_sharpe_ratio_of_four_returns_matches_hand_computation():
    assert sharpe_ratio(RETURNS) == pytest.approx(0.005 / math.sqrt(0.0013 / 3) * math.sqrt(252), rel=1e-14)


def test_sharpe_ratio_around_the_clock_scales_by_root_365():
    assert sharpe_ratio(RETURNS, periods_per_year=365) == pytest.approx(
        sharpe_ratio(RETURNS, periods_per_year=1) * math.sqrt(365)
    )


def test_sharpe_ratio_counts_idle_sessions():
    assert sharpe_ratio([0.01, -0.005, 0.0, 0.0]) < sharpe_ratio([0.01, -0.005])


@pytest.mark.parametrize("returns", [[], [0.01], [0.0, 0.0, 0.0], [0.001] * 7, [0.1, 0.1]])
def test_sharpe_ratio_without_variance_is_nan(returns):
    assert math.isnan(sharpe_ratio(returns))


def test_sharpe_ratio_with_a_missing_return_names_its_place():
    returns = pd.Series([0.01, np.nan], index=pd.DatetimeIndex(["2024-01-02", "2024-01-03"]))
    with pytest.raises(DataError, match=r"1 missing or infinite value.*2024-01-03"):
        sharpe_ratio(returns)


def test_sharpe_ratio_of_two_series_at_once_is_refused():
    with pytest.raises(DataError, match=r"shape \(3, 2\)"):
        sharpe_ratio(pd.DataFrame(np.ones((3, 2))))


def test_sharpe_ratio_of_text_is_refused():
    with pytest.raises(DataError, match="must be numbers"):
        sharpe_ratio(["a", "b"])


def test_sharpe_ratio_of_a_one_column_frame_is_that_of_the_column():
    assert sharpe_ratio(pd.DataFrame({"r": RETURNS})) == sharpe_ratio(RETURNS)


def test_sortino_ratio_of_four_returns_matches_hand_computation():
    assert sortino_ratio(RETURNS) == pytest.approx(0.005 / 0.01 * math.sqrt(252), rel=1e-14)


def test_sortino_ratio_without_a_loss_is_nan():
    assert math.isnan(sortino_ratio([0.01, 0.0, 0.02]))


def test_total_and_annual_return_compound():
    assert total_return([0.1, -0.5, 1.0]) == pytest.approx(0.1)
    assert annual_return([0.1, 0.1], periods_per_year=4) == pytest.approx(1.1**4 - 1)
    assert total_return([]) == 0.0


def test_annual_return_after_losing_all_is_nan():
    assert total_return([-1.0, 0.2]) == -1.0
    assert math.isnan(annual_return([-1.0, 0.2]))
    assert math.isnan(annual_return([]))


def test_tail_ratio_of_101_values_takes_the_exact_percentiles():
    values = np.arange(-40.0, 61.0)  # percentiles 5 and 95 are -35 and 55
    assert tail_ratio(values) == pytest.approx(55 / 35)


@pytest.mark.parametrize("values", [[], np.zeros(50), np.arange(10.0), -np.arange(10.0)])
def test_tail_ratio_without_both_tails_is_nan(values):
    assert math.isnan(tail_ratio(values))


def test_trade_statistics_of_five_trades_match_hand_computation():
    pnl = [490.0, -260.0, 0.0, 240.0, -260.0]
    assert win_rate(pnl) == 0.4
    assert profit_factor(pnl) == 730 / 520
    assert expectancy(pnl) == 42.0


def test_trade_statistics_without_trades_are_nan():
    assert math.isnan(win_rate([]))
    assert math.isnan(profit_factor([]))
    assert math.isnan(expectancy([]))


def test_profit_factor_without_losses_is_infinite_and_with_neither_nan():
    assert profit_factor([1.0, 0.0]) == math.inf
    assert math.isnan(profit_factor([0.0]))


def test_exposure_counts_entry_and_exit_bars_and_overlaps_once():
    bars = pd.date_range("2024-01-02 15:00", periods=10, freq="5min", tz="UTC")
    entries = pd.DatetimeIndex([bars[1], bars[2], bars[9]])
    exits = pd.DatetimeIndex([bars[3], bars[4], bars[9]])
    assert exposure(bars, entries, exits) == 0.5  # bars 1 to 4 and bar 9


def test_exposure_without_bars_is_nan_and_without_trades_zero():
    nothing = pd.DatetimeIndex([], tz="UTC")
    assert math.isnan(exposure(nothing, nothing, nothing))
    assert exposure(pd.date_range("2024-01-02", periods=3, tz="UTC"), nothing, nothing) == 0.0


def test_turnover_divides_by_equity_and_years():
    assert turnover(1_000_000.0, 100_000.0, 2.0) == 5.0
    assert math.isnan(turnover(1.0, 0.0, 1.0))
    assert math.isnan(turnover(1.0, 1.0, 0.0))


def _equity(*values: float) -> pd.Series:
    return pd.Series(values, index=pd.date_range("2024-01-02", periods=len(values), tz="UTC"), dtype=float)


def test_maximum_drawdown_with_recovery_dates_peak_trough_and_recovery():
    equity = _equity(100, 120, 120, 90, 110, 120, 130, 120)
    fall = maximum_drawdown(equity)
    assert (fall.amount, fall.fraction) == (30.0, 0.25)
    assert [fall.start, fall.trough, fall.recovery, fall.end] == list(equity.index[[2, 3, 5, 5]])


def test_maximum_drawdown_not_recovered_ends_with_the_last_bar():
    equity = _equity(100, 80, 90)
    fall = maximum_drawdown(equity)
    assert fall.recovery is None
    assert fall.end == equity.index[-1]


def test_maximum_drawdown_below_initial_capital_from_the_first_bar_counts():
    fall = maximum_drawdown(_equity(90, 95), initial=100.0)
    assert (fall.amount, fall.fraction, fall.start) == (10.0, 0.1, None)


def test_maximum_drawdown_amount_and_fraction_may_be_of_different_falls():
    fall = maximum_drawdown(_equity(100, 60, 1000, 900))
    assert (fall.amount, fall.fraction) == (100.0, 0.4)


def test_maximum_drawdown_of_rising_equity_is_zero_and_of_nothing_nan():
    assert maximum_drawdown(_equity(1, 2, 3)).fraction == 0.0
    assert maximum_drawdown(_equity(1, 2, 3)).start is None
    assert math.isnan(maximum_drawdown(pd.Series([], dtype=float)).fraction)


def test_drawdown_series_of_equity_starting_at_zero_is_refused():
    with pytest.raises(DataError, match="starts at 0"):
        drawdown_series(_equity(0, 1))


def test_drawdown_series_is_the_share_below_the_running_peak():
    assert drawdown_series(_equity(100, 50, 200, 150)).tolist() == [0.0, 0.5, 0.0, 0.25]


finite_returns = arrays(np.float64, st.integers(3, 40), elements=st.integers(-200, 200).map(lambda n: n / 1000))


@given(finite_returns, st.floats(0.01, 100))
def test_ratios_do_not_depend_on_the_scale_of_returns(returns, scale):
    for ratio in (sharpe_ratio, sortino_ratio, tail_ratio):
        assert ratio(returns * scale) == pytest.approx(ratio(returns), nan_ok=True, rel=1e-9, abs=1e-9)


@given(finite_returns, st.randoms(use_true_random=False))
def test_metrics_do_not_depend_on_the_order_of_returns(returns, random):
    shuffled = list(returns)
    random.shuffle(shuffled)
    for metric in (sharpe_ratio, sortino_ratio, tail_ratio, total_return, win_rate, profit_factor, expectancy):
        assert metric(shuffled) == pytest.approx(metric(returns), nan_ok=True, rel=1e-9, abs=1e-9)


@given(finite_returns)
def test_sharpe_ratio_of_mirrored_returns_is_mirrored(returns):
    assert sharpe_ratio(-returns) == pytest.approx(-sharpe_ratio(returns), nan_ok=True)


@given(arrays(np.float64, st.integers(1, 30), elements=st.integers(1, 50).map(float)))
def test_maximum_drawdown_equals_the_worst_pair_of_bars(values):
    pairs = [(values[i] - values[j]) / values[i] for i in range(len(values)) for j in range(i, len(values))]
    assert maximum_drawdown(_equity(*values)).fraction == max(pairs)


def test_expected_longest_run_of_fair_coins_is_near_the_simulated_mean():
    tosses = np.random.default_rng(5).random((4000, 200)) < 0.5
    simulated = np.mean([longest_run(row) for row in tosses])
    assert expected_longest_run(200, 0.5) == pytest.approx(simulated, abs=0.15)


def test_longest_run_of_none_is_zero():
    assert [longest_run([]), longest_run([False]), longest_run([True, True, False, True])] == [0, 0, 2]
