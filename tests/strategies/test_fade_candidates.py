import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.market import find_instrument
from pipeline.strategy import TradingRules, make_candidates
from tests.strategy.market import flat_history, toy_bars, toy_history

ES = find_instrument("ES")


def one_session(val: float, vah: float, atr: float) -> pd.DataFrame:
    return flat_history(ES, [8000], val=val, vah=vah, atr_14=atr)


def test_make_candidates_one_session_by_hand(es):
    history = one_session(1995.0, 2005.0, 3.0).assign(contract="ESH19")

    candidates = make_candidates(history, es)

    assert candidates.columns.tolist() == [
        *("session", "decided_on", "side", "entry", "stop", "target", "contract", "stop_ticks", "target_ticks"),
    ]
    assert candidates["session"].tolist() == [pd.Timestamp("2019-01-03")] * 2
    assert candidates["decided_on"].tolist() == [pd.Timestamp("2019-01-02")] * 2
    assert candidates["side"].tolist() == [1, -1]
    assert candidates["entry"].tolist() == [1995.0, 2005.0]
    assert candidates["stop"].tolist() == [1992.0, 2008.0]
    assert candidates["target"].tolist() == [2005.0, 1995.0]
    assert candidates["contract"].tolist() == ["ESH19"] * 2
    assert candidates["stop_ticks"].tolist() == [12, 12]
    assert candidates["target_ticks"].tolist() == [40, 40]


@pytest.mark.parametrize(
    ("val", "vah", "atr", "k", "stop_ticks"),
    [
        (100.0, 110.0, 50.0, 1.0, 20),  # half the distance is nearer
        (100.0, 110.0, 4.0, 1.0, 16),  # the average true range is nearer
        (100.0, 110.0, 4.01, 1.0, 17),  # rounded away from the entry
        (100.0, 110.25, 50.0, 1.0, 21),  # half of 41 ticks, rounded away
        (100.0, 110.0, 4.0, 0.5, 8),
        (100.0, 110.0, 3.0, 0.7, 9),  # 8.4 ticks
    ],
)
def test_make_candidates_stop_distance(es, val, vah, atr, k, stop_ticks):
    candidates = make_candidates(one_session(val, vah, atr), es, TradingRules.of(stop_atr_factor=k))

    assert candidates["stop_ticks"].tolist() == [stop_ticks] * 2


def test_make_candidates_float_noise_adds_no_tick(es):
    candidates = make_candidates(one_session(100.0, 130.0, 12.5), es, TradingRules.of(stop_atr_factor=1.1))

    assert 1.1 * 12.5 / 0.25 > 55
    assert candidates["stop_ticks"].tolist() == [55, 55]


@pytest.mark.parametrize(("vah", "count"), [(101.5, 0), (101.75, 2)])
def test_make_candidates_below_four_ticks_there_is_none(es, vah, count):
    # Half of 6 ticks is 3; half of 7 is rounded away to 4.
    history = one_session(100.0, vah, 50.0)

    assert len(make_candidates(history, es)) == count


def test_make_candidates_value_area_of_one_tick_has_none(es):
    history = one_session(100.0, 100.0, 50.0)

    assert len(make_candidates(history, es)) == 0


def test_make_candidates_session_without_range_or_room_has_none(es):
    history = flat_history(es, [8000] * 4, vah=[2005.0, 2005.0, 1995.5, 2005.0], atr_14=[math.nan, 0.5, 9.0, 9.0])

    assert make_candidates(history, es)["decided_on"].tolist() == [history.index[3]] * 2


def test_make_candidates_next_session_skips_weekend_and_holiday(es):
    history = flat_history(es, [8000] * 2)
    history.index = pd.DatetimeIndex(["2021-03-31", "2021-04-01"], name="session")  # Good Friday is the 2nd

    sessions = make_candidates(history, es)["session"].unique()

    assert sessions.tolist() == [pd.Timestamp("2021-04-01"), pd.Timestamp("2021-04-05")]


def test_make_candidates_last_session_gives_the_coming_one(es):
    history = toy_history(toy_bars(es, sessions=30), es)

    candidates = make_candidates(history, es)

    assert candidates["decided_on"].iloc[-1] == history.index[-1]
    assert (candidates["session"] > candidates["decided_on"]).all()


def test_make_candidates_are_in_order_the_long_first(es):
    history = toy_history(toy_bars(es, sessions=80), es)

    candidates = make_candidates(history, es)

    assert candidates["session"].is_monotonic_increasing
    assert candidates["side"].tolist() == [1, -1] * (len(candidates) // 2)


def test_make_candidates_empty_history_gives_no_rows(es):
    candidates = make_candidates(flat_history(es, [8000]).iloc[:0], es)

    assert len(candidates) == 0
    assert candidates["session"].dtype == "datetime64[ns]"
    assert candidates["side"].dtype == np.int64


def test_make_candidates_other_atr_window_is_refused(es):
    with pytest.raises(ConfigurationError, match="has no atr_10"):
        make_candidates(flat_history(es, [8000]), es, TradingRules.of(atr_window=10))


@given(st.integers(4000, 20_000), st.integers(0, 400), st.integers(1, 14 * 300), st.sampled_from([0.5, 1.0, 1.7]))
def test_make_candidates_geometry_holds(val, width, range_sum, k):
    history = flat_history(ES, [val], val=val / 4, vah=(val + width) / 4, atr_14=range_sum / 14 / 4)

    candidates = make_candidates(history, ES, TradingRules.of(stop_atr_factor=k))

    for side, entry, stop, target, stop_ticks in candidates[
        ["side", "entry", "stop", "target", "stop_ticks"]
    ].itertuples(index=False):
        assert not ES.off_tick([entry, stop, target]).any()
        assert side * (entry - stop) == stop_ticks / 4
        assert stop_ticks >= 4
        assert side * (target - entry) == width / 4
        assert 2 * stop_ticks <= width + 1
        assert stop_ticks - 1 < k * range_sum / 14 + 1e-6


@given(st.integers(4000, 20_000), st.integers(0, 400), st.integers(1, 14 * 300))
def test_make_candidates_mirrored_prices_mirror_the_sides(val, width, range_sum):
    atr = range_sum / 14 / 4
    upright = flat_history(ES, [val], val=val / 4, vah=(val + width) / 4, atr_14=atr)
    mirrored = flat_history(ES, [val], val=10_000 - (val + width) / 4, vah=10_000 - val / 4, atr_14=atr)

    left, right = make_candidates(upright, ES), make_candidates(mirrored, ES)

    flipped = right.sort_values("side").reset_index(drop=True)
    assert (left["side"] == -flipped["side"]).all()
    for price in ("entry", "stop", "target"):
        assert left[price].tolist() == (10_000 - flipped[price]).tolist()
