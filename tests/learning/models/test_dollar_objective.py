import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, check_grad

from pipeline.errors import DataError
from pipeline.learning.models.dollar_objective import (
    dollar_curvature,
    dollar_gradient,
    dollar_hessian,
    dollar_loss,
    dollar_scale,
    dollar_start,
)

AMOUNT = st.floats(-1e5, 1e5)
RAW = st.floats(-30, 30)
WEIGHT = st.floats(0.01, 10)


def some_trades(seed: int, rows: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Raw scores, results and weights, and the scale."""
    rng = np.random.default_rng(seed)
    net = rng.standard_t(3, rows) * 400
    weight = rng.uniform(0.1, 2, rows)
    return rng.normal(0, 3, rows), net, weight, dollar_scale(net, weight)


def test_dollar_objective_known_trades_are_exact_by_hand() -> None:
    net, weight = np.array([300.0, -100.0]), np.array([1.0, 3.0])
    raw = np.array([0.0, np.log(3)])  # takes a half of the first and three quarters of the second

    scale = dollar_scale(net, weight)

    assert scale == (1 * 300 + 3 * 100) / 4 == 150
    assert dollar_loss(raw, net, weight, scale) == pytest.approx(-(300 / 2 - 300 * 3 / 4) / 150, abs=1e-15)
    assert dollar_gradient(raw, net, weight, scale) == pytest.approx([-2 / 4, 3 * (2 / 3) * 3 / 16], abs=1e-15)
    assert dollar_hessian(raw, net, weight, scale) == pytest.approx([0, 3 * (2 / 3) * 3 / 16 * -1 / 2], abs=1e-15)
    assert dollar_curvature(raw, net, weight, scale) == pytest.approx([2 / 4, 3 * (2 / 3) * 3 / 16], abs=1e-15)


@pytest.mark.parametrize("seed", range(50))
def test_dollar_gradient_is_the_slope_of_the_loss(seed: int) -> None:
    raw, *rest = some_trades(seed)

    wrong = check_grad(lambda at: dollar_loss(at, *rest), lambda at: dollar_gradient(at, *rest), raw, epsilon=1e-6)

    assert wrong < 1e-5
    # Central differences, row by row, are two orders closer.
    step = 1e-5
    for row in range(len(raw)):
        ahead, behind = raw.copy(), raw.copy()
        ahead[row] += step
        behind[row] -= step
        slope = (dollar_loss(ahead, *rest) - dollar_loss(behind, *rest)) / (2 * step)
        assert dollar_gradient(raw, *rest)[row] == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("seed", range(50))
def test_dollar_hessian_is_the_slope_of_the_gradient_and_diagonal(seed: int) -> None:
    raw, *rest = some_trades(seed, rows=8)

    numeric = approx_fprime(raw, lambda at: dollar_gradient(at, *rest), 1e-7)

    assert numeric == pytest.approx(np.diag(dollar_hessian(raw, *rest)), abs=1e-5)
    step = 1e-5
    central = (dollar_gradient(raw + step, *rest) - dollar_gradient(raw - step, *rest)) / (2 * step)
    assert dollar_hessian(raw, *rest) == pytest.approx(central, rel=1e-6, abs=1e-9)


@given(raw=RAW, net=AMOUNT, weight=WEIGHT)
def test_dollar_curvature_is_positive_and_at_least_the_hessian_in_size(raw: float, net: float, weight: float) -> None:
    at = np.array([raw]), np.array([net]), np.array([weight]), 100.0

    curvature, hessian = dollar_curvature(*at)[0], dollar_hessian(*at)[0]

    assert curvature >= 0
    assert (curvature > 0) == (net * weight / 100 != 0)
    assert abs(hessian) <= curvature * (1 + 1e-12)


@given(rows=st.lists(st.tuples(RAW, AMOUNT, WEIGHT), min_size=1, max_size=20), penalty=st.floats(0, 100))
def test_dollar_leaf_answer_lies_between_all_lost_and_all_won(
    rows: list[tuple[float, float, float]], penalty: float
) -> None:
    raw, net, weight = np.array(rows).T
    gradient, curvature = dollar_gradient(raw, net, weight, 1.0), dollar_curvature(raw, net, weight, 1.0)

    if curvature.sum() + penalty > 0:
        assert -1 - 1e-12 <= -gradient.sum() / (curvature.sum() + penalty) <= 1 + 1e-12


@given(
    rows=st.lists(st.tuples(st.floats(-5, 5), AMOUNT, WEIGHT), min_size=1, max_size=20),
    rate=st.floats(0.01, 0.85),
    penalty=st.floats(0, 10),
)
def test_dollar_step_lowers_the_loss_by_what_the_proof_says(
    rows: list[tuple[float, float, float]], rate: float, penalty: float
) -> None:
    raw, net, weight = np.array(rows).T
    if not np.abs(net).max() > 1e-3:
        return
    scale = dollar_scale(net, weight)
    gradient = dollar_gradient(raw, net, weight, scale).sum()
    curvature = dollar_curvature(raw, net, weight, scale).sum() + penalty

    after = dollar_loss(raw - rate * gradient / curvature, net, weight, scale)

    promised = rate * gradient**2 / curvature * (1 - rate * np.exp(rate) / 2)
    before = dollar_loss(raw, net, weight, scale)
    assert promised >= 0
    assert after <= before - promised + 1e-9 * np.sum(weight * np.abs(net)) / scale


def test_dollar_gradient_keeps_its_digits_where_a_trade_is_all_but_taken() -> None:
    one = np.ones(1)

    # σ(40) rounds to one, and 1 − σ(40) to zero.
    assert dollar_gradient(40 * one, one, one, 1.0)[0] == pytest.approx(-np.exp(-40.0), rel=1e-12)
    assert dollar_gradient(-40 * one, one, one, 1.0)[0] == pytest.approx(-np.exp(-40.0), rel=1e-12)
    assert dollar_gradient(800 * one, one, one, 1.0)[0] == 0


def test_dollar_start_is_the_log_of_the_profit_factor_within_two() -> None:
    weight = np.array([1.0, 2.0, 1.0])

    start = dollar_start(np.array([100.0, 25.0, -300.0]), weight)

    assert start == pytest.approx(np.log(150 / 300), abs=1e-15)
    assert 1 / (1 + np.exp(-start)) == pytest.approx(150 / 450, abs=1e-15)
    assert dollar_start(np.array([100.0, 0.0, -100.0]), weight) == 0
    assert dollar_start(np.array([100.0, 0.0, 0.0]), weight) == 2
    assert dollar_start(np.array([1.0, 0.0, -100.0]), weight) == -2


def test_dollar_scale_where_nobody_won_or_lost_is_one_sentence() -> None:
    with pytest.raises(DataError, match="none of 3 training rows won or lost money; check the column net"):
        dollar_scale(np.zeros(3), np.ones(3))
