import math
import statistics
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from statsmodels.sandbox.stats.runs import runstest_1samp

from pipeline.strategy import (
    direction_probability,
    is_calm,
    longest_run,
    runs_p_value,
    trend,
    window_deviation,
)
from pipeline.strategy.gates import trailing_windows

NAN = math.nan
paths = hnp.arrays(np.int64, st.tuples(st.integers(1, 5), st.just(20)), elements=st.integers(-400, 400))
moves_with_gaps = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 40)), elements=st.sampled_from([-3.0, -1.0, 0.0, 2.0, NAN])
)


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float64)


# --- trend ---------------------------------------------------------------------------------------------------------


def test_trend_straight_line_has_its_slope_and_full_r_squared():
    slope, r_squared = trend(np.arange(100, 160, 3)[None, :])

    assert slope.tolist() == [3.0]
    assert r_squared.tolist() == [1.0]


def test_trend_of_four_points_equals_the_formula_by_hand():
    # x - 1.5 = -1.5 -0.5 0.5 1.5; y - 2 = -2 0 -1 3: xy = 7, xx = 5, yy = 14
    slope, r_squared = trend(np.array([[0, 2, 1, 5]]))

    assert slope.tolist() == [1.4]
    assert r_squared.tolist() == [49 / 70]


def test_trend_constant_vpocs_have_no_slope_and_no_r_squared():
    slope, r_squared = trend(np.full((1, 20), 17_000))

    assert (slope.tolist(), r_squared.tolist()) == ([0.0], [0.0])


@given(paths)
def test_trend_one_contract_equals_scipy(y):
    slope, r_squared = trend(y)

    for found_slope, found_r, values in zip(slope, r_squared, y, strict=True):
        if np.ptp(values):
            expected = stats.linregress(np.arange(20), values)
            assert found_slope == pytest.approx(expected.slope, rel=1e-9, abs=1e-9)
            assert found_r == pytest.approx(expected.rvalue**2, rel=1e-9, abs=1e-9)


@given(paths, st.integers(-(10**7), 10**7))
def test_trend_shifted_prices_give_the_same_bits(y, shift):
    assert [a.tolist() for a in trend(y + shift)] == [a.tolist() for a in trend(y)]


@given(paths)
def test_trend_mirrored_prices_give_the_mirrored_slope(y):
    slope, r_squared = trend(y)
    mirrored_slope, mirrored_r_squared = trend(30_000 - y)

    assert mirrored_slope.tolist() == (-slope).tolist()
    assert mirrored_r_squared.tolist() == r_squared.tolist()


@given(paths, st.lists(st.integers(1, 19), max_size=3, unique=True), st.integers(-4000, 4000))
def test_trend_across_rolls_equals_regression_with_a_dummy_a_contract(y, rolls, step):
    contracts = np.zeros(20, np.int64)
    for start in rolls:
        contracts[start:] += 1
    slope, r_squared = trend(y + step * contracts, np.broadcast_to(contracts, y.shape))

    intercepts = (contracts[:, None] == np.unique(contracts)).astype(float)
    for found_slope, found_r, values in zip(slope, r_squared, y, strict=True):
        design = np.column_stack([np.arange(20.0), intercepts])
        fit = np.linalg.lstsq(design, values, rcond=None)[0]
        residual = ((values - design @ fit) ** 2).sum()
        within = sum(((values[contracts == c] - values[contracts == c].mean()) ** 2).sum() for c in set(contracts))
        if within > 0:
            assert found_slope == pytest.approx(fit[0], rel=1e-6, abs=1e-6)
            assert found_r == pytest.approx(1 - residual / within, rel=1e-6, abs=1e-6)
        else:
            assert (found_slope, found_r) == (0.0, 0.0)


def test_trend_step_of_a_roll_is_not_a_trend():
    y = np.array([[100, 101] * 5 + [300, 301] * 5])
    contracts = np.repeat([0, 1], 10)[None, :]

    assert trend(y)[1][0] > 0.7
    assert trend(y, contracts)[1][0] < 0.1


def test_trend_contract_with_one_session_adds_nothing():
    y = np.array([[900, 10, 20, 30, 40, -700]])
    contracts = np.array([[0, 1, 1, 1, 1, 2]])

    slope, r_squared = trend(y, contracts)

    assert (slope.tolist(), r_squared.tolist()) == ([10.0], [1.0])


def test_trend_contract_a_session_has_no_slope():
    slope, r_squared = trend(np.array([[1, 5, 9]]), np.array([[0, 1, 2]]))

    assert (slope.tolist(), r_squared.tolist()) == ([0.0], [0.0])


# --- runs ----------------------------------------------------------------------------------------------------------


def test_runs_p_value_by_hand():
    # 4 up, 2 down, 3 runs: mean 11/3, variance (8/3)(5/3)/5 = 8/9
    p = runs_p_value(row(1, 2, -1, -4, 3, 3))

    assert p[0] == pytest.approx(math.erfc((11 / 3 - 3) / math.sqrt(8 / 9) / math.sqrt(2)), rel=1e-14)


@given(moves_with_gaps)
def test_runs_p_value_equals_statsmodels(moves):
    found = runs_p_value(moves)

    for p, values in zip(found, moves, strict=True):
        signs = values[~np.isnan(values) & (values != 0)]
        ups = int((signs > 0).sum())
        if ups in (0, len(signs)) or len(signs) <= 2:
            assert p == 1.0
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                expected = runstest_1samp(signs, cutoff=0, correction=False)[1]
            assert p == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("moves", [(0, 0, 0), (3, NAN, 0), (1, 2, 3), (-1, -1, NAN), (1, -1, 0)])
def test_runs_p_value_nothing_to_say_is_one(moves):
    assert runs_p_value(row(*moves)).tolist() == [1.0]


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ((1, 2, -1, -4, -3, 3), 3),
        ((1, 0, 2, NAN, 5, -1), 3),
        ((0, 0, NAN), 0),
        ((-1, 1, -1), 1),
        ((-2, -1, 1, 1), 2),
    ],
)
def test_longest_run_leaves_out_zero_and_missing_moves(moves, expected):
    assert longest_run(row(*moves)).tolist() == [expected]


# --- direction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ((NAN, NAN), 0.5),  # nothing known
        ((NAN, 3), 0.5),  # a first move, nothing followed it yet
        ((0, 0), 0.5),
        ((1, 1), 2 / 3),  # up followed up
        ((1, -1), 0.5),  # the newest is down and nothing followed a down
        ((1, -1, 1), 1 / 3),  # one down followed an up
        ((1, -1, 1, 1, -1, -1), 1 / 2),  # after down: up, down
        ((1, 0, 0, 1), 2 / 3),  # zeros are left out
        ((1, NAN, 1), 0.5),  # no pair across a roll
        ((1, 1, NAN), 0.5),  # the newest move is not known
        ((1, 1, NAN, 0, 1), 2 / 3),  # up-up before the roll; nothing followed the 1 after it
    ],
)
def test_direction_probability_by_hand(moves, expected):
    assert direction_probability(row(*moves)).tolist() == [expected]


@given(moves_with_gaps)
def test_direction_probability_equals_a_count_of_pairs(moves):
    expected = []
    for values in moves:
        stretches = [[]]
        for value in values:
            if math.isnan(value):
                stretches.append([])
            elif value:
                stretches[-1].append(value > 0)
        last = stretches[-1][-1] if stretches[-1] else None
        after = [b for held in stretches for a, b in pairwise(held) if a == last]
        expected.append((1 + sum(after)) / (2 + len(after)))

    assert direction_probability(moves).tolist() == expected


@given(moves_with_gaps)
def test_direction_probability_mirrored_moves_give_the_complement(moves):
    np.testing.assert_allclose(direction_probability(-moves), 1 - direction_probability(moves), rtol=0, atol=1e-15)


# --- calm ----------------------------------------------------------------------------------------------------------


def test_window_deviation_equals_the_sample_standard_deviation():
    values = [0.01, -0.02, 0.005, 0.0, 0.03]

    assert window_deviation(row(*values))[0] == pytest.approx(statistics.stdev(values), rel=1e-14)


def test_window_deviation_skips_one_missing_return_of_five():
    found = window_deviation(row(0.01, NAN, -0.02, 0.005, 0.0))

    assert found[0] == pytest.approx(statistics.stdev([0.01, -0.02, 0.005, 0.0]), rel=1e-14)


def test_window_deviation_two_missing_of_five_is_missing():
    assert np.isnan(window_deviation(row(0.01, NAN, -0.02, NAN, 0.0)))[0]


@pytest.mark.parametrize(("missing", "known"), [(5, True), (6, False)])
def test_window_deviation_long_window_needs_fifteen_of_twenty(missing, known):
    values = np.linspace(-1, 1, 20)[None, :].copy()
    values[0, :missing] = NAN

    assert bool(np.isfinite(window_deviation(values)[0])) is known


def test_is_calm_unknown_or_equal_is_not_calm():
    short, long = np.array([1.0, 2.0, 2.0, NAN, 1.0]), np.array([2.0, 1.0, 2.0, 2.0, NAN])

    assert is_calm(short, long).tolist() == [True, False, False, False, False]


def test_trailing_windows_start_with_missing_values():
    windows = trailing_windows(np.array([1.0, 2.0, 3.0]), 2)

    np.testing.assert_array_equal(windows, [[NAN, 1.0], [1.0, 2.0], [2.0, 3.0]])
