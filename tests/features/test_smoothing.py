"""Averages and sums on arrays: every bit is that of pandas and pandas-ta-classic, on gaps, ties and flat stretches."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas_ta_classic.utils._wilder import wilder_smooth

from pipeline.features import smoothing

Series = Callable[[pd.Series, int], pd.Series]

PAIRS: dict[str, Series] = {
    "exponential_average": lambda values, length: ta.ema(values, length=length),
    "wilder_average": lambda values, length: ta.rma(values, length=length),
    "wilder_sum": wilder_smooth,
    "rolling_sum": lambda values, length: values.rolling(length).sum(),
    "rolling_mean": lambda values, length: values.rolling(length).mean(),
}


def series(seed: int, kind: str, count: int = 500) -> pd.Series:
    """A walk in ticks, in fractions, flat but for a few steps, or of either sign and many sizes; with leading gaps."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-9, 10, count).astype(np.float64)
    values = {
        "ticks": 12_000 + np.cumsum(steps),
        "fractions": (12_000 + np.cumsum(steps)) / 3,
        "flat": np.cumsum(np.where(rng.random(count) < 0.03, steps, 0.0)) / 7,
        "sizes": rng.normal(size=count) * 10.0 ** rng.integers(-9, 9, count),
    }[kind]
    values[: seed % 3] = np.nan
    return pd.Series(values)


@pytest.mark.parametrize("kind", ["ticks", "fractions", "flat", "sizes"])
@pytest.mark.parametrize("name", PAIRS)
def test_smoothing_equals_the_library_to_the_bit(name: str, kind: str) -> None:
    for seed in range(12):
        values, length = series(seed, kind), (3, 9, 14, 20)[seed % 4]

        found = getattr(smoothing, name)(values.to_numpy(), length)

        np.testing.assert_array_equal(found, PAIRS[name](values, length).to_numpy(), err_msg=f"{seed} {length}")


@pytest.mark.parametrize("name", ["wilder_average", "rolling_sum", "rolling_mean"])
def test_smoothing_with_gaps_equals_the_library_to_the_bit(name: str) -> None:
    for seed in range(12):
        values = series(seed, "fractions")
        values[np.random.default_rng(seed).random(len(values)) < 0.05] = np.nan

        found = getattr(smoothing, name)(values.to_numpy(), 14)

        np.testing.assert_array_equal(found, PAIRS[name](values, 14).to_numpy(), err_msg=str(seed))


@given(st.lists(st.integers(-50, 50), max_size=60), st.integers(1, 20))
def test_rolling_sum_and_windows_of_whole_numbers_are_exact(values: list[int], length: int) -> None:
    array = np.array(values, np.float64)

    total = smoothing.rolling_sum(array, length)
    highest = smoothing.windowed(array, length, np.maximum)

    for row in range(len(values)):
        window = values[row - length + 1 : row + 1] if row + 1 >= length else None
        assert np.isnan(total[row]) if window is None else total[row] == sum(window)
        assert np.isnan(highest[row]) if window is None else highest[row] == max(window)


def test_averages_of_too_few_values_are_missing() -> None:
    few = np.arange(5.0)

    for average in (smoothing.exponential_average, smoothing.wilder_average, smoothing.wilder_sum):
        assert np.isnan(average(few, 14)).all()
        assert np.isnan(average(np.full(20, np.nan), 14)).all()
