"""Every engine against the slow oracle and against one thread: the same bits, whatever the batches and devices."""

import json
from collections.abc import Callable, Iterator
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument
from pipeline.profiles import MICRO_LOTS, SessionLevels, profile_sessions, session_profiles
from pipeline.profiles.engines.threads import threaded_profiles
from pipeline.profiles.engines.torch_engine import torch_profiles
from pipeline.profiles.slices import split_evenly
from tests.profiles.frames import TICK, frame
from tests.profiles.oracle import Bar, slow_rows, slow_value_area

Engine = Callable[..., SessionLevels]

ENGINES: dict[str, Engine] = {
    "numba": profile_sessions,
    "threads": partial(threaded_profiles, threads=3),
    "torch": torch_profiles,
    "torch, two devices": partial(torch_profiles, devices=["cpu", "cpu"]),
    "torch, batches of 7": partial(torch_profiles, max_cells=7),
    "torch, three devices, batches of 1": partial(torch_profiles, devices=["cpu"] * 3, max_cells=1),
}
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "volume_profiles.json").read_text())["cases"]
NAMES = ("vpoc", "val", "vah", "low", "high", "total", "held")

VOLUMES = st.one_of(st.integers(0, 5), st.integers(0, 100_000), st.integers(2**32, 2**36))
SHARES = st.one_of(st.integers(1, 10_000), st.sampled_from([1, 5000, 7000, 10_000]))


@st.composite
def _bar(draw: st.DrawFn) -> Bar:
    low = draw(st.integers(-60, 60))
    high = low + draw(st.integers(0, 25))
    return low, high, draw(st.integers(low, high)), draw(VOLUMES)


SESSIONS = st.lists(st.lists(_bar(), max_size=12), min_size=1, max_size=5)


@pytest.fixture(scope="module", autouse=True)
def _one_torch_thread() -> Iterator[None]:
    # Arrays this small gain nothing from more, and on a busy machine they wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=[pytest.param(engine, id=name) for name, engine in ENGINES.items()])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param  # type: ignore[no-any-return]


def _arrays(sessions: list[list[Bar]], allocation: str = "uniform") -> tuple[np.ndarray, ...]:
    """Low, high, steps, starts, and low the same object as high where all volume is on the close."""
    table = np.array([bar for bars in sessions for bar in bars], dtype=np.int64).reshape(-1, 4)
    starts = np.cumsum([0, *(len(bars) for bars in sessions)], dtype=np.int64)[:-1]
    low, high, close, steps = (np.ascontiguousarray(column) for column in table.T)
    return (close, close, steps, starts) if allocation == "close" else (low, high, steps, starts)


def _expected(bars: list[Bar], basis_points: int, expansion: int, allocation: str = "uniform") -> tuple[int, ...]:
    lowest, rows = slow_rows(bars, allocation)
    if not rows:
        return (0,) * 7
    vpoc, val, vah, held = slow_value_area(rows, basis_points, expansion)
    return lowest + vpoc, lowest + val, lowest + vah, lowest, lowest + len(rows) - 1, sum(rows), held


def _found(levels: SessionLevels) -> list[tuple[int, ...]]:
    assert all(column.dtype == np.int64 for column in astuple(levels))
    return list(zip(*(getattr(levels, name).tolist() for name in NAMES), strict=True))


@settings(deadline=None)
@given(SESSIONS, SHARES, st.integers(1, 4), st.sampled_from(["uniform", "close"]))
def test_engines_any_sessions_equal_the_oracle(
    sessions: list[list[Bar]], basis_points: int, expansion: int, allocation: str
) -> None:
    expected = [_expected(bars, basis_points, expansion, allocation) for bars in sessions]

    for name, engine in ENGINES.items():
        levels = engine(*_arrays(sessions, allocation), value_area_basis_points=basis_points, expansion_rows=expansion)
        assert _found(levels) == expected, name


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=60), min_size=1, max_size=4), SHARES, st.integers(1, 5)
)
def test_engines_any_order_of_high_and_low_rows_equals_the_oracle(
    profiles: list[list[int]], basis_points: int, expansion: int
) -> None:
    # The value area without a loop rests on a proof; ties and pairs that rise outward are what could break it.
    sessions = [[(tick, tick, tick, volume) for tick, volume in enumerate(rows)] for rows in profiles]
    expected = [_expected(bars, basis_points, expansion) for bars in sessions]

    for name in ("numba", "torch", "torch, two devices"):
        levels = ENGINES[name](*_arrays(sessions), value_area_basis_points=basis_points, expansion_rows=expansion)
        assert _found(levels) == expected, name


@settings(max_examples=50, deadline=None)
@given(SESSIONS, SHARES)
def test_engines_any_sessions_hold_the_invariants(sessions: list[list[Bar]], basis_points: int) -> None:
    mass = [MICRO_LOTS * sum(volume for *_, volume in bars) for bars in sessions]

    for engine in ENGINES.values():
        levels = engine(*_arrays(sessions), value_area_basis_points=basis_points)
        assert levels.total.tolist() == mass
        assert (levels.low <= levels.val).all()
        assert ((levels.val <= levels.vpoc) & (levels.vpoc <= levels.vah)).all()
        assert (levels.vah <= levels.high).all()
        held = [int(value) * 10_000 for value in levels.held]
        assert all(have >= basis_points * whole for have, whole in zip(held, mass, strict=True))


@settings(max_examples=50, deadline=None)
@given(SESSIONS, st.integers(-(10**12), 10**12))
def test_engines_prices_shifted_shift_the_levels(sessions: list[list[Bar]], shift: int) -> None:
    low, high, steps, starts = _arrays(sessions)

    for engine in ENGINES.values():
        here, there = engine(low, high, steps, starts), engine(low + shift, high + shift, steps, starts)
        moved = np.where(here.total > 0, shift, 0)  # a session without volume is all zeros
        for name in ("vpoc", "val", "vah", "low", "high"):
            assert (getattr(there, name) - getattr(here, name)).tolist() == moved.tolist(), name
        assert (here.total.tolist(), here.held.tolist()) == (there.total.tolist(), there.held.tolist())


@settings(max_examples=50, deadline=None)
@given(SESSIONS, st.integers(1, 6), st.integers(1, 300))
def test_torch_any_split_of_bars_over_devices_adds_up(sessions: list[list[Bar]], devices: int, max_cells: int) -> None:
    whole = profile_sessions(*_arrays(sessions))
    split = torch_profiles(*_arrays(sessions), devices=["cpu"] * devices, max_cells=max_cells)

    assert _found(split) == _found(whole)


@settings(max_examples=50, deadline=None)
@given(st.lists(_bar(), min_size=1, max_size=30), st.data())
def test_engines_slices_in_any_order_with_gaps_equal_one_thread(bars: list[Bar], data: st.DataObject) -> None:
    low, high, steps, _ = _arrays([bars])
    place = st.integers(0, len(bars))
    slices = np.sort(data.draw(st.lists(st.tuples(place, place), min_size=1, max_size=6)), axis=1)
    starts, stops = slices[:, 0], slices[:, 1]
    expected = _found(profile_sessions(low, high, steps, starts, stops))

    for name, engine in ENGINES.items():
        assert _found(engine(low, high, steps, starts, stops)) == expected, name


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in GOLDEN])
def test_engines_golden_case_equals_every_level(case: dict[str, Any]) -> None:
    bars = [(bar["low"], bar["high"], bar["close"], bar["volume"]) for bar in case["bars"]]
    expected = case["expected"]
    rows = [int(text) for text in expected["micro_lots"]] if expected else []
    levels = [expected[name] for name in ("vpoc", "val", "vah", "low", "high")] if expected else [0] * 5
    held = int(expected["value_area_micro_lots"]) if expected else 0

    for name, engine in ENGINES.items():
        found = engine(
            *_arrays([bars], case["allocation"]),
            value_area_basis_points=case["value_area_basis_points"],
            expansion_rows=case["expansion_rows"],
        )
        assert _found(found) == [(*levels, sum(rows), held)], name


@pytest.mark.parametrize("device", ["threads", "torch", "torch,torch", "auto", "cuda", "cuda:0,cuda:1"])
@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in GOLDEN])
def test_session_profiles_golden_case_on_a_device_equals_cpu(case: dict[str, Any], device: str, es: Instrument) -> None:
    bars = frame([(bar["low"], bar["high"], bar["close"], bar["volume"]) for bar in case["bars"]])
    asked = {name: case[name] for name in ("allocation", "value_area_basis_points", "expansion_rows")}

    found = session_profiles(bars, es, device=device, **asked)

    pd.testing.assert_frame_equal(found, session_profiles(bars, es, **asked), check_exact=True)
    if case["expected"]:
        assert found["vpoc"].tolist() == [case["expected"]["vpoc"] * TICK]


@pytest.mark.parametrize("device", ["threads", "torch", "torch,torch"])
def test_session_profiles_real_es_on_a_device_equals_cpu(es: Instrument, real_data: Path, device: str) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:120_000]

    for asked in ({"hours": "rth"}, {"hours": "eth", "allocation": "close", "expansion_rows": 1}):
        expected = session_profiles(bars, es, **asked)
        assert len(expected) > 400
        pd.testing.assert_frame_equal(session_profiles(bars, es, device=device, **asked), expected, check_exact=True)


def test_engines_total_at_the_limit_is_exact(engine: Engine) -> None:
    low = np.tile([0, 1, 2, 3], 3)
    steps = np.full(12, 2**40)

    levels = engine(low, low.copy(), steps, np.array([0, 4, 8]), value_area_basis_points=7500)

    assert _found(levels) == [(1, 1, 3, 0, 3, 2**62, 3 * 2**60)] * 3


def test_engines_wide_bar_at_the_limit_is_exact(engine: Engine) -> None:
    low, high, steps = np.array([-5, 3]), np.array([994, 3]), np.array([2**42 - 1, 1])

    levels = engine(low, high, steps, np.array([0]), value_area_basis_points=6789)

    assert _found(levels) == [_expected([(-5, 994, 0, 2**42 - 1), (3, 3, 3, 1)], 6789, 2)]
    assert levels.total[0] == 2**62


def test_engines_wide_session_beside_a_narrow_one_is_profiled(engine: Engine) -> None:
    low = np.array([7, 7 + 2**20, 0])

    levels = engine(low, low, np.array([1, 2, 5]), np.array([0, 2]), expansion_rows=1)

    assert _found(levels) == [
        (7 + 2**20, 7, 7 + 2**20, 7, 7 + 2**20, 3 * MICRO_LOTS, 3 * MICRO_LOTS),
        (0, 0, 0, 0, 0, 5 * MICRO_LOTS, 5 * MICRO_LOTS),
    ]


def test_engines_bars_without_volume_may_lie_anywhere(engine: Engine) -> None:
    low = np.array([-(2**62), 5, 2**62, 9, 9])
    high = np.array([2**62, 6, -(2**62), 9, 1])

    levels = engine(low, high, np.array([0, 2, 0, 0, 0]), np.array([0, 3]))

    assert _found(levels) == [(5, 5, 6, 5, 6, 2 * MICRO_LOTS, 2 * MICRO_LOTS), (0,) * 7]


@pytest.mark.parametrize("bars", [0, 3])
def test_engines_no_sessions_give_empty_levels(engine: Engine, bars: int) -> None:
    low = np.zeros(bars, dtype=np.int64)

    assert _found(engine(low, low, low, np.empty(0, dtype=np.int64))) == []
    assert _found(engine(low, low, low, np.zeros(2, dtype=np.int64))) == [(0,) * 7] * 2


def test_engines_int32_bars_equal_int64(engine: Engine) -> None:
    low, high, steps = np.array([3, 1, 2]), np.array([9, 4, 2]), np.array([2**31 - 1, 5, 7])

    wide = engine(low, high, steps, np.array([0, 2]))
    narrow = engine(*(column.astype(np.int32) for column in (low, high, steps)), np.array([0, 2]))

    assert _found(narrow) == _found(wide)


BAD = {
    "past 2**62": ([0, 0, 0], [0, 0, 0], [1, 2**42, 1]),
    "sum wraps": ([0] * 6, [0] * 6, [1, *[2**62] * 5]),
    "negative": ([0, 5, 5], [0, 6, 6], [1, 1, -1]),
    "negative among none": ([0, 5, 5], [0, 6, 6], [1, 0, -1]),
    "backward": ([0, 5], [0, 4], [1, 1]),
    "too wide": ([0, 0, 2**24], [0, 0, 2**24], [1, 1, 1]),
    "wider than 64 bits": ([0, -(2**63)], [0, 2**63 - 1], [1, 1]),
}


@pytest.mark.parametrize(("low", "high", "steps"), BAD.values(), ids=BAD.keys())
def test_engines_bad_session_is_refused_in_the_same_words(
    engine: Engine, low: list[int], high: list[int], steps: list[int]
) -> None:
    # Session 0 is good; sessions 1 and 2 are both bad, and the first is named.
    arrays = [np.array([*column, *column[1:]], dtype=np.int64) for column in (low, high, steps)]
    starts = np.array([0, 1, len(low)])
    with pytest.raises(DataError) as expected:
        profile_sessions(*arrays, starts, name="day {}".format)

    with pytest.raises(DataError) as found:
        engine(*arrays, starts, name="day {}".format)

    assert str(found.value) == str(expected.value)
    assert str(found.value).startswith("day 1: ")


@pytest.mark.parametrize(
    ("low", "high", "steps", "starts", "stops"),
    [
        ([5.0], [6], [1], [0], None),
        ([5, 6], [6], [1], [0], None),
        ([1, 2], [1, 2], [1, 2], [0], [3]),
        ([1, 2], [1, 2], [1, 2], [-1], [1]),
        ([1, 2], [1, 2], [1, 2], [1], [0]),
        ([1, 2], [1, 2], [1, 2], [0, 1], [2]),
    ],
)
def test_engines_impossible_arrays_are_refused(
    engine: Engine, low: list[float], high: list[int], steps: list[int], starts: list[int], stops: list[int] | None
) -> None:
    with pytest.raises(DataError, match=r"must be integers|must have the same length|must start at|need one entry"):
        engine(
            np.array(low),
            np.array(high),
            np.array(steps),
            np.array(starts),
            None if stops is None else np.array(stops),
        )


@pytest.mark.parametrize("wrong", [{"value_area_basis_points": 0}, {"expansion_rows": 0}])
def test_engines_impossible_settings_are_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="it must be"):
        engine(np.array([1]), np.array([1]), np.array([1]), np.array([0]), **wrong)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_torch_tensors_are_taken_as_arrays_are(dtype: torch.dtype) -> None:
    low, high, steps, starts = np.array([3, 1, 2]), np.array([9, 4, 2]), np.array([5, 5, 7]), np.array([0, 2])

    found = torch_profiles(*(torch.from_numpy(column).to(dtype) for column in (low, high, steps)), starts)

    assert _found(found) == _found(profile_sessions(low, high, steps, starts))


def test_torch_tensors_of_floats_are_refused() -> None:
    price = torch.tensor([1.0])

    with pytest.raises(DataError, match="must be integers"):
        torch_profiles(price, price, price, np.array([0]))


def test_torch_read_only_arrays_are_taken_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    low = np.array([3, 1, 2])
    low.flags.writeable = False

    assert torch_profiles(low, low, low, np.array([0])).total.tolist() == [6 * MICRO_LOTS]
    assert len(recwarn) == 0


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 8))
def test_split_evenly_any_lengths_cover_every_session_once(lengths: list[int], parts: int) -> None:
    runs = split_evenly(np.array(lengths, dtype=np.int64), parts)

    assert [k for run in runs for k in range(run.start, run.stop)] == list(range(len(lengths)))
    assert len(runs) <= parts
    assert all(run.start < run.stop for run in runs)
