"""Gates from running sums: to the bit those of the windows one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.strategy.gates import runs_p_value, trend
from pipeline.strategy.rolling import rolling_runs_p_value, rolling_trend


@given(
    st.integers(2, 12),
    st.lists(st.tuples(st.integers(-500, 500), st.booleans()), min_size=12, max_size=60),
    st.integers(-(10**9), 10**9),
)
def test_rolling_trend_of_any_series_with_rolls_is_that_of_each_window(
    window: int, steps: list[tuple[int, bool]], level: int
) -> None:
    ticks = level + np.cumsum([step for step, _ in steps])
    contracts = 3 * np.cumsum([roll for _, roll in steps])

    found = rolling_trend(ticks, contracts, window)

    expected = trend(sliding_window_view(ticks, window), sliding_window_view(contracts, window))
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)


@given(st.integers(1, 12), st.lists(st.sampled_from([-3.0, -1.0, 0.0, 2.0, np.nan]), min_size=12, max_size=60))
def test_rolling_runs_of_any_moves_are_those_of_each_window(window: int, moves: list[float]) -> None:
    found = rolling_runs_p_value(np.array(moves), window)

    np.testing.assert_array_equal(found, runs_p_value(sliding_window_view(np.array(moves), window)))


def test_rolling_trend_of_a_straight_line_is_its_slope() -> None:
    slope, r_squared = rolling_trend(np.arange(30) * 4, np.zeros(30, np.int64), 10)

    assert slope.tolist() == [4.0] * 21
    assert r_squared.tolist() == [1.0] * 21
