"""Columns in one pass: whatever a pass calls ordinary is what the instrument itself makes of it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.market import label_sessions, load_instruments
from pipeline.market.contracts import contract_runs, contracts_of_sessions
from pipeline.market.sessions import session_slices
from pipeline.market.whole_numbers import (
    all_finite,
    all_rise,
    ordinary_columns,
    whole_prices,
    whole_range,
    whole_volumes,
)

INSTRUMENTS = load_instruments()
ODD = INSTRUMENTS["ES"].model_copy(update={"tick_size": 0.3, "volume_step": 0.001})
EACH = pytest.mark.parametrize("instrument", [*INSTRUMENTS.values(), ODD], ids=lambda each: f"{each.tick_size:g}")

ticks = st.integers(-(2**31) + 3, 2**31 - 3)
beside = st.sampled_from([0.0, 1e-9, -4e-7, 6e-7, -9e-7, 1.1e-6, 0.01, 0.5])


@EACH
@given(st.lists(st.tuples(ticks, beside), min_size=1, max_size=20))
def test_whole_prices_called_ordinary_are_on_the_tick_and_converted_as_the_instrument_does(instrument, drawn):
    prices = instrument.to_prices([tick for tick, _ in drawn]) + instrument.tick_size * np.array([b for _, b in drawn])
    found = np.empty(len(prices), np.int32)
    if whole_prices(prices, instrument, found):
        assert not instrument.off_tick(prices).any()
        assert found.tolist() == instrument.to_ticks(prices).tolist()


@EACH
@given(st.lists(st.integers(-(10**8), 10**8), min_size=1, max_size=20))
def test_whole_prices_of_the_instruments_own_prices_are_ordinary(instrument, drawn):
    found = np.empty(len(drawn), np.int32)
    assert whole_prices(instrument.to_prices(drawn), instrument, found)
    assert found.tolist() == drawn


@EACH
@given(st.lists(st.tuples(st.integers(0, 2**31 - 3), beside), min_size=1, max_size=20))
def test_whole_volumes_called_ordinary_are_whole_steps(instrument, drawn):
    volumes = (np.array([step for step, _ in drawn]) + np.array([b for _, b in drawn])) * instrument.volume_step
    found = np.empty(len(volumes), np.int64)
    if whole_volumes(volumes, instrument, found):
        assert found.tolist() == instrument.to_steps(volumes).tolist()
        scaled = volumes / instrument.volume_step
        assert (np.abs(scaled - np.rint(scaled)) <= 1e-6).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 5000.1, 2.0**31, -(2.0**31)])
@pytest.mark.parametrize("row", [0, 511, 1000])
def test_whole_passes_with_one_value_out_of_the_ordinary_say_so(wrong, row):
    es, out = INSTRUMENTS["ES"], np.empty((2, 1001), np.int32)
    good, bad = np.full(1001, 5000.25), np.full(1001, 5000.25)
    bad[row] = wrong
    assert whole_prices(good, es, out[0])
    assert whole_range(good, good, es, *out)
    assert not whole_prices(bad, es, out[0])
    assert not whole_range(bad, good, es, *out)
    assert not whole_range(good, bad, es, *out)
    assert not whole_range(good, good - 0.25 * (np.arange(1001) == row), es, *out)
    assert all_finite(bad) == np.isfinite(wrong)
    volume = np.full(1001, 7.0)
    volume[row] = {5000.1: -1.0}.get(wrong, wrong)
    assert not whole_volumes(volume, es, out[0])


def test_all_rise_with_equal_falling_or_missing_times_is_false():
    assert all_rise(np.array([], np.int64))
    assert all_rise(np.array([-5, 3, 4]))
    assert not all_rise(np.array([3, 3]))
    assert not all_rise(np.array([4, 3]))
    assert not all_rise(np.array([pd.NaT.value, 3]))


def test_ordinary_columns_take_times_of_any_unit_and_zone_from_column_or_index():
    times = pd.date_range("2024-03-05 08:30", periods=3, freq="min", tz="America/Chicago")
    expected = times.as_unit("ns").asi8.tolist()
    for unit in ("s", "ms", "us", "ns"):
        frame = pd.DataFrame({"timestamp": times.as_unit(unit), "volume": [1, 2, 3]})
        assert ordinary_columns(frame, ("timestamp", "volume"))["timestamp"].tolist() == expected
        assert ordinary_columns(frame.set_index("timestamp"), ("timestamp",))["timestamp"].tolist() == expected


@pytest.mark.parametrize(
    "frame",
    [
        {"timestamp": pd.date_range("2024-03-05", periods=2), "low": [1.0, 2.0]},  # without a zone
        {"timestamp": ["2024-03-05", "2024-03-06"], "low": [1.0, 2.0]},
        {"timestamp": pd.date_range("2024-03-05", periods=2, tz="UTC"), "low": [1, 2]},
        {"timestamp": pd.date_range("2024-03-05", periods=2, tz="UTC"), "low": ["1", "2"]},
        {"timestamp": pd.date_range("2024-03-05", periods=2, tz="UTC")},
    ],
)
def test_ordinary_columns_of_other_kinds_are_none(frame):
    assert ordinary_columns(pd.DataFrame(frame), ("timestamp", "low")) is None


KINDS = {
    "text": lambda names: pd.Series(names, dtype="str"),
    "objects": lambda names: pd.Series(names, dtype=object),
    "numbers": lambda names: pd.Series([202400 + len(name) for name in names]),
    "categories": lambda names: pd.Series(names, dtype="category"),
    "chunks": lambda names: pd.concat([pd.Series(names[:1], dtype="str"), pd.Series(names[1:], dtype="str")]),
}


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.sampled_from(["H", "HM", "HMU"]), max_size=12))
def test_contract_runs_of_any_dtype_give_back_every_rows_contract(kind, names):
    column = KINDS[kind](names)
    runs = contract_runs(column)
    assert runs.names[runs.at(np.arange(len(names)))].tolist() == column.astype("str").tolist()
    assert runs.changes.tolist() == [row for row in range(1, len(names)) if names[row] != names[row - 1]]


def test_contracts_of_sessions_take_the_larger_and_of_equals_the_later():
    runs = contract_runs(pd.Series(list("HHMHMMUM"), dtype="str"))
    steps = np.array([5, 1, 3, 2, 2, 1, 3, 9])
    winners, lesser = contracts_of_sessions(runs, np.array([0, 1, 4]), np.array([1, 4, 7]), lambda rows: steps[rows])
    # The second session trades H 1 + 2, M 3: as much, and H is the later. The third M 3, U 3.
    assert runs.names[winners].tolist() == ["H", "H", "U"]
    assert lesser.tolist() == [2, 4, 5]


def test_session_slices_of_regular_hours_are_those_of_every_bars_label():
    es = INSTRUMENTS["ES"]
    times = pd.date_range("2024-03-08", "2024-03-13", freq="7min", tz="America/Chicago")  # over the change of clocks
    instants = times.as_unit("ns").asi8
    labels = label_sessions(times, es)
    for hours in ("rth", "eth"):
        slices = session_slices(instants, es, hours)
        assert slices.mask(len(instants)).tolist() == labels.mask(hours).tolist()
        assert slices.index[np.searchsorted(slices.starts, slices.rows, side="right") - 1].tolist() == (
            labels.sessions[labels.mask(hours)].tolist()
        )
