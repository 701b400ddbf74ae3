"""Rows of several ticks and TPOs, of any bars, on every engine and in all of the family, against a slow oracle."""

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.profiles import (
    MICRO_LOTS,
    RowRule,
    StreamedProfiles,
    composite_levels,
    composite_profile,
    developing_levels,
    naked_at_close,
    naked_vpocs,
    profile_levels,
    profile_rows,
    profile_sessions,
    session_profiles,
    session_structure,
    single_prints,
    trade_profiles,
    volume_nodes,
)
from pipeline.profiles.engines.threads import threaded_profiles
from pipeline.profiles.engines.torch_engine import torch_profiles
from tests.profiles.frames import TICK, frame
from tests.profiles.oracle import Bar, slow_levels, slow_tpo_rows, slow_wide_rows
from tests.profiles.trade_frames import trades_frame

ES = load_instruments()["ES"]
ENGINES = {
    "numba": profile_sessions,
    "threads": partial(threaded_profiles, threads=3),
    "torch": torch_profiles,
    "torch, two devices": partial(torch_profiles, devices=["cpu", "cpu"]),
    "torch, batches of 7": partial(torch_profiles, max_cells=7),
}
HEIGHTS = st.sampled_from([1, 2, 3, 4, 7, 10, 25, 1000])
ALLOCATIONS = st.sampled_from(["uniform", "close", "tpo"])
SHARES = st.sampled_from([1, 5000, 7000, 8000, 10_000])
LEVELS = ["vpoc", "val", "vah", "low", "high", "volume", "value_area_volume"]
MINUTES = 7


@st.composite
def _bar(draw: st.DrawFn) -> Bar:
    low = draw(st.integers(-60, 60))
    high = low + draw(st.integers(0, 25))
    return low, high, draw(st.integers(low, high)), draw(st.sampled_from([0, 0, 1, 3, 950, 2**33 + 5]))


SESSIONS = st.lists(st.lists(_bar(), min_size=1, max_size=12), min_size=1, max_size=4)
SPACED = st.lists(st.integers(1, 20), min_size=12, max_size=12)  # minutes from bar to bar


def _bars(sessions: list[list[Bar]], gaps: list[int]) -> tuple[pd.DataFrame, list[list[int]]]:
    """Sessions of bars within regular hours, and the bracket of each bar."""
    frames, brackets = [], []
    for day, bars in zip(pd.bdate_range("2024-03-04", periods=len(sessions)), sessions, strict=True):
        minutes = np.cumsum([0, *gaps])[: len(bars)]
        own = frame(bars)
        own["timestamp"] = pd.Timestamp(f"{day.date()} 14:30Z") + pd.to_timedelta(minutes, unit="min")
        frames.append(own)
        brackets.append((minutes // MINUTES).tolist())
    whole = pd.concat(frames, ignore_index=True)
    # The oracle's ticks may be below zero, ES's prices are not.
    for name in ("open", "high", "low", "close"):
        whole[name] += 4000 * TICK
    return whole.astype({"timestamp": "datetime64[ns, UTC]"}), brackets


def _expected(
    bars: list[Bar], brackets: list[int], allocation: str, height: int, share: int = 7000, expansion: int = 2
) -> tuple[float, ...] | None:
    """The levels of session_profiles, from the oracle; None without a profile."""
    moved = [(low + 4000, high + 4000, close + 4000, volume) for low, high, close, volume in bars]
    if allocation == "tpo":
        lowest, rows = slow_tpo_rows(moved, brackets, height)
        counted = moved
    else:
        lowest, rows = slow_wide_rows(moved, height, allocation)
        counted = [bar for bar in moved if bar[3]]
    if not rows:
        return None
    vpoc, val, vah, total, held = slow_levels(lowest, rows, height, share, expansion)
    low, high = (2, 2) if allocation == "close" else (0, 1)
    ticks = (vpoc, val, vah, min(bar[low] for bar in counted), max(bar[high] for bar in counted))
    unit = 1 if allocation == "tpo" else MICRO_LOTS
    return (*(tick * TICK for tick in ticks), total / unit, held / unit)


@settings(max_examples=150, deadline=None)
@given(SESSIONS, HEIGHTS, SHARES, st.integers(1, 3), st.booleans())
def test_engines_any_height_equal_the_oracle(
    sessions: list[list[Bar]], height: int, share: int, expansion: int, close: bool
) -> None:
    allocation = "close" if close else "uniform"
    table = np.array([bar for bars in sessions for bar in bars], dtype=np.int64)
    low, high, closes, steps = (np.ascontiguousarray(column) for column in table.T)
    starts = np.cumsum([0, *(len(bars) for bars in sessions)])[:-1]
    expected = []
    for bars in sessions:
        lowest, rows = slow_wide_rows(bars, height, allocation)
        counted = [bar[2:3] * 2 if close else bar[:2] for bar in bars if bar[3]]
        if rows:
            vpoc, val, vah, total, held = slow_levels(lowest, rows, height, share, expansion)
            extremes = min(bar[0] for bar in counted), max(bar[1] for bar in counted)
            expected.append((vpoc, val, vah, *extremes, total, held))
        else:
            expected.append((0,) * 7)

    for name, engine in ENGINES.items():
        arrays = (closes, closes) if close else (low, high)
        levels = engine(
            *arrays, steps, starts, value_area_basis_points=share, expansion_rows=expansion, ticks_per_row=height
        )
        columns = (levels.vpoc, levels.val, levels.vah, levels.low, levels.high, levels.total, levels.held)
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected, name


@settings(max_examples=100, deadline=None)
@given(SESSIONS, SPACED, HEIGHTS, ALLOCATIONS, SHARES, st.integers(1, 2))
def test_session_profiles_any_rows_equal_the_oracle_on_every_device(
    sessions: list[list[Bar]], gaps: list[int], height: int, allocation: Any, share: int, expansion: int
) -> None:
    bars, brackets = _bars(sessions, gaps)
    found = [
        _expected(own, numbers, allocation, height, share, expansion)
        for own, numbers in zip(sessions, brackets, strict=True)
    ]
    expected = [levels for levels in found if levels is not None]
    chosen = {"allocation": allocation, "ticks_per_row": height, "tpo_minutes": MINUTES}
    areas = {"value_area_basis_points": share, "expansion_rows": expansion}

    for device in ("cpu", "threads", "torch"):
        profiles = session_profiles(bars, ES, device=device, **chosen, **areas)
        assert list(profiles[LEVELS].itertuples(index=False, name=None)) == expected, device
    streamed = StreamedProfiles(ES, **chosen, **areas).add(bars).result()
    pd.testing.assert_frame_equal(streamed[LEVELS], profiles[LEVELS], check_exact=True, check_freq=False)


@settings(max_examples=60, deadline=None)
@given(SESSIONS, SPACED, HEIGHTS, ALLOCATIONS)
def test_developing_levels_any_rows_are_the_profile_so_far(
    sessions: list[list[Bar]], gaps: list[int], height: int, allocation: Any
) -> None:
    bars, brackets = _bars(sessions[:1], gaps)

    levels = developing_levels(bars, ES, allocation=allocation, ticks_per_row=height, tpo_minutes=MINUTES)

    for count, found in enumerate(levels[LEVELS].itertuples(index=False, name=None), start=1):
        expected = _expected(sessions[0][:count], brackets[0][:count], allocation, height)
        assert found == expected if expected else np.isnan(found[0])


@settings(max_examples=60, deadline=None)
@given(SESSIONS, SPACED, HEIGHTS, ALLOCATIONS, st.integers(-50, 50))
def test_rows_hold_the_invariants(
    sessions: list[list[Bar]], gaps: list[int], height: int, allocation: Any, rows: int
) -> None:
    bars, brackets = _bars(sessions[:1], gaps)
    chosen = {"allocation": allocation, "ticks_per_row": height, "tpo_minutes": MINUTES}
    moved = bars.copy()
    for name in ("open", "high", "low", "close"):
        moved[name] += (rows + 50) * height * TICK
    lowest, held = profile_rows(bars, ES, **chosen)
    shifted, same = profile_rows(moved, ES, **chosen)

    assert same.tolist() == held.tolist()
    assert shifted == (lowest + rows + 50 if len(held) else 0)
    profiles = session_profiles(bars, ES, **chosen)
    assert (profiles["val"] <= profiles["vpoc"]).all()
    assert (profiles["vpoc"] <= profiles["vah"]).all()
    assert (profiles["value_area_volume"] * 10_000 >= 7000 * profiles["volume"]).all()
    if allocation == "tpo":
        # One for each row of each bracket's range, whatever the volume.
        low, high = (bars[name].to_numpy() / TICK // height for name in ("low", "high"))
        own = pd.DataFrame({"bracket": brackets[0], "low": low, "high": high}).groupby("bracket")
        assert held.sum() == (own["high"].max() - own["low"].min() + 1).sum()
        assert held.max() <= len(set(brackets[0]))
    else:
        assert held.sum() == MICRO_LOTS * int(bars["volume"].sum())


@settings(max_examples=60, deadline=None)
@given(SESSIONS, SPACED, HEIGHTS, ALLOCATIONS, st.data())
def test_profiles_add_over_splits_of_volume_and_over_splits_between_brackets(
    sessions: list[list[Bar]], gaps: list[int], height: int, allocation: Any, data: st.DataObject
) -> None:
    bars, brackets = _bars(sessions[:1], gaps)
    numbers = np.array(brackets[0])
    # Volume adds over any split of bars; time only where no bracket is cut.
    left = data.draw(st.integers(0, int(numbers.max()) + 1)) > numbers
    if allocation != "tpo":
        left = np.array(data.draw(st.lists(st.booleans(), min_size=len(bars), max_size=len(bars))))
    chosen = {"allocation": allocation, "ticks_per_row": height, "tpo_minutes": MINUTES}

    parts = [profile_rows(bars[side], ES, **chosen) for side in (left, ~left) if side.any()]

    lowest, rows = profile_rows(bars, ES, **chosen)
    added = np.zeros(len(rows), np.int64)
    for first, part in parts:
        added[first - lowest : first - lowest + len(part)] += part if len(part) else 0
    assert added.tolist() == rows.tolist()


@settings(max_examples=40, deadline=None)
@given(SESSIONS, SPACED, HEIGHTS, st.data())
def test_streamed_tpos_any_cut_order_and_merge_join_brackets(
    sessions: list[list[Bar]], gaps: list[int], height: int, data: st.DataObject
) -> None:
    bars, _ = _bars(sessions, gaps)
    chosen: dict[str, Any] = {"allocation": "tpo", "ticks_per_row": height, "tpo_minutes": MINUTES}
    cuts = sorted(data.draw(st.lists(st.integers(0, len(bars)), max_size=6)))
    edges = [0, *cuts, len(bars)]
    pieces = [bars.iloc[begin:end] for begin, end in pairwise(edges)]
    streams = [StreamedProfiles(ES, **chosen) for _ in range(3)]
    for place in data.draw(st.permutations(range(len(pieces)))):
        streams[place % 3].add(pieces[place])

    merged = streams[2].merge(streams[0]).merge(streams[1])

    pd.testing.assert_frame_equal(
        merged.result()[LEVELS], session_profiles(bars, ES, **chosen)[LEVELS], check_freq=False
    )
    pd.testing.assert_frame_equal(merged.levels(), profile_levels(bars, ES, **chosen))


@pytest.mark.parametrize("allocation", ["uniform", "tpo"])
def test_composite_of_rows_adds_the_sessions_rows(allocation: Any) -> None:
    days = [[(18_000, 18_009, 18_003, 40), (18_004, 18_011, 18_010, 7)], [(18_009, 18_030, 18_012, 95)]]
    bars, _ = _bars(days, [20] * 12)
    chosen = {"allocation": allocation, "ticks_per_row": 4}

    whole = composite_profile(bars, ES, by="week", **chosen).iloc[0]

    alone = [profile_rows(part, ES, **chosen) for _, part in bars.groupby(bars["timestamp"].dt.date)]
    lowest = min(first for first, _ in alone)
    rows = [0] * (max(first + len(part) for first, part in alone) - lowest)
    for first, part in alone:
        for place, value in enumerate(part.tolist()):
            rows[first - lowest + place] += value
    vpoc, val, vah, total, held = slow_levels(lowest, rows, 4)
    unit = 1 if allocation == "tpo" else MICRO_LOTS
    assert (whole["vpoc"] / TICK, whole["val"] / TICK, whole["vah"] / TICK) == (vpoc, val, vah)
    assert (whole["low"] / TICK, whole["high"] / TICK) == (22_000, 22_030)
    assert (whole["volume"], whole["value_area_volume"]) == (total / unit, held / unit)
    levels = composite_levels(bars, ES, by="week", **chosen)
    assert (levels["volume"] * unit).tolist() == rows
    assert levels.index.get_level_values("price")[0] == lowest * 4 * TICK


def test_tpo_of_bars_without_volume_needs_none_in_all_of_the_family(es: Instrument) -> None:
    days = [[(100, 112, 108, 0), (104, 108, 106, 0)], [(109, 118, 110, 0)], [(90, 108, 95, 0)]]
    bars, _ = _bars(days, [31] * 12)
    chosen: dict[str, Any] = {"allocation": "tpo", "ticks_per_row": 2}
    profiles = session_profiles(bars, es, **chosen)

    assert profiles["volume"].tolist() == [10, 6, 10]
    assert session_profiles(bars, es).empty
    naked = naked_vpocs(profiles, bars, es, **chosen)
    assert (naked["vpoc"] / TICK - 4000).tolist() == [106, 112, 98]
    assert naked["state"].tolist() == ["tested", "naked", "naked"]
    assert naked_at_close(profiles, bars, es, **chosen)["naked_above"].tolist()[2] == (4000 + 112) * TICK
    structure = session_structure(bars, profiles, es, **chosen)
    # Of the first session's rows 100 to 112 the second bracket touched 104 to 108.
    assert structure["buying_tail_ticks"].tolist() == [4, 10, 19]
    assert structure["selling_tail_ticks"].tolist() == [3, 10, 19]
    assert structure["ib_range_ticks"].tolist() == [12, 9, 18]
    nodes = volume_nodes(bars, profiles, es, node_window=1, **chosen)
    assert set(nodes["price"] / TICK % 2) == {0.0}
    assert single_prints(bars, profiles, es, **chosen).empty
    assert composite_profile(bars, es, by="week", **chosen)["volume"].tolist() == [26]


def test_tpo_brackets_begin_at_the_open_of_the_hours(es: Instrument) -> None:
    # Brackets of 50 minutes from 08:30 hold 09:15 and 09:20 in one bracket and the next, from 17:00 in the same.
    bars = frame([(100, 104, 102, 1), (102, 106, 104, 1)], start="2024-03-05 15:15Z", minutes=5)
    regular = session_profiles(bars, es, allocation="tpo", tpo_minutes=50)
    whole = session_profiles(bars, es, allocation="tpo", tpo_minutes=50, hours="eth")

    assert (regular["volume"].tolist(), whole["volume"].tolist()) == ([10], [7])
    assert profile_rows(bars, es, allocation="tpo", tpo_minutes=50)[1].tolist() == [1, 1, 2, 2, 2, 1, 1]
    night = frame([(100, 104, 102, 1)], start="2024-03-05 06:00Z")
    both = pd.concat([night, bars], ignore_index=True)
    # With a bar of the night all brackets begin with the trade date.
    assert profile_rows(both, es, allocation="tpo", tpo_minutes=50)[1].tolist() == [2, 2, 2, 2, 2, 1, 1]


def test_tpo_of_two_contracts_counts_the_one_in_force(es: Instrument) -> None:
    bars, _ = _bars([[(100, 103, 101, 5), (400, 404, 402, 9), (101, 104, 102, 3)]], [1] * 12)
    bars["contract"] = pd.array(["ESH24", "ESM24", "ESH24"], dtype="str")

    profiles = session_profiles(bars, es, allocation="tpo")

    assert (profiles["contract"].tolist(), profiles["volume"].tolist()) == (["ESM24"], [5])
    # Of all bars each contract has its own brackets.
    lowest, rows = profile_rows(bars, es, allocation="tpo")
    assert (lowest, rows.sum(), rows[:5].tolist()) == (4100, 10, [1] * 5)


def test_trades_in_rows_keep_volume_and_sides(es: Instrument) -> None:
    trades = trades_frame([(60, 18_000, 3, 1), (61, 18_003, 4, -1), (62, 18_004, 5, 1)])
    start = pd.Timestamp("2024-03-05 15:00Z")
    trades["timestamp"] = [start + pd.Timedelta(seconds=second) for second in range(3)]

    profiles = trade_profiles(trades, es, ticks_per_row=4)
    tpo = StreamedProfiles(es, allocation="tpo", ticks_per_row=2).add(trades).result()

    row = profiles.iloc[0]
    assert (row["vpoc"] / TICK, row["val"] / TICK, row["vah"] / TICK) == (18_001, 18_000, 18_007)
    assert (row["low"] / TICK, row["high"] / TICK) == (18_000, 18_004)
    assert (row["volume"], row["buy_volume"], row["sell_volume"]) == (12, 8, 4)
    assert tpo["volume"].tolist() == [3]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"allocation": "volume"}, "allocation is 'volume'"),
        ({"ticks_per_row": 0}, "ticks_per_row is 0"),
        ({"ticks_per_row": 2.5}, "ticks_per_row is 2.5"),
        ({"tpo_minutes": 0}, "tpo_minutes is 0"),
        ({"tpo_minutes": True}, "tpo_minutes is True"),
    ],
)
def test_impossible_rows_are_refused(chosen: dict[str, Any], message: str, es: Instrument) -> None:
    for call in (session_profiles, profile_rows, developing_levels):
        with pytest.raises(ConfigurationError, match=message):
            call(frame([(1, 1, 1, 1)]), es, **chosen)
    with pytest.raises(ConfigurationError, match=message):
        RowRule(**chosen)
