"""VPOC and value area of one profile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.profiles import AreaRule, value_area
from tests.profiles.oracle import slow_value_area


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40).filter(any), st.integers(1, 10_000), st.integers(1, 5))
def test_value_area_rows_with_many_ties_equal_the_oracle(rows: list[int], basis_points: int, expansion: int) -> None:
    area = value_area(np.array(rows), AreaRule(basis_points, expansion))

    assert (area.vpoc, area.val, area.vah, area.held) == slow_value_area(rows, basis_points, expansion)
    assert area.total == sum(rows)


@settings(deadline=None)
@given(st.lists(st.integers(2**57, 2**58), min_size=2, max_size=16), st.integers(1, 10_000), st.integers(1, 3))
def test_value_area_volumes_near_the_limit_equal_the_oracle(rows: list[int], basis_points: int, expansion: int) -> None:
    area = value_area(np.array(rows), AreaRule(basis_points, expansion))

    assert (area.vpoc, area.val, area.vah, area.held) == slow_value_area(rows, basis_points, expansion)


def test_value_area_held_just_below_the_share_takes_another_step() -> None:
    # 70 % of 2**62 is 3228180212899171532.8: one micro-lot less than its ceiling isn't enough.
    enough = -(-7000 * 2**62 // 10_000)
    rows = np.array([2**62 - enough, enough])
    assert value_area(rows).val == 1

    rows = np.array([2**62 - enough + 1, enough - 1])
    assert value_area(rows).val == 0


def test_value_area_lowest_tick_moves_the_levels() -> None:
    area = value_area(np.array([1, 5, 1]), lowest=-10)

    assert (area.vpoc, area.val, area.vah) == (-9, -9, -9)


@pytest.mark.parametrize("rows", [[], [0], [0, 0]])
def test_value_area_without_volume_is_refused(rows: list[int]) -> None:
    with pytest.raises(DataError, match="without volume"):
        value_area(np.array(rows, dtype=np.int64))


def test_value_area_negative_row_is_refused() -> None:
    with pytest.raises(DataError, match="row 1 is -3"):
        value_area(np.array([5, -3]))


@given(
    st.lists(st.integers(0, 9), min_size=1).filter(any), st.integers(1, 10_000), st.integers(1, 3), st.integers(0, 70)
)
def test_value_area_of_rows_beyond_64_bits_is_that_of_the_oracle(
    small: list[int], share: int, expansion: int, bits: int
) -> None:
    # Beside the ties that small numbers have, one more in the lowest bit is not lost.
    rows = [(volume << bits) + (place % 2 if volume and bits else 0) for place, volume in enumerate(small)]

    area = value_area(np.array(rows, dtype=object), AreaRule(share, expansion))

    assert (area.vpoc, area.val, area.vah, area.held) == slow_value_area(rows, share, expansion)
    assert area.total == sum(rows)


def test_value_area_of_64_bit_rows_whose_sum_passes_them_is_exact() -> None:
    area = value_area(np.array([2**62 - 1, 2**62, 2**62 + 1]), AreaRule(6667))

    assert (area.vpoc, area.val, area.vah) == (2, 0, 2)
    assert (area.held, area.total) == (3 * 2**62, 3 * 2**62)


def test_value_area_share_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="basis_points is 0"):
        AreaRule(0)
