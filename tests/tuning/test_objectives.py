"""Objectives: exact values on small samples, and what they say of trials that traded nothing."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis, skew

from pipeline.errors import ConfigurationError
from pipeline.performance import probabilistic_sharpe_ratio
from pipeline.tuning.objectives import OBJECTIVES, Evidence, directions, find_objective, money_by_day, values_of


def _evidence(money: list[float], periods_per_year: float = 252, log_loss: float | None = None) -> Evidence:
    return Evidence(
        pd.Series(money, pd.date_range("2024-01-01", periods=len(money)), dtype=float), periods_per_year, log_loss
    )


def test_net_and_drawdown_of_a_few_sessions_are_exact() -> None:
    evidence = _evidence([-50.0, 100.0, 0.0, -30.0, -40.0, 90.0])
    assert values_of(("net", "drawdown"), evidence) == (70.0, 70.0)
    assert values_of(("net",), evidence) == 70.0


def test_drawdown_counts_from_the_start() -> None:
    assert values_of(("drawdown",), _evidence([-50.0, -10.0, 20.0])) == 60.0
    assert values_of(("drawdown",), _evidence([5.0, 10.0])) == 0.0


def test_log_loss_is_the_evidence_s_and_refused_without() -> None:
    assert values_of(("log_loss",), _evidence([1.0], log_loss=0.6)) == 0.6
    with pytest.raises(ConfigurationError, match="log_loss needs probabilities"):
        values_of(("log_loss",), _evidence([1.0]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=5, max_size=60).filter(lambda money: np.std(money) > 1e-3))
def test_sharpe_low_is_where_the_probabilistic_ratio_s_interval_ends(money: list[float]) -> None:
    values = np.array(money)
    ratio = values.mean() / values.std(ddof=1)
    inside = 1 - skew(values) * ratio + (kurtosis(values, fisher=False) - 1) / 4 * ratio**2
    expected = (ratio - 1.959963984540054 * math.sqrt(max(inside, 0) / (len(values) - 1))) * math.sqrt(365)
    low = values_of(("sharpe_low",), _evidence(money, 365))
    assert isinstance(low, float)
    assert low == pytest.approx(expected, rel=1e-6, abs=1e-6)
    if inside > 1e-6:
        # The ratio is above its interval's lower end with a probability of 97.5 %.
        chance = probabilistic_sharpe_ratio(values, benchmark=low / math.sqrt(365))
        assert chance == pytest.approx(0.975, abs=1e-6)


def test_sharpe_low_does_not_depend_on_the_size_of_a_contract() -> None:
    money = [10.0, -5.0, 0.0, 7.0, -2.0]
    ten = [10 * value for value in money]
    assert values_of(("sharpe_low",), _evidence(money)) == pytest.approx(values_of(("sharpe_low",), _evidence(ten)))


def test_sharpe_low_of_idleness_lies_between_profit_and_loss_and_is_finite() -> None:
    idle = values_of(("sharpe_low",), _evidence([0.0] * 101))
    assert idle == pytest.approx(-1.959963984540054 * math.sqrt(252 / 100))
    generator = np.random.default_rng(0)
    noise = generator.normal(size=101)
    noise -= noise.mean()
    gain = values_of(("sharpe_low",), _evidence(list(noise + 0.5)))
    loss = values_of(("sharpe_low",), _evidence(list(noise - 0.5)))
    assert isinstance(loss, float)
    assert isinstance(gain, float)
    assert isinstance(idle, float)
    assert loss < idle < gain
    for few in ([], [3.0]):
        low = values_of(("sharpe_low",), _evidence(few))
        assert isinstance(low, float)
        assert math.isfinite(low)


def test_directions_of_each_and_of_several() -> None:
    assert directions(("net", "drawdown")) == ("maximize", "minimize")
    assert {name: each.direction for name, each in OBJECTIVES.items()} == {
        "log_loss": "minimize",
        "net": "maximize",
        "sharpe_low": "maximize",
        "drawdown": "minimize",
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no objective to tune for; name one of log_loss, net, sharpe_low, drawdown"),
        (("net", "net"), "contain a duplicate"),
        (("profit",), "no objective 'profit'; .*log_loss, net, sharpe_low, drawdown"),
    ],
)
def test_directions_of_impossible_names_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        directions(names)


def test_find_objective_gives_its_unit() -> None:
    assert find_objective("net").unit == "$"


def test_money_by_day_has_idle_weekdays_and_sums_a_day() -> None:
    # Friday twice, Tuesday once, not taken on Monday; Saturday by an odd clock.
    decided = pd.DatetimeIndex(
        ["2024-03-08 21:00", "2024-03-05 21:00", "2024-03-08 21:00", "2024-03-11 21:00", "2024-03-09 01:00"], tz="UTC"
    )
    net = np.array([10.0, 4.0, -3.0, 99.0, 1.0])
    taken = np.array([True, True, True, False, True])
    money = money_by_day(decided, net, taken)
    assert money.index.strftime("%m-%d").tolist() == ["03-05", "03-06", "03-07", "03-08", "03-09", "03-11"]
    assert money.tolist() == [4.0, 0.0, 0.0, 7.0, 1.0, 0.0]
    every = money_by_day(decided, net, taken, periods_per_year=365)
    assert every.index.strftime("%m-%d").tolist()[-3:] == ["03-09", "03-10", "03-11"]
    assert every.sum() == money.sum() == 12.0


def test_money_by_day_of_no_candidate_is_empty() -> None:
    assert len(money_by_day(pd.DatetimeIndex([], tz="UTC"), np.empty(0), np.empty(0, bool))) == 0
