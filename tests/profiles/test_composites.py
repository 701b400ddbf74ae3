"""Composites: sums of session profiles, of one contract, known at their last session's close."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.profiles import profile_rows, select_sessions, session_profiles, value_area
from pipeline.profiles.composites import composite_levels, composite_profile
from pipeline.profiles.streaming import StreamedProfiles
from tests.profiles.frames import frame
from tests.profiles.trade_frames import trades_frame

ES = load_instruments()["ES"]
LEVELS = ["vpoc", "val", "vah", "low", "high", "volume", "value_area_volume"]


def _days(bars: list[tuple[int, int, int, int]], days: list[str], contracts: list[str] | None = None) -> pd.DataFrame:
    """One bar a day, at 15:00 UTC."""
    whole = frame(bars)
    whole["timestamp"] = pd.to_datetime([f"{day} 15:00Z" for day in days]).as_unit("ns")
    return whole if contracts is None else whole.assign(contract=contracts)


# Thursday, Friday, Monday (a new week), Tuesday, and the next month's first trade date.
DAYS = ["2024-02-22", "2024-02-23", "2024-02-26", "2024-02-27", "2024-03-01"]
FIVE = _days([(400, 400, 400, 5), (401, 401, 401, 6), (402, 402, 402, 9), (400, 400, 400, 2), (402, 402, 402, 1)], DAYS)


def _dates(values: pd.Series | pd.Index) -> list[str]:
    return pd.DatetimeIndex(values).strftime("%m-%d").tolist()


def test_composite_week_ends_with_its_last_session() -> None:
    weeks = composite_profile(FIVE, ES, by="week")

    assert _dates(weeks.index) == ["02-23", "03-01"]
    assert _dates(weeks["first"]) == ["02-22", "02-26"]
    assert _dates(weeks["last"]) == ["02-23", "03-01"]
    assert weeks["sessions"].tolist() == [2, 3]
    assert weeks["volume"].tolist() == [11, 12]
    assert (weeks["vpoc"] * 4).tolist() == [401, 402]


def test_composite_month_and_contract_periods() -> None:
    months = composite_profile(FIVE, ES, by="month")
    whole = composite_profile(FIVE, ES, by="roll")

    assert (_dates(months.index), months["volume"].tolist()) == (["02-27", "03-01"], [22, 1])
    assert (_dates(whole.index), whole["volume"].tolist()) == (["03-01"], [23])


def test_composite_number_takes_that_many_sessions_at_every_session() -> None:
    pairs = composite_profile(FIVE, ES, by=2)

    assert _dates(pairs.index) == _dates(pd.Index(DAYS))
    assert pairs["sessions"].tolist() == [1, 2, 2, 2, 2]
    assert pairs["volume"].tolist() == [5, 11, 15, 11, 3]
    assert (pairs["low"] * 4).tolist() == [400, 400, 401, 400, 400]


def test_composite_number_beyond_all_sessions_takes_what_there_is() -> None:
    for number in (6, 2**63, 10**30):
        assert composite_profile(FIVE, ES, by=number)["sessions"].tolist() == [1, 2, 3, 4, 5]


def test_composite_since_begins_at_the_date() -> None:
    for since in ("2024-02-24", dt.date(2024, 2, 26)):
        since_then = composite_profile(FIVE, ES, since=since)
        assert (_dates(since_then["first"]), since_then["volume"].tolist()) == (["02-26"], [12])
    developing = composite_profile(FIVE, ES, since="2024-02-26", developing=True)
    assert (_dates(developing.index), developing["volume"].tolist()) == (["02-26", "02-27", "03-01"], [9, 11, 12])


def test_composite_developing_has_the_period_so_far_at_every_session() -> None:
    weeks = composite_profile(FIVE, ES, by="week", developing=True)

    assert weeks["sessions"].tolist() == [1, 2, 1, 2, 3]
    assert weeks["volume"].tolist() == [5, 11, 9, 11, 12]
    finished = weeks.groupby("first").tail(1)
    pd.testing.assert_frame_equal(finished, composite_profile(FIVE, ES, by="week"))


@pytest.mark.parametrize(
    ("by", "first", "volume"),
    [
        ("week", ["02-22", "02-23", "02-26"], [5, 6, 12]),
        ("month", ["02-22", "02-23", "03-01"], [5, 17, 1]),
        ("roll", ["02-22", "02-23"], [5, 18]),
        (5, ["02-22", "02-23", "02-23", "02-23", "02-23"], [5, 6, 15, 17, 18]),
    ],
)
def test_composite_never_spans_two_contracts(by: str | int, first: list[str], volume: list[int]) -> None:
    bars = FIVE.assign(contract=["ESH24", "ESM24", "ESM24", "ESM24", "ESM24"])

    composites = composite_profile(bars, ES, by=by)  # type: ignore[arg-type]

    assert (_dates(composites["first"]), composites["volume"].tolist()) == (first, volume)
    assert composites["contract"].tolist() == ["ESH24"] + ["ESM24"] * (len(first) - 1)


def test_composite_since_before_a_roll_is_cut_there() -> None:
    bars = FIVE.assign(contract=["ESH24", "ESH24", "ESH24", "ESM24", "ESM24"])

    composites = composite_profile(bars, ES, since="2024-02-23")

    assert (_dates(composites["first"]), composites["volume"].tolist()) == (["02-23", "02-27"], [15, 3])


def test_composite_of_one_session_is_its_profile(es: Instrument, real_data: Path) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:20_000]

    ones = composite_profile(bars, es, by=1)

    profiles = session_profiles(bars, es)
    pd.testing.assert_frame_equal(ones[profiles.columns.tolist()], profiles, check_exact=True, check_freq=False)


@pytest.mark.parametrize("by", ["week", "month", "roll", 7])
def test_composite_real_sessions_equal_one_profile_of_their_bars(
    es: Instrument, real_data: Path, by: str | int
) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:40_000]

    composites = composite_profile(bars, es, by=by)  # type: ignore[arg-type]

    for session, row in composites.iloc[:: max(len(composites) // 12, 1)].iterrows():
        own = select_sessions(bars, es, row["first"], row["last"])
        lowest, rows = profile_rows(own, es)
        area = value_area(rows, lowest=lowest)
        assert own["contract"].unique().tolist() == [row["contract"]]
        assert own["session"].nunique() == row["sessions"]
        assert session == own["session"].iloc[-1] == row["last"]
        assert (row[["vpoc", "val", "vah"]] * 4).tolist() == [area.vpoc, area.val, area.vah]
        assert (row[["low", "high"]] * 4).tolist() == [lowest, lowest + len(rows) - 1]
        assert (row["volume"], row["value_area_volume"]) == (area.total / 2**20, area.held / 2**20)


@pytest.mark.parametrize("by", ["week", "month", "roll", 20])
def test_composite_developing_cut_at_any_session_does_not_change(
    es: Instrument, real_data: Path, by: str | int
) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet").iloc[:40_000]
    full = composite_profile(bars, es, by=by, developing=True)  # type: ignore[arg-type]

    for cut in (3_000, 11_111, 25_000, 33_333):
        known = composite_profile(bars.iloc[:cut], es, by=by, developing=True)  # type: ignore[arg-type]
        done = known.iloc[:-1]  # the last session may be cut within
        pd.testing.assert_frame_equal(done, full.iloc[: len(done)], check_exact=True, check_freq=False)


def test_composite_of_trades_adds_sides() -> None:
    trades = trades_frame([(0, 400, 3, 1), (86_400, 400, 2, -1), (86_401, 401, 4, 0)])

    both = composite_profile(trades, ES, by=2)
    levels = composite_levels(trades, ES, by=2)
    streamed = composite_profile(StreamedProfiles(ES).add(trades), ES, by=2)

    assert both["delta"].tolist() == [3, 1]
    assert both[["volume", "buy_volume", "sell_volume"]].iloc[1].tolist() == [9, 3, 2]
    np.testing.assert_array_equal(levels.loc["2024-03-06", "delta"], [1, np.nan])
    pd.testing.assert_frame_equal(both, streamed)


def test_composite_of_trades_without_side_has_unknown_delta() -> None:
    trades = trades_frame([(0, 400, 3, 1), (86_400, 400, 2, -1)], side=False)

    assert composite_profile(trades, ES, by="week")[["buy_volume", "sell_volume", "delta"]].isna().all(axis=None)
    assert composite_levels(trades, ES, by="week")["delta"].isna().all()


def test_composite_levels_are_the_sum_of_the_sessions() -> None:
    levels = composite_levels(FIVE, ES, by="week")

    assert levels.loc["2024-02-23", "volume"].to_dict() == {100.0: 5, 100.25: 6}
    assert levels.loc["2024-03-01", "volume"].to_dict() == {100.0: 2, 100.25: 0, 100.5: 10}


@pytest.mark.parametrize("by", ["week", "month", "roll", 3])
def test_composite_of_nothing_is_empty(by: str | int) -> None:
    empty = composite_profile(frame([]), ES, by=by)  # type: ignore[arg-type]

    assert (len(empty), empty.columns.tolist()) == (0, ["first", "last", "sessions", *LEVELS])
    assert len(composite_profile(frame([]), ES, since="2024-01-01")) == 0
    assert len(composite_levels(frame([]), ES, by=by)) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({}, "by is None and since is None; give one of them"),
        ({"by": "week", "since": "2024-01-01"}, "give one of them"),
        ({"by": "year"}, "by is 'year'; it must be 'week', 'month', 'roll' or a number"),
        ({"by": True}, "by is True"),
        ({"by": 2.5}, "by is 2.5"),
        ({"by": 0}, "by is 0; a composite needs at least 1 session"),
        ({"since": "soon"}, "since 'soon' is not a date"),
        ({"since": pd.NaT}, "is not a date"),
        ({"by": "week", "value_area_basis_points": 0}, "value_area_basis_points is 0"),
    ],
)
def test_composite_wrong_setting_is_refused(chosen: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        composite_profile(FIVE, ES, **chosen)


def test_composite_since_after_the_last_session_says_which_there_are() -> None:
    with pytest.raises(DataError, match="no session of ES lies on or after 2030-01-01; they go from 2024-02-22"):
        composite_profile(FIVE, ES, since="2030-01-01")


def test_composite_past_62_bits_is_summed_exactly() -> None:
    # A step more or less decides the VPOC; as floats the two rows would be the same.
    bars = [(400, 400, 400, 2**42 - 1), (400, 401, 401, 2**42), (401, 401, 401, 2**42), (402, 402, 402, 2**41)]
    heavy = _days(bars, DAYS[:4])

    whole = composite_profile(heavy, ES, by="roll").iloc[0]

    assert (whole["vpoc"] * 4, whole["val"] * 4, whole["vah"] * 4) == (401, 400, 401)
    assert whole["volume"] == float(2**42 - 1 + 2**42 + 2**42 + 2**41)
    rows = composite_levels(heavy, ES, by="roll")["volume"].tolist()
    assert rows == [float(2**42 - 1 + 2**41), float(2**42 + 2**41), float(2**41)]
    assert composite_profile(heavy, ES, by=1)["volume"].tolist() == [float(volume) for *_, volume in bars]


def test_composite_of_too_many_rows_is_refused_before_adding() -> None:
    wide = _days([(400, 400, 400, 1), (2**25, 2**25, 2**25, 1)], DAYS[:2])

    with pytest.raises(DataError, match="composite of ES from 2024-02-22 to 2024-02-23 spans more than"):
        composite_profile(wide, ES, by="week")
    assert composite_profile(wide, ES, by="week", ticks_per_row=1000)["sessions"].tolist() == [2]


def test_composite_of_years_of_bitcoins_real_volume_is_summed_exactly() -> None:
    # Binance's heaviest days held 0.7 million BTC; three years of them pass 64 bits in micro-lots a hundredfold.
    btc = load_instruments()["BTCUSDT"]
    days = pd.date_range("2021-01-01", periods=1000, tz="UTC")
    bars = pd.DataFrame(
        {"timestamp": days, "low": 20_000.0, "high": 20_019.99, "close": 20_000.0, "volume": 700_000.000001}
    )

    whole = composite_profile(bars, btc, by="roll", ticks_per_row=1000).iloc[0]

    assert whole["volume"] == 700_000_000.001
    assert (whole["vpoc"], whole["val"], whole["vah"]) == (20_004.99, 20_000.0, 20_019.99)


def test_composite_of_another_instrument_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the profiles are of ES, not of NQ"):
        composite_profile(StreamedProfiles(ES), load_instruments()["NQ"], by="week")
