"""The letters, by hand and by symmetry."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.profiles.shape import profile_shape

ROWS = st.lists(st.integers(0, 40), min_size=1, max_size=70).map(lambda rows: np.array([1, *rows, 1]))


@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        ([5], "D"),
        ([1, 1], "D"),
        ([1, 4, 9, 4, 1], "D"),
        ([1, 1, 1, 1, 2, 6, 9, 7, 3], "P"),
        ([3, 7, 9, 6, 2, 1, 1, 1, 1], "b"),
        ([9, 12, 9, 2, 9, 11, 9], "B"),
        ([9, 12, 9, 0, 0, 9, 11, 9], "B"),
    ],
)
def test_profile_shape_plain_cases(rows: list[int], shape: str) -> None:
    assert profile_shape(np.array(rows)) == shape


@pytest.mark.parametrize(("valley", "shape"), [(3, "B"), (4, "D")])
def test_profile_shape_valley_above_a_quarter_of_the_lesser_peak_is_not_a_double(valley: int, shape: str) -> None:
    assert profile_shape(np.array([6, 15, 6, valley, 6, 15, 6])) == shape


@pytest.mark.parametrize(("lesser", "shape"), [(7, "b"), (8, "B")])
def test_profile_shape_less_than_a_quarter_beyond_the_valley_is_not_a_double(lesser: int, shape: str) -> None:
    # 24 below the valley: with 8 above it a quarter of the 32 is 8, with 7 above a quarter of the 31 is more than 7.
    rows = [2, 16, 6, 0, lesser, 0]

    assert profile_shape(np.array(rows)) == shape


@pytest.mark.parametrize(("vpoc", "shape"), [(5, "D"), (6, "P")])
def test_profile_shape_vpoc_must_be_in_the_upper_third(vpoc: int, shape: str) -> None:
    rows = [1, 1, 1, 2, 6, 6, 6, 6, 6]
    rows[vpoc] = 7  # the middle of tick 6 of nine stands at 6.5 / 9, that of tick 5 at 5.5 / 9 < 2 / 3

    assert profile_shape(np.array(rows)) == shape


@pytest.mark.parametrize(("tail", "shape"), [(4, "P"), (5, "D")])
def test_profile_shape_upper_half_must_hold_three_fifths(tail: int, shape: str) -> None:
    # The upper half holds 12, the lower 8 or 9: 12 / 20 is three fifths, 12 / 21 less.
    assert profile_shape(np.array([tail, 4, 5, 7])) == shape


def test_profile_shape_middle_tick_counts_half_to_either_side() -> None:
    assert profile_shape(np.array([1, 2, 6, 2, 7])) == "P"  # 2 + 7 + 6 / 2 of 18: two thirds
    assert profile_shape(np.array([2, 3, 6, 2, 7])) == "P"  # 12 of 20: three fifths
    assert profile_shape(np.array([2, 4, 6, 2, 7])) == "D"  # 12 of 21


def test_profile_shape_beyond_53_bits_is_exact() -> None:
    huge = 1 << 58

    assert profile_shape(np.array([2 * huge, 2 * huge, 3 * huge, 3 * huge + 1])) == "P"
    assert profile_shape(np.array([2 * huge, 2 * huge + 1, 3 * huge - 1, 3 * huge + 1])) == "D"


def test_profile_shape_without_volume_is_refused() -> None:
    with pytest.raises(DataError, match="without volume"):
        profile_shape(np.array([], np.int64))


@settings(deadline=None)
@given(ROWS)
def test_profile_shape_mirrored_profile_swaps_p_and_b(rows: np.ndarray) -> None:
    # Of equal VPOCs the contract takes the lower, either way up.
    assume((rows == rows.max()).sum() == 1)

    mirrored = {"P": "b", "b": "P", "D": "D", "B": "B"}
    assert profile_shape(rows[::-1]) == mirrored[profile_shape(rows)]


@settings(deadline=None)
@given(ROWS, st.integers(2, 1 << 30))
def test_profile_shape_scaled_volume_is_the_same(rows: np.ndarray, scale: int) -> None:
    # A quarter is rounded down to whole micro-lots, and prices carry many: scale both.
    assert profile_shape(rows * 4 * scale) == profile_shape(rows * 4)
