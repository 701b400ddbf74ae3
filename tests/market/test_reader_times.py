"""Times in every form are read as what they mean, or refused with what they can mean."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.readers import ReadOptions, read_bars

# From 17:00 Chicago on the 5th to 16:55 on the 6th, and on for two weeks: every day of the month but few.
OPENS = pd.date_range("2019-03-05 23:00", "2019-03-18 22:55", freq="5min", tz="UTC")
CHICAGO = "America/Chicago"


def read(folder: Path, times: list[str], **options: object) -> tuple[pd.DatetimeIndex, str]:
    path = folder / "bars.csv"
    rows = "".join(f"{time};1;1;1;1;1\n" for time in times)
    path.write_text("timestamp;open;high;low;close;volume\n" + rows)
    raw = read_bars(path, ReadOptions(**options))
    return pd.DatetimeIndex(raw.frame["timestamp"]), raw.description


def local(form: str, opens: pd.DatetimeIndex = OPENS) -> list[str]:
    return list(opens.tz_convert(CHICAGO).strftime(form))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%Y-%m-%d %H:%M", "times read as America/Chicago"),
        ("%Y.%m.%d %H:%M:%S", "times read as America/Chicago"),
        ("%d/%m/%Y %H:%M", "dates read as day, month, year"),
        ("%m/%d/%Y %H:%M", "dates read as month, day, year"),
        ("%d.%m.%Y %H:%M:%S.000", "dates read as day, month, year"),
        ("%m-%d-%y %H:%M", "dates read as month, day, year"),
        ("%d.%m.%y %H:%M", "dates read as day, month, year"),
        ("%y/%m/%d %H:%M", "dates read as year, month, day"),
        ("%y-%m-%d %H:%M:%S", "dates read as year, month, day"),
        ("%y.%m.%d %I:%M %p", "dates read as year, month, day"),
        ("%m/%d/%Y %I:%M %p", "dates read as month, day, year"),
        ("%Y-%m-%d %I:%M:%S%p", "times read as America/Chicago"),
        ("%d-%b-%Y %H:%M", "times read as America/Chicago"),
        ("%b %d, %Y %I:%M %p", "times read as America/Chicago"),
        ("%Y%m%d %H%M%S", "times read as America/Chicago"),
        ("%Y%m%d%H%M", "from the digits %Y%m%d%H%M"),
        ("%Y%m%d%H%M%S", "from the digits %Y%m%d%H%M%S"),
        ("%y%m%d%H%M", "from the digits %y%m%d%H%M"),
        ("%y%m%d%H%M%S", "from the digits %y%m%d%H%M%S"),
        ("%d%m%Y%H%M", "from the digits %d%m%Y%H%M"),
        ("%m%d%Y%H%M", "from the digits %m%d%Y%H%M"),
        ("%d%m%Y%H%M%S", "from the digits %d%m%Y%H%M%S"),
        ("%m%d%Y%H%M%S", "from the digits %m%d%Y%H%M%S"),
        ("%d%m%y%H%M", "from the digits %d%m%y%H%M"),
        ("%m%d%y%H%M", "from the digits %m%d%y%H%M"),
        ("%d%m%y%H%M%S", "from the digits %d%m%y%H%M%S"),
    ],
)
def test_local_times_in_many_forms_are_the_same_instants(tmp_path: Path, form: str, expected: str) -> None:
    got, description = read(tmp_path, local(form), time_zone=CHICAGO)

    assert got.equals(OPENS.as_unit("ns"))
    assert expected in description


SECONDS = OPENS.as_unit("s").asi8


@pytest.mark.parametrize(
    ("numbers", "zoned"),
    [
        (SECONDS, True),
        (SECONDS * 1000, True),
        (SECONDS * 10**6, True),
        (SECONDS * 10**9, True),
        ((SECONDS + 62_135_596_800) * 10**7, False),
        ((SECONDS + 11_644_473_600) * 10**7, True),
        (SECONDS + 2_082_844_800, False),
        (SECONDS / 86_400 + 25_569, False),
    ],
    ids=["seconds", "milli", "micro", "nano", ".NET", "Windows", "1904", "Excel"],
)
def test_epochs_of_many_kinds_are_the_same_instants(tmp_path: Path, numbers: np.ndarray, zoned: bool) -> None:
    texts = [repr(each) for each in numbers.tolist()]
    if not zoned:
        with pytest.raises(DataError, match=r"2019-03-05 23:00:00\) has no zone; set time_zone \(--time-zone"):
            read(tmp_path, texts)

    got, _ = read(tmp_path, texts, **({} if zoned else {"time_zone": "UTC"}))

    assert got.equals(OPENS.as_unit("ns"))


@pytest.mark.parametrize("when", ["1990-03-01 14:30", "2017-03-05 18:00", "1999-12-31 00:00"])
def test_epoch_seconds_and_nanoseconds_of_other_years_are_not_ticks_and_no_digits(tmp_path: Path, when: str) -> None:
    opens = pd.date_range(when, periods=60, freq="5min", tz="UTC")

    for unit in ("s", "ns"):
        assert read(tmp_path, list(map(str, opens.as_unit(unit).asi8)))[0].equals(opens.as_unit("ns"))


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        # 32-bit floats keep seconds to 128, nanoseconds to 137 seconds.
        (list(map(str, np.float32(SECONDS[:50]).astype(np.int64))), "rounded .* by a 32-bit float"),
        (list(map(str, np.float32(SECONDS[:50] * 10**9).astype(np.float64).astype(np.int64))), "32-bit float"),
        ([f"{each:.5E}" for each in SECONDS[:9].tolist()], "lost its last digits to a spreadsheet"),
        ([f"{each / 86_400 + 25_569:.2f}" for each in SECONDS[:9].tolist()], "too few decimals to tell the second"),
        (["4102444800", "4102445100"], "can't be read"),
        (["300000000", "300000300"], "can't be read"),
        (["1703051800", "1703051805"], r"can be 2023-12-20 .* \(epoch seconds\) or 2017-03-05 18:00:00 .*%y%m%d%H%M"),
        (["03/02/2022 18:00", "03/02/2022 18:05"], r"can be 3 February 2022 or 2 March 2022; set time_format "
         r"\(--time-format '%d/%m/%Y %H:%M'\) for the first, or '%m/%d/%Y %H:%M'"),
        (["03/02/2022", "03/03/2022"], "can be 3 February 2022 or 2 March 2022"),
        (["13/02/2022 18:00", "03/14/2022 18:05"], "has its month second, while other dates"),
        ([f"03/{day:02}/2022 18:00" for day in range(1, 11)] + ["13/11/2022 18:00"], "another order of day and month"),
        (["19-03-04 00:30", "19-03-04 00:35"], r"can be 4 March 2019 or 19 March 2004; set time_format "
         r"\(--time-format '%y-%m-%d %H:%M'\) for the first, or '%d-%m-%y %H:%M' for the second"),
        ([f"19030417{minute:02}" for minute in range(30)], r"can be 2019-03-04 17:00:00 .* or 2004-03-19 17:00:00 .*; "
         r"set time_format \(--time-format '%y%m%d%H%M'\) for the first, or '%d%m%y%H%M' for the second"),
        (["01012010", "01022010", "01032010"], r"line 3, .*can be 2010-02-01 00:00:00 .* or 2010-01-02 00:00:00"),
        (["01/01/2010", "01/02/2010", "01/03/2010"], r"line 3, .*can be 1 February 2010 or 2 January 2010"),
        # March with the day first, then April with the month first.
        ([f"{day}/03/2019 18:00" for day in range(20, 32)] + [f"04/{day:02}/2019 18:00" for day in range(1, 6)],
         r"line 14, .*can be 1 April 2019, near .*, or 4 January 2019, .*day, month, year.*'%d/%m/%Y %H:%M'"),
        (["04/01/2019 18:00", "15/04/2019 18:00", "16/04/2019 18:00", "04/12/2019 18:00", "17/04/2019 18:00"],
         "line 5, .*can be 12 April 2019, near .*, or 4 December 2019"),
        (["04/10/2019 18:00", "15/04/2019 18:00", "04/11/2019 18:00", "17/04/2019 18:00"],
         "line 2, .*can be 10 April 2019, near .*, or 4 October 2019"),
        (["03/02/2022 06:00 PM", "03/02/2022 06:05 PM"], r"'%d/%m/%Y %I:%M %p'\) for the first"),
        (["2022-03-02 18:00 PM", "2022-03-02 18:05 PM"], "has AM or PM and no hour of 1 to 12"),
        (["2022-03-02 06:00 PM", "2022-03-02 06:05"], "has neither AM nor PM"),
        (["2022-03-02 06:00 Mars/Olympus", "2022-03-02 06:05 Mars/Olympus"], "names the zone 'Mars/Olympus'"),
        (["2022-03-02 06:00 US/Central", "2022-03-02 06:05"], "has no zone while others"),
        (["2022-03-02 06:00 IST", "2022-03-02 06:05 IST"], "can't be read"),
    ],
)  # fmt: skip
def test_times_that_lost_or_lack_their_meaning_are_refused(tmp_path: Path, times: list[str], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, times)


@pytest.mark.parametrize(("form", "expected"), [("%d/%m/%Y %H:%M", "2022-02-03"), ("%m/%d/%Y %H:%M", "2022-03-02")])
def test_dates_of_two_readings_are_settled_by_the_option_the_error_names(
    tmp_path: Path, form: str, expected: str
) -> None:
    got, _ = read(tmp_path, ["03/02/2022 18:00", "03/02/2022 18:05"], time_format=form, time_zone="UTC")

    assert str(got[0].date()) == expected


def test_dates_of_one_order_with_long_gaps_are_read(tmp_path: Path) -> None:
    days = ["15/01/2019", "16/01/2019", "20/02/2019", "21/02/2019", "02/04/2019", "03/04/2019", "25/05/2019"]

    got, _ = read(tmp_path, [f"{day} 18:00" for day in days], time_zone="UTC")

    assert list(got.strftime("%d/%m/%Y")) == days


@pytest.mark.parametrize("day_first", [True, False])
def test_dates_below_13_that_follow_one_another_are_detected_by_it(tmp_path: Path, day_first: bool) -> None:
    opens = pd.date_range("2022-03-02", "2022-03-09", freq="30min", tz="UTC")
    form = "%d/%m/%Y %H:%M" if day_first else "%m/%d/%Y %H:%M"

    assert read(tmp_path, list(opens.strftime(form)), time_zone="UTC")[0].equals(opens.as_unit("ns"))


@pytest.mark.parametrize(
    ("form", "sentence"),
    [("%Y-%m-%d %H:%M %p", "write %I for %H"), ("%Y-%m-%d %I:%M", "write %H for %I")],
)
def test_time_format_of_two_kinds_of_hours_is_refused(form: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        ReadOptions(time_format=form)


@pytest.mark.parametrize(
    ("name", "zoned"),
    [("Gmt time", True), ("time_utc", True), ("UTC", True), ("time (UTC)", True), ("time (UTC+1)", False)],
)
def test_column_of_times_that_is_called_utc_is_read_so(tmp_path: Path, name: str, zoned: bool) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"{name},open,high,low,close,volume\n2022-03-02 18:00,1,1,1,1,1\n")
    options = ReadOptions(columns={"timestamp": name})
    if not zoned:
        with pytest.raises(DataError, match="has no zone"):
            read_bars(path, options)
        return
    assert read_bars(path, options).frame["timestamp"][0] == pd.Timestamp("2022-03-02 18:00Z")


def test_letters_of_a_zone_are_reported(tmp_path: Path) -> None:
    got, description = read(tmp_path, ["2022-03-02 18:00 CST", "2022-03-02 18:05 CST"])

    assert got[0] == pd.Timestamp("2022-03-03 00:00Z")
    assert "CST read as -06:00" in description


def test_zone_that_times_were_read_in_and_offset_of_their_letters_are_kept(tmp_path: Path) -> None:
    rows = "timestamp,open,high,low,close,volume\n2022-03-02 18:00{},1,1,1,1,1\n2022-03-02 18:05{},1,1,1,1,1\n"
    for letters in ("", " CST", "Z"):
        (tmp_path / f"bars{letters}.csv").write_text(rows.format(letters, letters))
    chicago = ReadOptions(time_zone="America/Chicago")

    read_in = {each: read_bars(tmp_path / f"bars{each}.csv", chicago) for each in ("", " CST", "Z")}

    assert {each: (raw.zone, raw.offset) for each, raw in read_in.items()} == {
        "": ("America/Chicago", ""),
        " CST": (None, "-06:00"),
        "Z": (None, ""),
    }


def test_half_days_at_noon_and_midnight(tmp_path: Path) -> None:
    got, _ = read(tmp_path, ["2022-03-02 12:00 AM", "2022-03-02 12:00 PM", "2022-03-02 11:59 p.m."], time_zone="UTC")

    assert list(got.strftime("%H:%M")) == ["00:00", "12:00", "23:59"]


def test_parquet_of_32_bit_times_is_refused_by_its_type(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"timestamp": np.float32(SECONDS[:9]), "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}
    )
    frame.to_parquet(tmp_path / "es.parquet")

    with pytest.raises(DataError, match="32-bit floats, which round them"):
        read_bars(tmp_path / "es.parquet")


@pytest.mark.parametrize("hours", [8, 24])
def test_bars_of_many_hours_on_float_numbers_are_not_rounded_ones(tmp_path: Path, hours: int) -> None:
    opens = pd.date_range("2019-03-05", periods=30, freq=f"{hours}h", tz="UTC")

    assert read(tmp_path, list(map(str, opens.as_unit("s").asi8)))[0].equals(opens.as_unit("ns"))


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("%y%m%d%H%M", [1503031700, 1503031705]),
        ("%d%m%Y%H%M", [30320151700, 30320151705]),
        ("%d%m%y%H%M", [303151700, 303151705]),
    ],
)
@pytest.mark.parametrize("kind", ["int64", "float64", "csv", "json"])
def test_time_format_reads_the_digits_of_numbers(tmp_path: Path, form: str, numbers: list[int], kind: str) -> None:
    bars = pd.DataFrame({"timestamp": numbers, **dict.fromkeys(("open", "high", "low", "close", "volume"), 1)})
    if kind == "csv":
        bars.to_csv(path := tmp_path / "bars.csv", index=False)
    elif kind == "json":
        bars.to_json(path := tmp_path / "bars.json", orient="records")
    else:
        bars.astype({"timestamp": kind}).to_parquet(path := tmp_path / "bars.parquet")

    got = read_bars(path, ReadOptions(time_format=form, time_zone=CHICAGO)).frame["timestamp"]

    assert list(got) == [pd.Timestamp("2015-03-03 17:00", tz=CHICAGO), pd.Timestamp("2015-03-03 17:05", tz=CHICAGO)]


@pytest.mark.parametrize(
    ("before", "midnight", "form"),
    [
        ("2019-03-31 23:55", "2019-03-31 24:00", "%Y-%m-%d %H:%M"),
        ("2019-03-31T23:55:00", "2019-03-31T24:00:00", "%Y-%m-%dT%H:%M:%S"),
        ("31/03/2019 23:55", "31/03/2019 24:00", "%d/%m/%Y %H:%M"),
        ("2019-03-31 23:55:00Z", "2019-03-31 24:00:00Z", "%Y-%m-%d %H:%M:%S%z"),
    ],
)
def test_24_hours_are_midnight_of_the_next_day(tmp_path: Path, before: str, midnight: str, form: str) -> None:
    zone = {} if midnight.endswith("Z") else {"time_zone": "UTC"}
    expected = pd.DatetimeIndex(["2019-03-31 23:55", "2019-04-01 00:00"], tz="UTC").as_unit("ns")

    assert read(tmp_path, [before, midnight], **zone)[0].equals(expected)
    assert read(tmp_path, [before, midnight], time_format=form, **zone)[0].equals(expected)


def test_minutes_after_24_hours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'2019-03-31 24:05' can't be read"):
        read(tmp_path, ["2019-03-31 23:55", "2019-03-31 24:05"], time_zone="UTC")


@pytest.mark.parametrize("options", [{}, {"time_format": "%Y-%m-%d %H:%M"}])
def test_24_hours_where_their_day_begins_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    times = ["2019-03-30 23:50", "2019-03-30 23:55", "2019-03-31 24:00", "2019-03-31 00:05", "2019-03-31 00:10"]
    with pytest.raises(DataError, match=r"line 4, .*'2019-03-31 24:00' .* write 00:00"):
        read(tmp_path, times, time_zone="UTC", **options)


def test_day_24_after_a_time_is_not_24_hours(tmp_path: Path) -> None:
    got, _ = read(tmp_path, ["14:00 24 Mar 2019", "14:05 24 Mar 2019"], time_format="%H:%M %d %b %Y", time_zone="UTC")

    assert str(got[1]) == "2019-03-24 14:05:00+00:00"
