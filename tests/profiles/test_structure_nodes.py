"""High- and low-volume nodes against hand-made profiles, scipy and what must hold for any."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import find_peaks

from pipeline.errors import ConfigurationError
from pipeline.profiles.nodes import find_nodes, smooth_rows

ROWS = st.lists(st.integers(0, 30), min_size=1, max_size=90).filter(any).map(lambda rows: np.array([1, *rows, 1]))
WINDOWS = st.sampled_from([None, 1, 3, 5, 9])
SHARES = st.sampled_from([1, 500, 1000, 2500, 10000])


def test_smooth_rows_given_window_sums_the_neighbourhood_and_nothing_beyond() -> None:
    sums, width = smooth_rows(np.array([1, 2, 4, 8, 16]), 3)

    assert (sums.tolist(), width) == ([3, 7, 14, 28, 24], 3)


@pytest.mark.parametrize(("ticks", "window"), [(1, 1), (39, 1), (40, 3), (79, 3), (80, 5), (400, 21)])
def test_smooth_rows_without_window_takes_a_twentieth(ticks: int, window: int) -> None:
    assert smooth_rows(np.ones(ticks, np.int64))[1] == window


def test_find_nodes_two_bulges_gives_peaks_valley_and_prominences() -> None:
    nodes = find_nodes(np.array([2, 6, 20, 10, 4, 4, 12, 16, 3]), lowest=100)

    assert nodes.high.tolist() == [102, 107]
    assert nodes.high_prominence.tolist() == [1.0, 0.6]
    assert nodes.low.tolist() == [104]  # of two level ticks the lower
    assert nodes.low_prominence.tolist() == [0.6]


def test_find_nodes_peak_on_the_first_and_last_tick_counts_and_their_valley_too() -> None:
    nodes = find_nodes(np.array([9, 3, 1, 3, 8]))

    assert (nodes.high.tolist(), nodes.low.tolist()) == ([0, 4], [2])


def test_find_nodes_untraded_stretch_is_a_low_volume_node_in_its_middle() -> None:
    assert find_nodes(np.array([5, 9, 0, 0, 0, 7, 5])).low.tolist() == [3]


@pytest.mark.parametrize(("basis_points", "peaks"), [(2999, [1, 4]), (3000, [1, 4]), (3001, [1])])
def test_find_nodes_prominence_is_compared_exactly(basis_points: int, peaks: list[int]) -> None:
    rows = np.array([5, 10, 6, 4, 7, 1])  # the second peak stands 3 over the valley: 30 % of 10

    assert find_nodes(rows, prominence_basis_points=basis_points).high.tolist() == peaks


def test_find_nodes_one_price_is_one_node_and_no_valley() -> None:
    nodes = find_nodes(np.array([7 << 20]), lowest=-3)

    assert (nodes.high.tolist(), nodes.low.tolist(), nodes.high_prominence.tolist()) == ([-3], [], [1.0])


@pytest.mark.parametrize("rows", [[], [0, 0]])
def test_find_nodes_no_volume_has_none(rows: list[int]) -> None:
    nodes = find_nodes(np.array(rows, np.int64))

    assert (len(nodes.high), len(nodes.low)) == (0, 0)


@pytest.mark.parametrize("window", [0, 2, -1, 2.5, True])
def test_find_nodes_impossible_window_is_refused(window: object) -> None:
    with pytest.raises(ConfigurationError, match="node_window is"):
        find_nodes(np.array([1]), window=window)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0, 10001, 0.1])
def test_find_nodes_impossible_prominence_is_refused(share: object) -> None:
    with pytest.raises(ConfigurationError, match="node_prominence_basis_points is"):
        find_nodes(np.array([1]), prominence_basis_points=share)  # type: ignore[arg-type]


@settings(deadline=None)
@given(ROWS, WINDOWS, SHARES)
def test_find_nodes_equal_scipy_on_the_profile_with_nothing_around(rows: np.ndarray, window: int, share: int) -> None:
    nodes = find_nodes(rows, window=window, prominence_basis_points=share)

    half = (window or 2 * (len(rows) // 40) + 1) // 2
    mean = np.array([rows[max(i - half, 0) : i + half + 1].sum() for i in range(len(rows))])
    least = share / 10000 * rows.max() * (2 * half + 1) - 1e-6
    high, _ = find_peaks(np.pad(mean, 1), prominence=least)
    low, _ = find_peaks(-np.pad(mean, 1), prominence=least)
    assert (nodes.high.tolist(), nodes.low.tolist()) == ((high - 1).tolist(), (low - 1).tolist())


@settings(deadline=None)
@given(st.lists(st.integers(1, 1 << 40), min_size=1, max_size=90, unique=True).map(np.array), SHARES)
def test_find_nodes_of_distinct_volumes_take_turns(rows: np.ndarray, share: int) -> None:
    nodes = find_nodes(rows, window=1, prominence_basis_points=share)

    order = sorted([(tick, "high") for tick in nodes.high] + [(tick, "low") for tick in nodes.low])
    assert [kind for _, kind in order] == ["high", "low"] * len(nodes.low) + ["high"]


def test_find_nodes_equal_peaks_are_both_nodes_however_shallow_the_valley() -> None:
    # scipy.signal.find_peaks: a peak of the same height doesn't limit a prominence.
    nodes = find_nodes(np.array([1, 21, 20, 21, 1]))

    assert (nodes.high.tolist(), nodes.low.tolist()) == ([1, 3], [])


@settings(deadline=None)
@given(ROWS, WINDOWS, SHARES, st.integers(-(2**40), 2**40), st.integers(1, 2**20))
def test_find_nodes_shifted_and_scaled_profile_shifts_the_nodes(
    rows: np.ndarray, window: int, share: int, shift: int, scale: int
) -> None:
    plain = find_nodes(rows, window=window, prominence_basis_points=share)
    other = find_nodes(rows * scale, lowest=shift, window=window, prominence_basis_points=share)

    assert (other.high - shift).tolist() == plain.high.tolist()
    assert (other.low - shift).tolist() == plain.low.tolist()


@settings(deadline=None)
@given(ROWS, WINDOWS, SHARES)
def test_find_nodes_mirrored_profile_mirrors_nodes_to_the_middle_of_level_stretches(
    rows: np.ndarray, window: int, share: int
) -> None:
    plain = find_nodes(rows, window=window, prominence_basis_points=share)
    other = find_nodes(rows[::-1], window=window, prominence_basis_points=share)

    # Of two middle ticks the lower counts, either way up: mirrored it is at most one tick away.
    for left, right in ((plain.high, other.high), (plain.low, other.low)):
        distance = (len(rows) - 1 - right)[::-1] - left
        assert set(distance.tolist()) <= {0, 1}
