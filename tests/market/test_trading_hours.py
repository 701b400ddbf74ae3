from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import ConfigurationError
from pipeline.market import Instrument, find_instrument, label_sessions, next_session, session_schedule


def chicago(moment: pd.Timestamp) -> str:
    return moment.tz_convert("America/Chicago").strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2023-11-24", "2023-11-23 17:00", "2023-11-24 12:15"),  # day after Thanksgiving
        ("2024-12-24", "2024-12-23 17:00", "2024-12-24 12:15"),
        ("2018-12-24", "2018-12-23 17:00", "2018-12-24 12:15"),  # a Monday
        ("2019-07-03", "2019-07-02 17:00", "2019-07-03 12:15"),
        ("2020-07-02", "2020-07-01 17:00", "2020-07-02 16:00"),  # before a holiday that is moved to Friday
        ("2024-11-28", "2024-11-27 17:00", "2024-11-28 12:00"),  # Thanksgiving itself
        ("2023-06-19", "2023-06-18 17:00", "2023-06-19 12:00"),
        ("2013-09-02", "2013-09-01 17:00", "2013-09-02 10:30"),
        ("2015-04-03", "2015-04-02 17:00", "2015-04-03 08:15"),
        ("2021-04-02", "2021-04-01 17:00", "2021-04-02 08:15"),
        ("2023-04-07", "2023-04-06 17:00", "2023-04-07 08:15"),
        ("2018-12-05", "2018-12-04 17:00", "2018-12-05 08:30"),
        ("2025-01-09", "2025-01-08 17:00", "2025-01-09 08:30"),
        ("2015-06-01", "2015-05-31 17:00", "2015-06-01 16:00"),  # it traded until 16:15; the contract says 16:00
    ],
)
def test_schedule_es_holds_cme_equity_index_hours(es: Instrument, day: str, opens: str, closes: str) -> None:
    row = session_schedule(es, day, day).iloc[0]

    assert (chicago(row["open"]), chicago(row["close"])) == (opens, closes)
    regular = pd.Timestamp(f"{day} 08:30", tz="America/Chicago"), pd.Timestamp(f"{day} 15:00", tz="America/Chicago")
    assert row["rth_open"] == regular[0]
    assert row["rth_close"] == max(min(regular[1], row["close"]), regular[0])


@pytest.mark.parametrize("day", ["2014-04-18", "2016-03-25", "2019-04-19", "2022-04-15", "2024-03-29", "2025-04-18"])
def test_schedule_es_good_friday_without_the_jobs_report_is_closed(es: Instrument, day: str) -> None:
    assert session_schedule(es, day, day).empty


def test_schedule_real_es_bars_lie_in_sessions_but_for_prints_at_the_close(real_data: Path, es: Instrument) -> None:
    for name in ("es_5m_2015_2021", "es_1m_esh25"):
        bars = pd.read_parquet(real_data / f"{name}.parquet")
        times = pd.DatetimeIndex(bars["timestamp"])
        outside = label_sessions(times, es).position < 0
        local = times.tz_convert("America/Chicago")
        # Until 18 September 2015 CME closed at 16:15; the contract's session ends at 16:00.
        outside &= ~((local < pd.Timestamp("2015-09-19", tz="America/Chicago")) & (local.hour == 16))
        assert outside.sum() < 30
        assert bars.loc[outside, "volume"].max() <= 22


def test_schedule_real_es_half_days_trade_up_to_the_close(real_data: Path, es: Instrument) -> None:
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    times = pd.DatetimeIndex(bars["timestamp"])
    labels = label_sessions(times, es)
    last = pd.Series(times).groupby(labels.position).last().drop(index=-1)
    early = labels.schedule.loc[labels.schedule["close"].dt.tz_convert("America/Chicago").dt.hour < 15]
    for session, row in early.iterrows():
        place = labels.schedule.index.get_loc(session)
        if place in last.index:
            assert last[place] == row["close"] - pd.Timedelta(minutes=5), session


def test_schedule_of_crude_oil_on_the_same_calendar_keeps_its_own_hours(es: Instrument) -> None:
    crude = es.model_copy(update={"symbol": "CL", "trading_hours": None})

    assert chicago(session_schedule(crude, "2019-07-03", "2019-07-03")["close"].iloc[0]) == "2019-07-03 16:00"
    assert session_schedule(crude, "2021-04-02", "2021-04-02").empty


def test_trading_hours_that_no_file_holds_are_named(es: Instrument) -> None:
    with pytest.raises(ConfigurationError, match=r"trading_hours is 'cme_eqity'.*cme_equity_index"):
        session_schedule(es.model_copy(update={"trading_hours": "cme_eqity"}), "2027-03-09", "2027-03-12")


def test_next_session_regular_hours_pass_over_a_session_without_any(es: Instrument) -> None:
    thursday = pd.DatetimeIndex(["2023-04-06"])

    assert next_session(thursday, es).strftime("%Y-%m-%d").tolist() == ["2023-04-07"]
    assert next_session(thursday, es, "rth").strftime("%Y-%m-%d").tolist() == ["2023-04-10"]


def test_user_file_adds_a_holiday_an_early_close_and_hours_of_one_symbol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "calendars.yaml"
    file.write_text(
        "CMES:\n"
        "  - {dates: [2027-03-10], closed: true, reason: a day of mourning}\n"
        "  - {dates: [2027-03-11], close: 11:00}\n"  # YAML alone would read a number of base 60
        'MES: [{dates: [2027-03-11], close: "15:30"}]\n'
    )
    monkeypatch.setenv("VPOC_CALENDARS", str(file))

    es = session_schedule(find_instrument("ES"), "2027-03-09", "2027-03-12")
    mes = session_schedule(find_instrument("MES"), "2027-03-11", "2027-03-11")

    assert es.index.strftime("%Y-%m-%d").tolist() == ["2027-03-09", "2027-03-11", "2027-03-12"]
    assert chicago(es.loc["2027-03-11", "close"]) == "2027-03-11 11:00"
    assert chicago(mes["close"].iloc[0]) == "2027-03-11 15:30"
    monkeypatch.delenv("VPOC_CALENDARS")
    assert len(session_schedule(find_instrument("ES"), "2027-03-09", "2027-03-12")) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CMES: [{dates: [2027-03-10]}]", "CMES: give either close"),
        ('CMES: [{dates: [2027-03-10], close: "noon"}]', "CMES.close"),
        ("CMES: [{dates: [], closed: true}]", "CMES.dates"),
        ("CMES: 2027-03-10", "lists of entries"),
        ("[", "not YAML"),
        ("CMES: []\nCMES: []", "line 2.*CMES"),
    ],
)
def test_user_file_with_an_impossible_entry_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, es: Instrument, text: str, message: str
) -> None:
    file = tmp_path / "calendars.yaml"
    file.write_text(text)
    monkeypatch.setenv("VPOC_CALENDARS", str(file))

    with pytest.raises(ConfigurationError, match=message):
        session_schedule(es, "2027-03-09", "2027-03-12")


def test_user_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, es: Instrument) -> None:
    monkeypatch.setenv("VPOC_CALENDARS", "/nowhere/calendars.yaml")

    with pytest.raises(ConfigurationError, match="VPOC_CALENDARS names /nowhere"):
        session_schedule(es, "2027-03-09", "2027-03-12")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("ESX", "'ES'"), ("es", "'ES'"), ("CMESS", "'CMES'"), ("xnys", "'XNYS'"),
     ("cme_equity_indx", "'cme_equity_index'"), ("BTCUSD", "'BTCUSDT'"), ("???", "name one of these")],
)  # fmt: skip
def test_user_file_with_a_name_that_nothing_has_is_refused_with_the_likely_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, es: Instrument, name: str, meant: str
) -> None:
    (tmp_path / "calendars.yaml").write_text(f'"{name}": [{{dates: [2027-03-10], closed: true}}]')
    monkeypatch.setenv("VPOC_CALENDARS", str(tmp_path / "calendars.yaml"))

    with pytest.raises(ConfigurationError) as caught:
        session_schedule(es, "2027-03-09", "2027-03-12")

    assert f"{name!r} is not a calendar" in str(caught.value)
    assert meant in str(caught.value)


@pytest.mark.parametrize("name", ["CMES", "CME", "cme_equity_index", "ES", "own_hours"])
def test_user_file_is_heard_by_each_name_of_an_instruments_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, es: Instrument, name: str
) -> None:
    (tmp_path / "calendars.yaml").write_text(
        f"{name}: [{{dates: [2027-03-10], closed: true}}]\nXLON: [{{dates: [2027-03-11], closed: true}}]\n"
    )
    monkeypatch.setenv("VPOC_CALENDARS", str(tmp_path / "calendars.yaml"))
    if name == "own_hours":
        es = es.model_copy(update={"trading_hours": name})

    sessions = session_schedule(es, "2027-03-09", "2027-03-11").index

    assert sessions.strftime("%m-%d").tolist() == ["03-09", "03-11"]


def test_user_file_may_name_the_hours_of_another_instrument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, es: Instrument
) -> None:
    (tmp_path / "own.yaml").write_text(
        "CL: {tick_size: 0.01, point_value: 1000, volume_step: 1, calendar: CMES, commission_per_side: 0,"
        " trading_hours: nymex}"
    )
    (tmp_path / "calendars.yaml").write_text(
        "nymex: [{dates: [2027-03-10], closed: true}]\nCL: [{dates: [2027-03-11], closed: true}]\n"
    )
    monkeypatch.setenv("VPOC_INSTRUMENTS", str(tmp_path / "own.yaml"))
    monkeypatch.setenv("VPOC_CALENDARS", str(tmp_path / "calendars.yaml"))

    assert len(session_schedule(es, "2027-03-09", "2027-03-11")) == 3
    assert len(session_schedule(find_instrument("CL"), "2027-03-09", "2027-03-11")) == 1
