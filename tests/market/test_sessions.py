import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, DataError
from pipeline.market import (
    Instrument,
    label_sessions,
    load_instruments,
    next_session,
    session_schedule,
    split_by_month,
    trade_months,
)

INSTRUMENTS = load_instruments()


def utc(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp(text, tz="UTC") for text in texts])


def session_of(text: str, instrument: Instrument) -> tuple[str, bool]:
    labels = label_sessions(utc(text), instrument)
    session = labels.sessions[0]
    return ("" if pd.isna(session) else str(session.date())), bool(labels.regular[0])


def test_schedule_es_ordinary_day_runs_from_the_evening_before_to_four(es: Instrument) -> None:
    row = session_schedule(es, "2024-03-05", "2024-03-05").iloc[0]

    assert row["open"] == pd.Timestamp("2024-03-04 17:00", tz="America/Chicago")
    assert row["close"] == pd.Timestamp("2024-03-05 16:00", tz="America/Chicago")
    assert row["rth_open"] == pd.Timestamp("2024-03-05 08:30", tz="America/Chicago")
    assert row["rth_close"] == pd.Timestamp("2024-03-05 15:00", tz="America/Chicago")


def test_schedule_es_follows_daylight_saving_in_chicago(es: Instrument) -> None:
    schedule = session_schedule(es, "2024-03-08", "2024-03-11")

    assert [str(moment) for moment in schedule["rth_open"]] == [
        "2024-03-08 14:30:00+00:00",  # standard time
        "2024-03-11 13:30:00+00:00",  # daylight saving, from the Sunday between
    ]


def test_schedule_es_early_close_clips_the_regular_hours(es: Instrument) -> None:
    row = session_schedule(es, "2024-11-29", "2024-11-29").iloc[0]

    assert row["close"] == pd.Timestamp("2024-11-29 12:15", tz="America/Chicago")
    assert row["rth_close"] == row["close"]


@pytest.mark.parametrize("day", ["2024-03-29", "2024-12-25", "2024-01-01", "2024-03-30", "2022-04-15"])
def test_schedule_es_holidays_and_weekends_are_not_sessions(es: Instrument, day: str) -> None:
    assert session_schedule(es, day, day).empty


def test_schedule_around_the_clock_is_every_day_from_utc_midnight() -> None:
    schedule = session_schedule(INSTRUMENTS["BTCUSDT"], "2024-12-24", "2024-12-26")

    assert [str(day.date()) for day in schedule.index] == ["2024-12-24", "2024-12-25", "2024-12-26"]
    assert schedule["open"].tolist() == schedule["rth_open"].tolist() == list(utc(*map(str, schedule.index)))
    assert schedule["close"].iloc[0] == schedule["open"].iloc[1]


@pytest.mark.parametrize(
    ("moment", "session", "regular"),
    [
        ("2024-03-04 22:59:59", "", False),  # the halt before the evening's open
        ("2024-03-04 23:00:00", "2024-03-05", False),  # the evening belongs to the next trade date
        ("2024-03-05 14:29:59", "2024-03-05", False),
        ("2024-03-05 14:30:00", "2024-03-05", True),
        ("2024-03-05 20:59:59", "2024-03-05", True),
        ("2024-03-05 21:00:00", "2024-03-05", False),
        ("2024-03-05 21:59:59", "2024-03-05", False),
        ("2024-03-05 22:00:00", "", False),  # closed at four
        ("2024-03-03 23:00:00", "2024-03-04", False),  # Sunday evening
        ("2024-03-02 15:00:00", "", False),
    ],
)
def test_label_es_instant_belongs_to_its_trade_date(es: Instrument, moment: str, session: str, regular: bool) -> None:
    assert session_of(moment, es) == (session, regular)


def test_label_stocks_have_no_session_before_the_bell() -> None:
    assert session_of("2024-03-05 14:29:00", INSTRUMENTS["SPY"]) == ("", False)
    assert session_of("2024-03-05 14:30:00", INSTRUMENTS["SPY"]) == ("2024-03-05", True)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.datetimes(pd.Timestamp("2005-01-03"), pd.Timestamp("2025-12-30")), min_size=1, max_size=20),
    st.sampled_from(["ES", "SPY", "BTCUSDT"]),
)
def test_label_agrees_with_looking_through_the_schedule(moments: list[pd.Timestamp], symbol: str) -> None:
    instrument = INSTRUMENTS[symbol]
    index = pd.DatetimeIndex(moments).tz_localize("UTC").as_unit("ns")
    labels = label_sessions(index, instrument)

    for moment, session, regular in zip(index, labels.sessions, labels.regular, strict=True):
        day = moment.tz_localize(None).normalize()
        around = session_schedule(instrument, day - pd.Timedelta(days=5), day + pd.Timedelta(days=5))
        held = around[(around["open"] <= moment) & (moment < around["close"])]
        assert len(held) <= 1
        assert (held.index[0] if len(held) else pd.NaT) is session or held.index[0] == session
        assert regular == bool(len(held) and held["rth_open"].iloc[0] <= moment < held["rth_close"].iloc[0])


def test_label_without_a_zone_is_an_error(es: Instrument) -> None:
    with pytest.raises(DataError, match="no time zone"):
        label_sessions(pd.DatetimeIndex(["2024-03-05 15:00"]), es)


def test_label_of_a_year_no_calendar_has_is_an_error(es: Instrument) -> None:
    with pytest.raises(DataError, match="outside 1900 to 2200"):
        label_sessions(pd.DatetimeIndex(["1700-03-05 15:00"], tz="UTC"), es)


def test_mask_of_unknown_hours_is_an_error(es: Instrument) -> None:
    with pytest.raises(ConfigurationError, match="hours is 'night'"):
        label_sessions(utc("2024-03-05 15:00"), es).mask("night")  # type: ignore[arg-type]


def test_next_session_skips_weekends_and_holidays(es: Instrument) -> None:
    following = next_session(pd.DatetimeIndex(["2024-03-28", "2024-03-29", "2024-04-01"]), es)

    assert [str(day.date()) for day in following] == ["2024-04-01", "2024-04-01", "2024-04-02"]


def test_months_evening_before_the_first_belongs_to_the_new_month(es: Instrument) -> None:
    times = pd.Series(utc("2024-02-29 21:59:00", "2024-02-29 23:00:00", "2024-03-01 15:00:00"))

    assert trade_months(times, es).astype(str).tolist() == ["2024-02", "2024-03", "2024-03"]


def test_months_row_outside_sessions_or_without_a_time_has_one_too(es: Instrument) -> None:
    times = pd.Series([pd.NaT, *utc("2024-02-10 12:00:00"), pd.NaT, *utc("2024-03-02 12:00:00", "1700-01-01")])

    months = trade_months(times.dt.as_unit("us"), es)

    assert months.astype(str).tolist() == ["2024-02", "2024-02", "2024-02", "2024-03", "2024-03"]


def test_split_by_month_keeps_every_row_once(es: Instrument) -> None:
    times = pd.Series(pd.date_range("2024-01-02", "2024-05-31", freq="7h", tz="UTC"))
    frame = pd.DataFrame({"timestamp": times, "row": range(len(times))})

    parts = split_by_month(frame, es)

    assert list(parts) == ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"]
    assert sorted(row for part in parts.values() for row in part["row"]) == list(range(len(times)))


@pytest.mark.parametrize("symbol", ["ES", "SPY", "BTCUSDT"])
def test_label_sessions_in_order_or_not_gives_the_same_labels(symbol: str) -> None:
    instrument = load_instruments()[symbol]
    times = pd.date_range("2019-11-20", "2020-01-10", freq="17min", tz="UTC")
    order = np.random.default_rng(0).permutation(len(times))

    sorted_, shuffled = label_sessions(times, instrument), label_sessions(times[order], instrument)

    assert sorted_.position[order].tolist() == shuffled.position.tolist()
    assert sorted_.regular[order].tolist() == shuffled.regular.tolist()
    assert len(set(sorted_.position.tolist())) > 30


def test_session_schedule_changed_by_its_user_stays_itself_for_the_next(es: Instrument) -> None:
    schedule = session_schedule(es, "2024-03-04", "2024-03-08")
    before = schedule.copy()

    schedule["open"] = schedule["close"]
    schedule.index.name = "day"

    pd.testing.assert_frame_equal(session_schedule(es, "2024-03-04", "2024-03-08"), before)
