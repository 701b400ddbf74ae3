"""Frames that go through in one pass give what the careful way gives, and leave to it what is out of the ordinary."""

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market import Instrument, load_instruments, simulate_market
from pipeline.profiles import ProfileSettings, ordinary, session_profiles
from pipeline.profiles.ordinary import ordinary_profiles
from pipeline.profiles.rows import RowRule

ES = load_instruments()["ES"]


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    """Sixty sessions over a roll, in the middle of a session."""
    made = simulate_market(ES, "2024-01-02", 60, seed=4, bar="5min")
    contract = np.where(np.arange(len(made)) < 7_001, "ESH24", "ESM24")
    return made.assign(contract=pd.array(contract, dtype="str"))


def _careful(bars: pd.DataFrame) -> pd.DataFrame:
    """The same bars in a kind of numbers that the one pass does not take."""
    return bars.assign(volume=bars["volume"].astype(np.int32))


@pytest.mark.parametrize("hours", ["rth", "eth"])
@pytest.mark.parametrize("allocation", ["uniform", "close"])
@pytest.mark.parametrize("ticks_per_row", [1, 4])
@pytest.mark.parametrize("chunk", [1, 300, 5_000, 1 << 17])
def test_session_profiles_in_one_pass_equal_the_careful_way(
    bars, hours, allocation, ticks_per_row, chunk, monkeypatch
) -> None:
    monkeypatch.setattr(ordinary, "_CHUNK", chunk)
    settings = {"hours": hours, "allocation": allocation, "ticks_per_row": ticks_per_row}
    chosen = ProfileSettings(hours, RowRule(allocation, ticks_per_row))
    assert ordinary_profiles(bars, ES, chosen) is not None
    assert ordinary_profiles(_careful(bars), ES, chosen) is None
    pd.testing.assert_frame_equal(
        session_profiles(bars, ES, **settings), session_profiles(_careful(bars), ES, **settings), check_exact=True
    )


def test_session_profiles_of_strided_reversed_and_indexed_columns_are_the_same(bars) -> None:
    expected = session_profiles(bars, ES)
    names = ["open", "high", "low", "close", "volume"]
    one_block = pd.DataFrame(np.asfortranarray(bars[names].to_numpy(np.float64)), columns=names, copy=False)
    one_block[["timestamp", "contract"]] = bars[["timestamp", "contract"]]
    every_other = pd.concat([bars, bars]).sort_index(kind="stable").iloc[::2]
    for frame in (one_block, every_other, bars.set_index("timestamp"), bars[bars.columns[::-1]]):
        pd.testing.assert_frame_equal(session_profiles(frame, ES), expected, check_exact=True)


@pytest.mark.parametrize("row", [0, 4_000, -1])
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("close", np.nan, "column close is nan"),
        ("low", np.inf, "column low is inf"),
        ("high", 1.0, "below the low"),
        ("volume", -1.0, "negative volume"),
        ("contract", None, "no contract"),
        ("timestamp", pd.NaT, "no timestamp"),
    ],
)
def test_session_profiles_of_a_wrong_value_anywhere_name_it(bars, row, column, value, message) -> None:
    wrong = bars.astype({"volume": float})
    wrong.iloc[row, wrong.columns.get_loc(column)] = value
    with pytest.raises(DataError, match=message):
        session_profiles(wrong, ES)


@pytest.mark.filterwarnings("error")
def test_session_profiles_with_a_missing_volume_in_a_session_of_two_contracts_name_it(bars) -> None:
    wrong = bars.astype({"volume": float})
    wrong.loc[7_001, "volume"] = np.nan
    with pytest.raises(DataError, match="column volume is nan"):
        session_profiles(wrong, ES, hours="eth")


def test_session_profiles_count_rounded_prices_and_volumes_wherever_they_lie(bars) -> None:
    off = bars.astype({"volume": float})
    off.loc[[10, 9_000], "low"] -= 0.1
    off.loc[9_000, "high"] += 0.1
    off.loc[12_345, "volume"] += 0.25
    assert session_profiles(off, ES).attrs == {"prices_rounded": 2, "volume_rounded": 1}
    assert session_profiles(bars, ES).attrs == {"prices_rounded": 0, "volume_rounded": 0}


def test_session_profiles_with_several_faults_name_the_bars_before_the_sessions_volume(bars) -> None:
    wrong = bars.astype({"volume": float})
    wrong.loc[200, "volume"] = 2.0**43
    with pytest.raises(DataError, match=r"passes 2\*\*62"):
        session_profiles(wrong, ES)
    wrong.loc[16_000, "close"] = np.nan
    with pytest.raises(DataError, match="column close is nan"):
        session_profiles(wrong, ES)


def test_session_profiles_of_bars_outside_every_session_are_empty(es: Instrument) -> None:
    saturday = pd.date_range("2024-03-02 10:00", periods=5, freq="min", tz="UTC")
    frame = pd.DataFrame({"timestamp": saturday, **dict.fromkeys(("low", "high", "close", "volume"), 100.0)})
    for given in (frame, frame.iloc[:0]):
        assert session_profiles(given, es).empty
        assert list(session_profiles(given, es).columns) == [
            *("vpoc", "val", "vah", "low", "high", "volume", "value_area_volume")
        ]
    with pytest.raises(DataError, match="column close is nan"):
        session_profiles(frame.assign(close=[1, 1, 1, 1, np.nan]), es)
