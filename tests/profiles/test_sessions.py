"""Profiles from frames: sessions, hours, contracts, foreign shapes, real bars."""

import datetime as dt
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument, load_instruments
from pipeline.market.sessions import Hours, label_sessions
from pipeline.profiles import MICRO_LOTS, profile_rows, select_sessions, session_profiles, value_area
from tests.profiles.frames import frame

COLUMNS = ["vpoc", "val", "vah", "low", "high", "volume", "value_area_volume"]


def _two_days() -> pd.DataFrame:
    """An overnight bar, two regular ones, one after the close, one regular a day later."""
    bars = frame([(40, 44, 42, 90), (80, 83, 81, 8), (81, 82, 81, 6), (10, 10, 10, 50), (90, 90, 90, 5)])
    bars["timestamp"] = pd.to_datetime(
        ["2024-03-05 08:00Z", "2024-03-05 14:30Z", "2024-03-05 20:59Z", "2024-03-05 21:00Z", "2024-03-06 14:30Z"]
    ).as_unit("ns")
    return bars


def test_session_profiles_regular_hours_leave_out_the_rest(es: Instrument) -> None:
    profiles = session_profiles(_two_days(), es)

    expected = pd.DataFrame(
        {
            "vpoc": [20.25, 22.5],
            "val": [20.25, 22.5],
            "vah": [20.75, 22.5],
            "low": [20.0, 22.5],
            "high": [20.75, 22.5],
            "volume": [14.0, 5.0],
            "value_area_volume": [12.0, 5.0],
        },
        index=pd.DatetimeIndex(["2024-03-05", "2024-03-06"], name="session").as_unit("ns"),
    )
    pd.testing.assert_frame_equal(profiles, expected, check_freq=False)


def test_session_profiles_whole_trade_date_takes_overnight_bars(es: Instrument) -> None:
    profiles = session_profiles(_two_days(), es, hours="eth")

    assert profiles["volume"].tolist() == [154.0, 5.0]
    assert profiles["low"].tolist() == [2.5, 22.5]


def test_session_profiles_evening_bar_belongs_to_the_next_trade_date(es: Instrument) -> None:
    profiles = session_profiles(frame([(80, 80, 80, 3)], start="2024-03-08 23:30Z"), es, hours="eth")
    assert profiles.empty

    profiles = session_profiles(frame([(80, 80, 80, 3)], start="2024-03-10 22:30Z"), es, hours="eth")
    assert profiles.index.astype(str).tolist() == ["2024-03-11"]


def test_session_profiles_early_close_ends_regular_hours(es: Instrument) -> None:
    # CME closes the day after Thanksgiving at 12:15 Chicago, 18:15 UTC.
    bars = frame([(80, 80, 80, 3), (90, 90, 90, 4)], start="2023-11-24 18:10Z", minutes=5)

    profiles = session_profiles(bars, es)

    assert profiles["volume"].tolist() == [3.0]


def test_session_profiles_session_without_volume_has_no_row(es: Instrument) -> None:
    bars = _two_days()
    bars.loc[4, "volume"] = 0.0

    assert session_profiles(bars, es).index.astype(str).tolist() == ["2024-03-05"]


@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_session_profiles_empty_frame_has_the_right_types(es: Instrument, hours: Hours) -> None:
    profiles = session_profiles(_two_days().iloc[:0], es, hours=hours)

    assert profiles.columns.tolist() == COLUMNS
    assert (profiles.dtypes == np.float64).all()
    assert (profiles.index.name, str(profiles.index.dtype)) == ("session", "datetime64[ns]")
    assert len(profiles) == 0


def test_session_profiles_empty_frame_with_contract_keeps_the_column(es: Instrument) -> None:
    profiles = session_profiles(_two_days().iloc[:0].assign(contract=pd.array([], dtype="str")), es)

    assert profiles.columns.tolist() == [*COLUMNS, "contract"]


def test_session_profiles_foreign_frame_gives_the_same(es: Instrument) -> None:
    bars = _two_days()
    foreign = bars.astype({"volume": "int64"})[["close", "volume", "high", "timestamp", "low"]]
    foreign["timestamp"] = foreign["timestamp"].dt.tz_convert("Asia/Tokyo").dt.as_unit("s")

    pd.testing.assert_frame_equal(session_profiles(foreign, es), session_profiles(bars, es))
    pd.testing.assert_frame_equal(session_profiles(foreign.set_index("timestamp"), es), session_profiles(bars, es))


def test_session_profiles_sessions_are_those_of_label_sessions(es: Instrument) -> None:
    # Ten days of bars round the clock, over the change to summer time, each price once.
    bars = frame([(k, k, k, 1) for k in range(2880)], start="2024-03-05 00:00Z", minutes=5)
    labels = label_sessions(bars["timestamp"], es)

    for hours in ("rth", "eth"):
        inside = labels.mask(hours)
        expected = bars[inside].groupby(labels.sessions[inside])["low"].agg(["min", "max", "size"])
        profiles = session_profiles(bars, es, hours=hours)
        assert profiles.index.tolist() == expected.index.tolist()
        assert profiles["low"].tolist() == expected["min"].tolist()
        assert profiles["high"].tolist() == expected["max"].tolist()
        assert profiles["volume"].tolist() == expected["size"].tolist()


def test_session_profiles_two_contracts_take_the_one_with_more_volume(es: Instrument) -> None:
    bars = frame([(80, 80, 80, 5), (90, 90, 90, 9), (81, 81, 81, 3), (91, 91, 91, 2)])
    bars["contract"] = ["ESH24", "ESM24", "ESH24", "ESM24"]
    next_day = frame([(95, 95, 95, 1)], start="2024-03-06 14:30Z").assign(contract="ESM24")

    profiles = session_profiles(pd.concat([bars, next_day]), es)

    assert profiles["contract"].tolist() == ["ESM24", "ESM24"]
    assert profiles["volume"].tolist() == [11.0, 1.0]
    assert profiles["low"].tolist() == [22.5, 23.75]
    assert profiles.columns.tolist() == [*COLUMNS, "contract"]


def test_session_profiles_two_contracts_of_equal_volume_take_the_later(es: Instrument) -> None:
    bars = frame([(80, 80, 80, 5), (90, 90, 90, 5)]).assign(contract=["ESZ24", "ESH25"])

    assert session_profiles(bars, es)["contract"].tolist() == ["ESH25"]


def test_session_profiles_contract_of_other_hours_does_not_count(es: Instrument) -> None:
    bars = _two_days().assign(contract=["ESH24", "ESM24", "ESM24", "ESH24", "ESM24"])

    assert session_profiles(bars, es)["volume"].tolist() == [14.0, 5.0]
    assert session_profiles(bars, es, hours="eth")["contract"].tolist() == ["ESH24", "ESM24"]


def test_session_profiles_off_tick_prices_and_steps_are_rounded_and_counted(
    es: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    bars = frame([(80, 80, 80, 5), (81, 81, 81, 5), (82, 82, 82, 5)])
    bars.loc[0, ["low", "high"]] += 0.1
    bars["volume"] = [5.4, 5.0, 0.3]

    with caplog.at_level(logging.INFO, "pipeline.profiles"):
        profiles = session_profiles(bars, es)

    assert profiles.attrs == {"prices_rounded": 1, "volume_rounded": 2}
    assert (profiles["low"].tolist(), profiles["high"].tolist()) == ([20.0], [20.25])
    assert profiles["volume"].tolist() == [10.0]
    assert "1 of 3 bars have a price off the tick, 2 a volume off the step" in caplog.text


def test_session_profiles_fine_steps_of_coins_come_back_as_written() -> None:
    coin = load_instruments()["BTCUSDT"]
    bars = frame([(80, 80, 80, 1)]).assign(low=58000.01, high=58000.01, close=58000.01, volume=0.123457)

    profiles = session_profiles(bars, coin)

    assert profiles.attrs == {"prices_rounded": 0, "volume_rounded": 0}
    assert profiles[["vpoc", "volume"]].iloc[0].tolist() == [58000.01, 0.123457]


def test_session_profiles_too_much_volume_names_the_session(es: Instrument) -> None:
    bars = _two_days()
    bars.loc[4, "volume"] = 1e300

    with pytest.raises(DataError, match="session 2024-03-06 of ES: volume passes"):
        session_profiles(bars, es)


def test_session_profiles_absurd_range_names_the_session(es: Instrument) -> None:
    bars = _two_days()
    bars.loc[2, "high"] = 1e9

    with pytest.raises(DataError, match="session 2024-03-05 of ES: prices span more than 16,777,216 ticks"):
        session_profiles(bars, es)


def test_session_profiles_price_beyond_integers_is_refused(es: Instrument) -> None:
    bars = _two_days()
    bars.loc[2, ["low", "high"]] = 1e300

    with pytest.raises(DataError, match="too many ticks"):
        session_profiles(bars, es)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"allocation": "even"}, "allocation is 'even'"),
        ({"value_area_basis_points": 0}, "value_area_basis_points is 0"),
        ({"value_area_basis_points": 0.7}, "value_area_basis_points is 0.7"),
        ({"expansion_rows": 0}, "expansion_rows is 0"),
        ({"hours": "day"}, "hours is 'day'"),
        ({"device": "tpu"}, "device is 'tpu'"),
    ],
)
def test_session_profiles_impossible_setting_is_refused(es: Instrument, settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        session_profiles(_two_days(), es, **settings)


def test_session_profiles_device_auto_is_cpu(es: Instrument) -> None:
    pd.testing.assert_frame_equal(session_profiles(_two_days(), es, device="auto"), session_profiles(_two_days(), es))


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (_two_days().drop(columns="volume"), "no column volume"),
        (_two_days().assign(low=np.nan), "column low is nan at row 0"),
        (_two_days().iloc[::-1], "strictly increasing"),
        (_two_days().assign(timestamp=_two_days()["timestamp"].dt.tz_localize(None)), "no time zone"),
    ],
)
def test_session_profiles_bad_bars_are_refused(es: Instrument, bars: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        session_profiles(bars, es)


def test_profile_rows_needs_no_times(es: Instrument) -> None:
    bars = _two_days()[["volume", "close", "low", "high"]].iloc[::-1]

    lowest, rows = profile_rows(bars, es)

    assert lowest == 10
    assert rows.sum() == 159 * MICRO_LOTS


def test_profile_rows_bad_volume_is_refused(es: Instrument) -> None:
    with pytest.raises(DataError, match="the bars given: volume passes"):
        profile_rows(_two_days().assign(volume=1e30), es)


def test_select_sessions_without_dates_is_the_last(es: Instrument) -> None:
    selected = select_sessions(_two_days(), es)

    assert selected["session"].astype(str).tolist() == ["2024-03-06"]


def test_select_sessions_range_takes_regular_bars_only(es: Instrument) -> None:
    selected = select_sessions(_two_days(), es, "2024-03-05", dt.date(2024, 3, 6))

    assert selected["close"].tolist() == [20.25, 20.25, 22.5]
    assert select_sessions(_two_days(), es, last="2024-03-05")["close"].tolist() == [20.25, 20.25]
    assert len(select_sessions(_two_days(), es, "2024-03-05", hours="eth")) == 4


def test_select_sessions_date_without_bars_says_which_there_are(es: Instrument) -> None:
    with pytest.raises(DataError, match="there are 2 from 2024-03-05 to 2024-03-06"):
        select_sessions(_two_days(), es, "2024-04-01")


def test_select_sessions_two_contracts_keeps_that_of_the_profile(es: Instrument) -> None:
    bars = frame([(80, 80, 80, 5), (90, 90, 90, 9), (81, 81, 81, 3)]).assign(contract=["ESH24", "ESM24", "ESH24"])

    assert select_sessions(bars, es)["close"].tolist() == [22.5]


def test_select_sessions_not_a_date_is_refused(es: Instrument) -> None:
    with pytest.raises(ConfigurationError, match="'soon' is not a date"):
        select_sessions(_two_days(), es, "soon")


def test_session_profiles_real_es_conserves_every_contract(es: Instrument, real_data: Path) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")

    for hours, sessions in (("rth", 1782), ("eth", 1813)):
        profiles = session_profiles(bars, es, hours=hours)
        labels = label_sessions(bars["timestamp"], es)
        inside = labels.mask(hours)
        volume = bars[inside].groupby([labels.sessions[inside], "contract"])["volume"].sum()
        most = volume.groupby(level=0).max()

        assert len(profiles) == sessions
        assert profiles.attrs == {"prices_rounded": 0, "volume_rounded": 0}
        assert profiles["volume"].tolist() == most[most > 0].tolist()
        assert (profiles["value_area_volume"] >= 0.7 * profiles["volume"]).all()
        assert (profiles["low"] <= profiles["val"]).all()
        assert ((profiles["val"] <= profiles["vpoc"]) & (profiles["vpoc"] <= profiles["vah"])).all()
        assert (profiles["vah"] <= profiles["high"]).all()


def test_session_profiles_real_session_equals_profile_rows(es: Instrument, real_data: Path) -> None:
    bars = pd.read_parquet(real_data / "es_1m_esh25.parquet")
    profiles = session_profiles(bars, es)

    for session in profiles.index[::7]:
        lowest, rows = profile_rows(select_sessions(bars, es, session), es)
        area = value_area(rows, lowest=lowest)
        levels = es.to_prices([area.vpoc, area.val, area.vah, lowest, lowest + len(rows) - 1]).tolist()
        assert profiles.loc[session, ["vpoc", "val", "vah", "low", "high"]].tolist() == levels
        assert profiles.loc[session, "volume"] == rows.sum() / MICRO_LOTS


def test_profiles_import_without_orchestration_or_learning() -> None:
    code = (
        "import sys, pipeline.profiles;"
        "print(sorted({'dagster', 'mlflow', 'torch', 'plotly', 'lightgbm', 'arch'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
