"""Blocks, growing scratch memory and the way for single prices give the bits of the slow program."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.profiles import MICRO_LOTS, profile_sessions
from pipeline.profiles.histogram import SessionLevels
from tests.profiles.oracle import slow_rows, slow_value_area

KINDS = (np.int32, np.int64)


def _expected(bars: list[tuple[int, int, int]], expansion_rows: int = 2) -> tuple[int, ...]:
    lowest, rows = slow_rows((low, high, low, volume) for low, high, volume in bars)
    if not rows:
        return (0,) * 7
    vpoc, val, vah, held = slow_value_area(rows, 7000, expansion_rows)
    return lowest + vpoc, lowest + val, lowest + vah, lowest, lowest + len(rows) - 1, sum(rows), held


def _found(levels: SessionLevels) -> list[tuple[int, ...]]:
    return list(zip(*(values.tolist() for values in vars(levels).values()), strict=True))


def _profiles(
    bars: list[tuple[int, int, int]], starts: list[int], kind: type[np.integer], expansion_rows: int = 2
) -> list[tuple[int, ...]]:
    low, high, steps = np.array(bars, dtype=kind).reshape(-1, 3).T
    return _found(
        profile_sessions(
            np.ascontiguousarray(low),
            np.ascontiguousarray(high),
            np.ascontiguousarray(steps),
            np.array(starts),
            expansion_rows=expansion_rows,
        )
    )


def _walk(count: int, seed: int) -> list[tuple[int, int, int]]:
    random = np.random.default_rng(seed)
    low = 5000 + np.cumsum(random.integers(-3, 4, count))
    volume = random.integers(0, 5000, count) * (random.random(count) > 0.2)
    return list(zip(low.tolist(), (low + random.integers(0, 12, count)).tolist(), volume.tolist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 7, 8, 9, 1023, 1024, 1025, 1032, 1380, 2049, 3000])
def test_profile_sessions_any_number_of_blocks_equals_the_slow_program(count: int, kind: type[np.integer]) -> None:
    first, second = _walk(count, count), _walk(37, 1)

    assert _profiles(first + second, [0, count], kind) == [_expected(first), _expected(second)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 1024, 1025, 2051])
def test_profile_sessions_one_array_for_both_equals_two(count: int, kind: type[np.integer]) -> None:
    bars = [(low, low, volume) for low, _, volume in _walk(count, 3)] * 2
    price, _, steps = (np.ascontiguousarray(column) for column in np.array(bars, dtype=kind).T)

    one = profile_sessions(price, price, steps, np.array([0, count]))

    assert _found(one) == [_expected(bars[:count])] * 2
    assert _found(one) == _found(profile_sessions(price, price.copy(), steps, np.array([0, count])))


_bars = st.tuples(
    st.integers(-40, 40), st.integers(0, 30), st.one_of(st.just(0), st.integers(1, 60), st.integers(1, 2**35))
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_bars, max_size=12), min_size=1, max_size=4), st.integers(1, 3), st.booleans())
def test_profile_sessions_any_sessions_equal_the_slow_program(
    sessions: list[list[tuple[int, int, int]]], expansion_rows: int, wide: bool
) -> None:
    # Wide: beyond the scratch memory of the session before, on one side or the other.
    scale = 300 if wide else 1
    found = [[(scale * low, scale * low + width, volume) for low, width, volume in bars] for bars in sessions]
    starts = np.cumsum([0, *(len(bars) for bars in found[:-1])]).tolist()

    profiles = _profiles([bar for bars in found for bar in bars], starts, np.int64, expansion_rows)

    assert profiles == [_expected(bars, expansion_rows) for bars in found]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(_bars, max_size=12), min_size=1, max_size=4), st.integers(1, 3), st.booleans())
def test_profile_sessions_any_single_prices_equal_the_slow_program(
    sessions: list[list[tuple[int, int, int]]], expansion_rows: int, wide: bool
) -> None:
    scale = 300 if wide else 1
    found = [[(scale * low, scale * low, volume) for low, _, volume in bars] for bars in sessions]
    starts = np.cumsum([0, *(len(bars) for bars in found[:-1])])
    columns = np.array([bar for bars in found for bar in bars], dtype=np.int64).reshape(-1, 3)
    price, steps = columns[:, 0].copy(), columns[:, 2].copy()

    levels = profile_sessions(price, price, steps, starts, expansion_rows=expansion_rows)

    assert _found(levels) == [_expected(bars, expansion_rows) for bars in found]


@pytest.mark.parametrize("tick", [2**62, -(2**62), 2**63 - 2, -(2**63)])
@pytest.mark.parametrize("single", [False, True])
def test_profile_sessions_ticks_at_the_ends_of_int64_are_counted(tick: int, single: bool) -> None:
    low = np.array([tick, 5, tick])
    high = low if single else low.copy()
    steps = np.array([3, 1, 2])

    levels = profile_sessions(low, high, steps, np.array([0, 1, 2]))

    assert levels.vpoc.tolist() == [tick, 5, tick]
    assert levels.total.tolist() == [3 * MICRO_LOTS, MICRO_LOTS, 2 * MICRO_LOTS]


@pytest.mark.parametrize("single", [False, True])
def test_profile_sessions_bar_without_volume_far_away_touches_nothing(single: bool) -> None:
    low = np.array([-(2**60), 10, 2**63 - 1, 12])
    high = low if single else low.copy()

    levels = profile_sessions(low, high, np.array([0, 4, 0, 4]), np.array([0]))

    assert (levels.low.tolist(), levels.high.tolist(), levels.vpoc.tolist()) == ([10], [12], [10])


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(
    ("low", "width", "volume", "message"),
    [
        (100, 0, -1, "negative"),
        (100, 0, 2**42 + 1, "2\\*\\*62"),
        (2**40, 0, 1, "16,777,216 ticks"),
        (100, -1, 1, "high is below its low"),
    ],
)
def test_profile_sessions_bad_bar_in_a_later_block_is_refused_by_name(
    low: int, width: int, volume: int, message: str, single: bool
) -> None:
    if single and width:
        pytest.skip("a single price is not below itself")
    lows = np.full(5000, 100)
    steps = np.ones(5000, dtype=np.int64)
    lows[4000], steps[4000] = low, volume
    highs = lows if single else lows.copy()
    if not single:
        highs[4000] += width

    with pytest.raises(DataError, match=f"session 1: .*{message}"):
        profile_sessions(lows, highs, steps, np.array([0, 1000]))


def test_profile_sessions_after_a_refused_block_starts_clean() -> None:
    # The second block of the first session doesn't fit beside the first: what was added is taken back.
    near, far = [(100, 103, 6)] * 1500, [(90_000, 90_004, 7)] * 700
    sessions = [near + far, near, far]

    found = _profiles([bar for bars in sessions for bar in bars], [0, 2200, 3700], np.int64)

    assert found == [_expected(bars) for bars in sessions]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("volumes", [[2**42, 0], [2**41, 2**41], [2**42 - 1, 1]])
def test_profile_sessions_most_volume_there_may_be_is_counted(volumes: list[int], single: bool) -> None:
    low = np.array([7, 7])
    high = low if single else low.copy()

    levels = profile_sessions(low, high, np.array(volumes), np.array([0]))

    assert _found(levels) == [(7, 7, 7, 7, 7, 2**62, 2**62)]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("volumes", [[2**42, 1], [2**62, 2**62], [2**63 - 1, 1]])
def test_profile_sessions_more_volume_than_that_is_refused(volumes: list[int], single: bool) -> None:
    low = np.array([7, 7])

    with pytest.raises(DataError, match="2\\*\\*62"):
        profile_sessions(low, low if single else low.copy(), np.array(volumes), np.array([0]))
