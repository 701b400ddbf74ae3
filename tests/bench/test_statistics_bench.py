"""Counts of the statistics bench on few series: the kinds are worth nothing, and the figures are shares."""

import numpy as np
import pytest

from bench.statistics import RETURNS, TRADES, coverage, false_passes


@pytest.mark.parametrize("kind", TRADES)
def test_trades_of_each_kind_win_at_their_rate_and_earn_nothing(kind):
    rate, win_rate, results = TRADES[kind]
    sessions = np.arange(200_000) / rate

    multiples = results(np.random.default_rng(1), sessions)

    assert (multiples > 0).mean() == pytest.approx(win_rate, abs=0.02)
    assert multiples.mean() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("kind", RETURNS)
def test_returns_of_each_kind_earn_nothing(kind):
    returns = RETURNS[kind](np.random.default_rng(2), 50_000)

    assert len(returns) == 50_000
    assert returns.mean() == pytest.approx(0, abs=0.05)


def test_coverage_of_regimes_is_that_of_wider_intervals():
    rows = coverage("regimes of 3 months", trades=300, repeat=40, replications=300)

    assert [row["statistic"] for row in rows] == ["win rate", "expectancy", "Sharpe ratio"]
    for row in rows:
        assert row["plain"] <= row["held"] <= 100
        assert row["wider"] > 1.1


def test_false_passes_of_autocorrelated_returns_are_fewer_with_the_correction():
    row = false_passes("autocorrelated 0.3", sessions=500, repeat=400)

    # 5 % of 400 are 20 ± 4.4; the plain formula lets more than 11 % pass.
    assert row["dependent"] < 9 < row["independent"]
