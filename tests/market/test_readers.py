"""Each format, the columns and the sources: what a file says is what the raw bars hold."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.readers import RawBars, ReadOptions, format_names, read_bars

SIERRA = """\
Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume
2019/12/22, 18:00:00, 3228.25, 3228.50, 3227.50, 3228.00, 1029, 494, 539, 490
2020/1/8, 20:55:00, 3228.25, 3228.50, 3227.75, 3228.00, 515, 287, 241, 274
"""
NINJA = """\
20241212 050100;6152.5;6152.5;6152.5;6152.5;9
20241212 050200;6152.5;6152.5;6152.25;6152.25;10
20241212 050400;6152.25;6152.25;6152.25;6152.25;2
20241212 050500;6152.25;6152.25;6152;6152;4
"""
GENERIC = """\
timestamp,open,high,low,close,volume
2021-03-01T14:30:00Z,3800,3801,3799.5,3800.25,100
2021-03-01T14:35:00Z,3800.25,3802,3800,3801,200
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def times(raw: RawBars) -> list[str]:
    return [each.strftime("%Y-%m-%d %H:%M:%S") for each in raw.frame["timestamp"]]


def test_generic_csv_names_of_a_bar_gives_utc_nanoseconds_and_floats(tmp_path: Path) -> None:
    path = write(tmp_path, "bars.csv", GENERIC)

    raw = read_bars(path)

    assert raw.format == "generic_csv"
    assert raw.description == "generic_csv: 5-minute bars, times carry their zone, labelled by their open"
    assert list(raw.frame) == [
        "timestamp", "open", "high", "low", "close", "volume", "source_file", "source_line",
    ]  # fmt: skip
    assert raw.frame["timestamp"].dtype == pd.DatetimeTZDtype("ns", "UTC")
    assert times(raw) == ["2021-03-01 14:30:00", "2021-03-01 14:35:00"]
    assert raw.frame["volume"].dtype == np.float64
    assert raw.frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == [
        [3800, 3801, 3799.5, 3800.25, 100],
        [3800.25, 3802, 3800, 3801, 200],
    ]
    assert raw.frame["source_file"].tolist() == [str(path)] * 2
    assert raw.frame["source_line"].tolist() == [2, 3]


def test_sierra_chart_reads_chicago_time_last_and_trade_counts(tmp_path: Path) -> None:
    raw = read_bars(write(tmp_path, "ESH20-CME.txt", SIERRA))

    assert raw.format == "sierra_chart"
    assert times(raw) == ["2019-12-23 00:00:00", "2020-01-09 02:55:00"]
    assert raw.frame["close"].tolist() == [3228.0, 3228.0]
    assert raw.frame[["num_trades", "bid_volume", "ask_volume"]].to_numpy().tolist() == [
        [494, 539, 490],
        [287, 241, 274],
    ]
    assert raw.frame["contract"].tolist() == ["ESH20", "ESH20"]
    assert "times read as America/Chicago" in raw.description
    assert "close from Last" in raw.description
    assert "; contract ESH20 from the name of the file" in raw.description


def test_sierra_chart_configured_zone_replaces_chicago(tmp_path: Path) -> None:
    raw = read_bars(write(tmp_path, "es.txt", SIERRA), ReadOptions(time_zone="America/New_York"))

    assert times(raw)[0] == "2019-12-22 23:00:00"
    assert "contract" not in raw.frame


def test_ninjatrader_labels_by_close_are_shifted_by_the_common_step(tmp_path: Path) -> None:
    raw = read_bars(write(tmp_path, "ES 03-25.Last.txt", NINJA))

    assert raw.format == "ninjatrader"
    assert times(raw) == [
        "2024-12-12 05:00:00", "2024-12-12 05:01:00", "2024-12-12 05:03:00", "2024-12-12 05:04:00",
    ]  # fmt: skip
    assert raw.frame["source_line"].tolist() == [1, 2, 3, 4]
    assert raw.frame["contract"].unique().tolist() == ["ESH25"]
    assert "1-minute bars, times read as UTC, labelled by their close and shifted to their open" in raw.description


def test_ninjatrader_configured_label_and_zone_win_over_its_habits(tmp_path: Path) -> None:
    raw = read_bars(write(tmp_path, "es.txt", NINJA), ReadOptions(label="open", time_zone="America/Chicago"))

    assert times(raw)[0] == "2024-12-12 11:01:00"


def test_close_labels_configured_bar_is_the_shift(tmp_path: Path) -> None:
    raw = read_bars(write(tmp_path, "bars.csv", GENERIC), ReadOptions(label="close", bar="5min"))

    assert times(raw) == ["2021-03-01 14:25:00", "2021-03-01 14:30:00"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("1614609000", "1614609300", "epoch seconds"),
        ("2021-03-01T08:30:00-06:00", "2021-03-01T08:35:00-06:00", "times carry their zone"),
    ],
)
def test_tradingview_unix_or_offset_times_are_read(tmp_path: Path, first: str, second: str, expected: str) -> None:
    text = f"time,open,high,low,close,Volume,Volume MA\n{first},1,2,0.5,1.5,10,\n{second},1,2,0.5,1.5,12,11\n"

    raw = read_bars(write(tmp_path, "CME_MINI_ES1!, 5.csv", text))

    assert raw.format == "tradingview"
    assert times(raw) == ["2021-03-01 14:30:00", "2021-03-01 14:35:00"]
    assert raw.frame["volume"].tolist() == [10, 12]
    assert expected in raw.description


KLINE = "{0},1.5,2.5,1.0,2.0,10.25,{1},20.5,7,5.0,10.0,0"
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,"
    "ignore\n"
)


@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("scale", [1, 1000])
def test_binance_csv_milli_or_microseconds_with_or_without_names_is_read(
    tmp_path: Path, header: str, scale: int
) -> None:
    opens = [1614609000000, 1614609060000]
    rows = "\n".join(KLINE.format(each * scale, (each + 59_999) * scale) for each in opens)

    raw = read_bars(write(tmp_path, "BTCUSDT-1m.csv", header + rows + "\n"))

    assert raw.format == "binance"
    assert times(raw) == ["2021-03-01 14:30:00", "2021-03-01 14:31:00"]
    assert raw.frame[["open", "high", "low", "close", "volume", "num_trades"]].to_numpy().tolist() == [
        [1.5, 2.5, 1.0, 2.0, 10.25, 7],
    ] * 2  # fmt: skip
    assert raw.frame["source_line"].tolist() == ([2, 3] if header else [1, 2])


def test_binance_json_numbers_or_texts_give_the_same_bars(tmp_path: Path) -> None:
    rows = [[1614609000000, 1.5, 2.5, 1, 2.0, 10], [1614609060000, None, 2.5, 1.0, 2.0, 11.5]]
    numbers = read_bars(write(tmp_path, "numbers.json", json.dumps(rows)))
    texts = read_bars(
        write(
            tmp_path,
            "texts.json",
            json.dumps([[r[0], *[v and str(v) for v in r[1:]], 0, "1", 3, "1", "1", "0"] for r in rows]),
        )
    )

    assert numbers.format == "json"
    assert times(numbers) == ["2021-03-01 14:30:00", "2021-03-01 14:31:00"]
    assert numbers.frame["open"].isna().tolist() == [False, True]
    assert numbers.frame["source_line"].tolist() == [1, 2]
    shared = ["timestamp", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(numbers.frame[shared], texts.frame[shared])
    assert texts.frame["num_trades"].tolist() == [3, 3]


@pytest.mark.parametrize("as_index", [True, False])
def test_parquet_times_in_column_or_index_are_read(tmp_path: Path, as_index: bool) -> None:
    opens = pd.date_range("2021-03-01 08:30", periods=3, freq="5min", tz="America/Chicago", unit="ms")
    frame = pd.DataFrame(
        {"Open": [1, 2, 3], "HIGH": [2, 3, 4], "low": [1.0, 2.0, None], "Last": [1, 2, 3], "Vol": [5, 6, 7]}
    )
    frame = frame.set_axis(opens) if as_index else frame.assign(datetime=opens)
    frame.to_parquet(tmp_path / "bars.parquet")

    raw = read_bars(tmp_path / "bars.parquet")

    assert raw.format == "parquet"
    assert times(raw) == ["2021-03-01 14:30:00", "2021-03-01 14:35:00", "2021-03-01 14:40:00"]
    assert raw.frame["low"].isna().tolist() == [False, False, True]
    assert raw.frame["source_line"].tolist() == [1, 2, 3]


def test_configured_columns_header_and_decimal_comma_read_a_bare_file(tmp_path: Path) -> None:
    path = write(tmp_path, "bare.csv", "01.03.2021;08:30;1,5;2,5;1,0;2,0;10\n01.03.2021;08:31;1,5;2,5;1,0;2,0;11\n")
    options = ReadOptions(
        header=("day", "clock", "o", "h", "l", "settle", "lots"),
        columns={"date": "day", "time": "clock", "close": "settle", "volume": "lots"},
        decimal=",",
        time_format="%d.%m.%Y %H:%M",
        time_zone="America/Chicago",
    )

    raw = read_bars(path, options)

    assert times(raw) == ["2021-03-01 14:30:00", "2021-03-01 14:31:00"]
    assert raw.frame["close"].tolist() == [2.0, 2.0]
    assert raw.frame["volume"].tolist() == [10, 11]
    assert "timestamp from day + clock" in raw.description


@pytest.mark.parametrize(("clock", "expected"), [("830", "14:30:00"), ("83000", "14:30:00"), ("0", "06:00:00")])
def test_dates_and_times_kept_as_numbers_get_their_zeros_back(tmp_path: Path, clock: str, expected: str) -> None:
    later = {"830": "1230", "83000": "123000", "0": "1230"}[clock]
    text = f"<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<VOL>\n20210301;{clock};1;1;1;1;1\n20210301;{later};1;1;1;1;1\n"

    raw = read_bars(write(tmp_path, "meta.csv", text), ReadOptions(time_zone="America/Chicago"))

    assert times(raw) == [f"2021-03-01 {expected}", "2021-03-01 18:30:00"]


def test_symbol_option_takes_its_rows_and_keeps_their_lines(tmp_path: Path) -> None:
    text = "symbol,time,open,high,low,close,volume\nNQ,1614609000,1,1,1,1,1\nES,1614609000,2,2,2,2,2\n"

    raw = read_bars(write(tmp_path, "two.csv", text), ReadOptions(symbol="ES"))

    assert raw.frame["open"].tolist() == [2]
    assert raw.frame["source_line"].tolist() == [3]
    assert "bars of ES" in raw.description
    assert "1 row of other symbols left out" in raw.description


@pytest.mark.parametrize("offset", ["+1", "-5", " -5", "\u22125", " \u22125", " \u20135", " \u2212 5", " (-5)"])
def test_column_of_times_named_with_an_offset_is_not_in_utc(tmp_path: Path, offset: str) -> None:
    rows = "2021-03-01 14:30,1,1,1,1,1\n2021-03-01 14:35,1,1,1,1,1\n"
    path = write(tmp_path, "utc.csv", f"Time UTC{offset},open,high,low,close,volume\n{rows}")
    options = ReadOptions(columns={"timestamp": f"Time UTC{offset}"})

    with pytest.raises(DataError, match="has no zone; set time_zone"):
        read_bars(path, options)


def test_symbols_in_another_case_are_the_same_symbol(tmp_path: Path) -> None:
    text = "symbol,time,open,high,low,close,volume\nes,1614609000,2,2,2,2,2\nNQ,1614609000,1,1,1,1,1\n"
    path = write(tmp_path, "case.csv", text + "ES,1614609300,3,3,3,3,3\nNQ,1614609300,1,1,1,1,1\n")

    assert read_bars(path, instrument="ES").frame["open"].tolist() == [2, 3]
    raw = read_bars(path, ReadOptions(file_symbol="nq"))
    assert raw.frame["source_line"].tolist() == [3, 5]
    assert "2 rows of other symbols left out" in raw.description


def test_contracts_in_the_symbol_column_can_be_named_so(tmp_path: Path) -> None:
    text = "symbol,time,open,high,low,close,volume\nESH21,1614609000,1,1,1,1,1\nESM21,1614609300,2,2,2,2,2\n"

    raw = read_bars(write(tmp_path, "roll.csv", text), ReadOptions(columns={"contract": "symbol"}))

    assert raw.frame["contract"].tolist() == ["ESH21", "ESM21"]


def test_contract_column_without_any_value_is_left_out(tmp_path: Path) -> None:
    text = GENERIC.replace("volume", "volume,contract").replace("00\n", "00,\n")

    assert "contract" not in read_bars(write(tmp_path, "bars.csv", text)).frame


def test_empty_and_infinite_cells_pass_for_cleaning_to_judge(tmp_path: Path) -> None:
    text = "timestamp,open,high,low,close,volume\n2021-03-01T14:30:00Z,,NaN, ,null,N/A\n,1,inf,-inf,1e400,+5\n"

    frame = read_bars(write(tmp_path, "holes.csv", text)).frame

    assert frame.loc[0, ["open", "high", "low", "close", "volume"]].isna().all()
    assert frame["timestamp"].isna().tolist() == [False, True]
    assert frame.loc[1, ["high", "low", "close", "volume"]].tolist() == [np.inf, -np.inf, np.inf, 5]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_are_passed_over_and_lines_still_count(tmp_path: Path, end: str) -> None:
    lines = GENERIC.splitlines()
    text = end.join(["", "  ", lines[0], "", lines[1], " \t", "", lines[2], "", ""])
    path = tmp_path / "blank.csv"
    path.write_bytes(text.encode())

    assert read_bars(path).frame["source_line"].tolist() == [5, 8]


def test_text_with_tabs_may_end_in_an_empty_field(tmp_path: Path) -> None:
    names = "timestamp\topen\thigh\tlow\tclose\tvolume\tnum_trades\n"
    rows = "".join(f"2021-03-01 14:3{i}Z\t5\t5\t5\t5\t1\t\n" for i in range(3))

    assert len(read_bars(write(tmp_path, "bars.txt", names + rows)).frame) == 3


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("bars.csv.gz", gzip.compress(GENERIC.encode(), mtime=0)),
        ("bom.csv", b"\xef\xbb\xbf" + GENERIC.encode()),
        ("wide.csv", GENERIC.encode("utf-16")),
        ("tabs.tsv", GENERIC.replace(",", "\t").encode()),
        ("quoted.csv", GENERIC.replace("3800,", '"3800",').encode()),
    ],
)
def test_packed_marked_and_quoted_text_reads_like_plain_text(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    write(tmp_path, "plain.csv", GENERIC)

    packed, plain = read_bars(tmp_path / name).frame, read_bars(tmp_path / "plain.csv").frame

    pd.testing.assert_frame_equal(packed.drop(columns="source_file"), plain.drop(columns="source_file"))


def test_folder_mixed_formats_are_read_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path, "b.csv", GENERIC)
    write(tmp_path, "a_ES 03-25.Last.txt", NINJA)
    write(tmp_path, "c.csv", GENERIC)
    write(tmp_path, ".hidden.csv", "garbage")
    write(tmp_path, "README.md", "not bars")

    raw = read_bars(tmp_path)

    assert [Path(each).name for each in raw.frame["source_file"].unique()] == ["a_ES 03-25.Last.txt", "b.csv", "c.csv"]
    assert raw.frame.index.tolist() == list(range(8))
    assert raw.format == "ninjatrader, generic_csv"
    assert "shifted to their open (1 file); generic_csv" in raw.description
    assert raw.description.endswith("labelled by their open (2 files); contract ESH25 from the name of the file")


def test_glob_takes_only_what_matches(tmp_path: Path) -> None:
    write(tmp_path, "es1.csv", GENERIC)
    write(tmp_path, "nq1.csv", GENERIC)

    raw = read_bars(tmp_path / "es*.csv")

    assert raw.frame["source_file"].unique().tolist() == [str(tmp_path / "es1.csv")]


def test_file_with_glob_marks_in_its_name_is_read_as_itself(tmp_path: Path) -> None:
    assert len(read_bars(write(tmp_path, "es[1].csv", GENERIC)).frame) == 2


def test_named_format_is_not_detected_but_taken(tmp_path: Path) -> None:
    path = write(tmp_path, "es.txt", SIERRA)

    raw = read_bars(path, ReadOptions(format="generic_csv", time_zone="UTC"))

    assert raw.format == "generic_csv"
    assert times(raw)[0] == "2019-12-22 18:00:00"


def test_unknown_format_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"format 'xslx' is unknown; set one of arrow, binance"):
        read_bars(write(tmp_path, "es.csv", GENERIC), ReadOptions(format="xslx"))
    assert format_names() == (
        "arrow", "binance", "cryptodatadownload", "databento", "dbn", "dukascopy", "excel", "generic_csv", "json",
        "metatrader5", "ninjatrader", "no_names", "parquet", "sierra_chart", "tradestation", "tradingview", "yfinance",
    )  # fmt: skip


@pytest.mark.parametrize(
    "impossible",
    [
        {"time_zone": "Chicago"},
        {"bar": "five"},
        {"bar": "-5min"},
        {"bar": "NaT"},
        {"columns": {"clos": "Last"}},
        {"label": "middle"},
        {"delimiter": ";;"},
        {"decimal": ",", "delimiter": ","},
        {"header": ("a",), "format": "parquet"},
        {"zone": "UTC"},
    ],
)
def test_options_impossible_value_is_refused(impossible: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        ReadOptions(**impossible)
