"""Array-level profiles: the invariants of the contract's §3.6 against a slow oracle, and the limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.profiles import MICRO_LOTS, profile_sessions, spread_rows
from tests.profiles.oracle import Bar, slow_rows, slow_value_area

VOLUMES = st.one_of(st.integers(0, 5), st.integers(0, 100_000), st.integers(2**32, 2**36))


@st.composite
def _bar(draw: st.DrawFn) -> Bar:
    low = draw(st.integers(-60, 60))
    high = low + draw(st.integers(0, 25))
    return low, high, draw(st.integers(low, high)), draw(VOLUMES)


BARS = st.lists(_bar(), max_size=25)


def _arrays(bars: list[Bar], dtype: type = np.int64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(bars, dtype=np.int64).reshape(-1, 4)
    return table[:, 0].astype(dtype), table[:, 1].astype(dtype), table[:, 3].astype(dtype)


def _as_dict(lowest: int, rows: np.ndarray) -> dict[int, int]:
    return {lowest + place: int(volume) for place, volume in enumerate(rows) if volume}


@settings(deadline=None)
@given(BARS)
def test_spread_rows_any_bars_equal_the_oracle(bars: list[Bar]) -> None:
    lowest, rows = spread_rows(*_arrays(bars))

    assert (lowest, rows.tolist()) == slow_rows(bars)


@settings(deadline=None)
@given(BARS)
def test_spread_rows_any_bars_conserve_mass_exactly(bars: list[Bar]) -> None:
    _, rows = spread_rows(*_arrays(bars))

    assert int(rows.sum()) == MICRO_LOTS * sum(volume for *_, volume in bars)


@settings(deadline=None)
@given(BARS, BARS)
def test_spread_rows_of_a_split_add_up(left: list[Bar], right: list[Bar]) -> None:
    whole = _as_dict(*spread_rows(*_arrays(left + right)))
    first, second = _as_dict(*spread_rows(*_arrays(left))), _as_dict(*spread_rows(*_arrays(right)))

    assert whole == {tick: first.get(tick, 0) + second.get(tick, 0) for tick in first.keys() | second.keys()}


@settings(deadline=None)
@given(BARS, st.randoms(use_true_random=False))
def test_spread_rows_in_any_order_are_equal(bars: list[Bar], random: object) -> None:
    shuffled = list(bars)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert _as_dict(*spread_rows(*_arrays(bars))) == _as_dict(*spread_rows(*_arrays(shuffled)))


@settings(max_examples=200, deadline=None)
@given(st.lists(BARS, max_size=5), st.integers(1, 10_000), st.integers(1, 4))
def test_profile_sessions_any_sessions_equal_the_oracle(
    sessions: list[list[Bar]], basis_points: int, expansion: int
) -> None:
    starts = np.cumsum([0, *(len(bars) for bars in sessions)], dtype=np.int64)[:-1]
    low, high, steps = _arrays([bar for bars in sessions for bar in bars])

    levels = profile_sessions(low, high, steps, starts, value_area_basis_points=basis_points, expansion_rows=expansion)

    for k, bars in enumerate(sessions):
        lowest, rows = slow_rows(bars)
        if not rows:
            assert (levels.total[k], levels.held[k]) == (0, 0)
            continue
        vpoc, val, vah, held = slow_value_area(rows, basis_points, expansion)
        assert (levels.low[k], levels.high[k]) == (lowest, lowest + len(rows) - 1)
        assert (levels.vpoc[k], levels.val[k], levels.vah[k]) == (lowest + vpoc, lowest + val, lowest + vah)
        assert (levels.held[k], levels.total[k]) == (held, sum(rows))
        assert levels.val[k] <= levels.vpoc[k] <= levels.vah[k]
        assert int(levels.held[k]) * 10_000 >= basis_points * int(levels.total[k])


@settings(deadline=None)
@given(BARS.filter(lambda bars: any(bar[3] for bar in bars)), st.integers(-(10**7), 10**7))
def test_profile_sessions_prices_shifted_shift_the_levels(bars: list[Bar], shift: int) -> None:
    low, high, steps = _arrays(bars)
    here = profile_sessions(low, high, steps, np.array([0]))
    there = profile_sessions(low + shift, high + shift, steps, np.array([0]))

    for name in ("vpoc", "val", "vah", "low", "high"):
        assert getattr(there, name)[0] - getattr(here, name)[0] == shift, name
    assert (here.held[0], here.total[0]) == (there.held[0], there.total[0])


@settings(deadline=None)
@given(BARS)
def test_profile_sessions_int32_equals_int64(bars: list[Bar]) -> None:
    bars = [(low, high, close, volume % 2**31) for low, high, close, volume in bars]
    wide = profile_sessions(*_arrays(bars), np.array([0]))
    narrow = profile_sessions(*_arrays(bars, np.int32), np.array([0]))

    for name in ("vpoc", "val", "vah", "low", "high", "total", "held"):
        assert getattr(wide, name).tolist() == getattr(narrow, name).tolist()
        assert getattr(narrow, name).dtype == np.int64


def test_profile_sessions_wide_session_between_narrow_ones_leaves_them_alone() -> None:
    low = np.array([10, 10, 90_000, -90_000, 12, 10])
    steps = np.array([3, 3, 5, 4, 2, 7])

    levels = profile_sessions(low, low, steps, np.array([0, 1, 4, 5]))

    assert levels.low.tolist() == [10, -90_000, 12, 10]
    assert levels.high.tolist() == [10, 90_000, 12, 10]
    assert (levels.total // MICRO_LOTS).tolist() == [3, 12, 2, 7]
    assert levels.vpoc.tolist() == [10, 90_000, 12, 10]


def test_profile_sessions_with_stops_leaves_out_the_bars_between() -> None:
    low = np.array([1, 50, 3, 4])

    levels = profile_sessions(low, low, np.array([1, 9, 1, 5]), np.array([0, 2]), np.array([1, 4]))

    assert levels.high.tolist() == [1, 4]
    assert (levels.total // MICRO_LOTS).tolist() == [1, 6]


def test_profile_sessions_first_bar_without_volume_may_lie_anywhere() -> None:
    low = np.array([-(2**62), 5])

    levels = profile_sessions(low, low, np.array([0, 2]), np.array([0]))

    assert (levels.low[0], levels.high[0], levels.vpoc[0]) == (5, 5, 5)


def test_profile_sessions_total_at_the_limit_is_exact() -> None:
    low = np.array([0, 1, 2, 3])
    quarter = 2**40
    steps = np.array([quarter, quarter, quarter, quarter])

    levels = profile_sessions(low, low, steps, np.array([0]), value_area_basis_points=7500)

    assert levels.total[0] == 2**62
    # The middle lies between ticks 1 and 2: the lower is the VPOC; then two above, which makes exactly 75 %.
    assert (levels.vpoc[0], levels.val[0], levels.vah[0]) == (1, 1, 3)
    assert levels.held[0] == 3 * 2**60


def test_profile_sessions_one_step_past_the_limit_names_the_session() -> None:
    low = np.array([0, 0, 0])

    with pytest.raises(DataError, match=r"session 1: volume passes 2\*\*62 micro-lots"):
        profile_sessions(low, low, np.array([1, 2**42, 1]), np.array([0, 1]))


def test_profile_sessions_volumes_whose_sum_wraps_are_refused() -> None:
    low = np.zeros(4, dtype=np.int64)

    with pytest.raises(DataError, match="volume passes"):
        profile_sessions(low, low, np.full(4, 2**62), np.array([0]))


def test_profile_sessions_range_past_the_limit_names_the_session() -> None:
    low = np.array([0, 0, 2**24])

    with pytest.raises(DataError, match="session 1: prices span more than 16,777,216 ticks"):
        profile_sessions(low, low, np.array([1, 1, 1]), np.array([0, 1]))


def test_profile_sessions_widest_range_allowed_is_profiled() -> None:
    low = np.array([0, 2**24 - 1])

    levels = profile_sessions(low, low, np.array([1, 2]), np.array([0]))

    assert (levels.vpoc[0], levels.high[0]) == (2**24 - 1, 2**24 - 1)


@pytest.mark.parametrize(
    ("low", "high", "steps", "message"),
    [
        ([5], [4], [1], "high is below its low"),
        ([-(2**62)], [2**62], [1], "span more than"),
        ([5, 5], [6, 6], [1, -1], "volume is negative"),
        ([5.0], [6], [1], "must be integers"),
        ([5, 6], [6], [1], "must have the same length"),
    ],
)
def test_profile_sessions_bad_bars_are_refused(
    low: list[float], high: list[int], steps: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        profile_sessions(np.array(low), np.array(high), np.array(steps), np.array([0]))


@pytest.mark.parametrize(("starts", "stops"), [([0], [3]), ([-1], [1]), ([1], [0]), ([0, 1], [2])])
def test_profile_sessions_slices_outside_the_bars_are_refused(starts: list[int], stops: list[int]) -> None:
    low = np.array([1, 2])

    with pytest.raises(DataError, match="start"):
        profile_sessions(low, low, low, np.array(starts), np.array(stops))


@pytest.mark.parametrize("basis_points", [0, 10_001, -1, 0.7, "7000", True])
def test_profile_sessions_impossible_share_is_refused(basis_points: object) -> None:
    low = np.array([1])

    with pytest.raises(ConfigurationError, match="from 1 to 10000"):
        profile_sessions(low, low, low, np.array([0]), value_area_basis_points=basis_points)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [0, -2, 1.5])
def test_profile_sessions_impossible_expansion_is_refused(rows: object) -> None:
    low = np.array([1])

    with pytest.raises(ConfigurationError, match="expansion_rows"):
        profile_sessions(low, low, low, np.array([0]), expansion_rows=rows)  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(st.integers(2**33 - 2, 2**33 + 2), st.integers(1, 5000))
def test_spread_rows_around_the_float_limit_is_exact(steps: int, ticks: int) -> None:
    _, rows = spread_rows(np.array([0]), np.array([ticks - 1]), np.array([steps]))

    each, rest = divmod(steps * MICRO_LOTS, ticks)
    assert rows[:rest].tolist() == [each + 1] * rest
    assert rows[rest:].tolist() == [each] * (ticks - rest)
