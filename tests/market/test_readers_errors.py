# ruff: noqa: E501 (a table of cases, a line each)
"""Unreadable files give one sentence that names file, line and column and says what to do."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.market.readers import ReadOptions, format_names, read_bars

HEAD = "timestamp,open,high,low,close,volume\n"
ROW = "2021-03-01T14:30:00Z,3800,3801,3799.5,3800.25,100\n"


def refusal(path: Path, data: bytes | str | None, **options: object) -> str:
    if data is not None:
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(DataError) as caught:
        read_bars(path, ReadOptions(**options))
    text = str(caught.value)
    assert str(path.parent) in text
    assert "\n" not in text
    return text.replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", "es.csv is empty; give a file"),
        (" \n\n", "es.csv is empty; give a file"),
        (HEAD, "es.csv has a header and no rows; give a file"),
        (
            HEAD + ROW + "\n" + ROW.replace("3801", "abc"),
            "es.csv, line 4, column 'high': 'abc' is not a number; fix the line, or leave the cell empty to have the "
            "row quarantined",
        ),
        (
            HEAD + ROW + "2021-03-01T14:35:00Z,3800,38",
            "es.csv, line 3: 3 fields where 6 are expected ('2021-03-01T14:35:00Z,3800,38'); fix or remove the line",
        ),
        (HEAD + "\n" + ROW + ROW.strip() + ",7\n", "es.csv, line 4: 7 fields where 6 are expected"),
        (HEAD + ROW + ROW.replace("2021-03-01T14:30:00Z", "soon"), "es.csv, line 3, column 'timestamp': time 'soon' can't be read"),
        (HEAD + ROW.replace("Z", ""), "es.csv, line 2, column 'timestamp': time '2021-03-01T14:30:00' has no zone; set time_zone"),
        (HEAD + ROW + ROW.replace("Z", ""), "es.csv, line 3, column 'timestamp': time '2021-03-01T14:30:00' has no zone while others"),
        (HEAD + ROW.replace("2021", "9999"), "es.csv, line 2, column 'timestamp': time '9999-03-01T14:30:00Z' is outside 1678 to 2261"),
        (HEAD + ROW.replace("2021-03-01T14:30:00Z", "12345678901"), "es.csv, line 2, column 'timestamp': time '12345678901' can't be read"),
        (HEAD + ROW.replace("2021-03-01T14:30:00Z", "03/01/2021 14:30"), "can be 3 January 2021 or 1 March 2021; set time_format (--time-format '%d/%m/%Y %H:%M') for the first, or '%m/%d/%Y %H:%M'"),
        (HEAD.replace("low,", "") + ROW.replace("3799.5,", ""), "es.csv has no column for low (its columns are timestamp, open, high, close, volume); set columns (--columns 'low=NAME')"),
        (HEAD.replace("open", "Volume") + ROW, "es.csv has several columns for volume (Volume, volume)"),
        ("Open,open" + HEAD[14:].replace("high", "timestamp,high") + ROW, "es.csv has several columns for open (Open, open)"),
        ("2021-03-01T14:30:00Z,1,2,3\n", "es.csv, line 1: '2021-03-01T14:30:00Z,1,2,3' has no known format"),
        (HEAD + ROW * 2000 + "\0", "es.csv, line 2002: holds a zero byte"),
        (HEAD.encode() + b"\xff\xfe\xff,1,1,1,1,1\n", "es.csv, line 2: not UTF-8 text; save the file as UTF-8"),
        (bytes(range(256)) * 8, "es.csv is neither text nor a known binary format"),
        (b"\x1f\x8b" + HEAD.encode(), "es.csv is incomplete or damaged gzip data"),
        (gzip.compress((HEAD + ROW).encode(), mtime=0)[:-4], "es.csv is incomplete or damaged gzip data (it ends early)"),
        ("[[1614609000000,1,2,1,1,5],[1614609060000,1", "es.csv, line 1: incomplete or invalid JSON"),
        ("[[1614609000000,1,2,1,1,5],[1614609060000,1]]", "es.csv, row 2: [1614609060000, 1] is not a candle"),
        ("[[1614609000000,1,2,1,1,5],[1614609060000,1,2,1,{},5]]", "es.csv, row 2, column 'close': '{}' is not a number"),
        ("[" * 100_000, "es.csv, line 1: incomplete or invalid JSON"),
        ("20241212 050100;1;1;1;1;1\n20241212 256100;1;1;1;1;1\n", "es.csv, line 2, column 'timestamp': time '20241212 256100' can't be read"),
        ("20241212 050100;1;1;1;1;1\n", "es.csv: bars are labelled by their close, and the file's times do not show how long a bar is; set bar"),
    ],
)  # fmt: skip
def test_faulty_file_names_line_column_and_remedy(tmp_path: Path, data: bytes | str, expected: str) -> None:
    assert refusal(tmp_path / "es.csv", data).find(expected) >= 0


@pytest.mark.parametrize(
    ("time", "zone", "expected"),
    [
        ("2021-11-07 01:30:00", "America/Chicago", "time '2021-11-07 01:30:00' occurs twice in America/Chicago"),
        ("2021-03-14 02:30:00", "America/Chicago", "time '2021-03-14 02:30:00' does not exist in America/Chicago"),
    ],
)
def test_local_time_where_clocks_change_is_refused(tmp_path: Path, time: str, zone: str, expected: str) -> None:
    text = HEAD + ROW.replace("2021-03-01T14:30:00Z", "2021-03-13 10:00:00") + ROW.replace("2021-03-01T14:30:00Z", time)

    assert f"es.csv, line 3, column 'timestamp': {expected}" in refusal(tmp_path / "es.csv", text, time_zone=zone)


def test_local_date_and_time_columns_are_quoted_as_written(tmp_path: Path) -> None:
    text = "Date,Time,Open,High,Low,Last,Volume,NumberOfTrades\n2021/11/7, 1:30:00,1,1,1,1,1,1\n"

    told = refusal(tmp_path / "es.csv", text)

    assert "es.csv, line 2, column 'Date + Time': time '2021/11/7  1:30:00' occurs twice in America/Chicago" in told


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"columns": {"close": "Settle"}}, "es.csv has no column 'Settle', which is set for close; its columns are"),
        ({"symbol": "ES"}, "es.csv has no column of symbols to find ES in"),
        ({"time_format": "%Q"}, "time_format '%Q' is not a strptime form"),
        ({"bar": "7min"}, "bar is 7min, but the file's times do not fit it"),
        ({"format": "ninjatrader"}, "es.csv, line 1: 1 field where 6 are expected"),
        ({"format": "ninjatrader", "columns": {"close": "Last"}}, "es.csv has no column 'Last', which is set for close; its columns are timestamp, open, high"),
        ({"format": "parquet"}, "es.csv is an incomplete or damaged Parquet file"),
        ({"format": "binance", "columns": {"close": "x"}}, "es.csv has no column 'x'"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_the_file_are_refused(
    tmp_path: Path, options: dict[str, object], expected: str
) -> None:
    assert expected in refusal(tmp_path / "es.csv", HEAD + ROW + ROW.replace("30:00", "35:00"), **options)


def test_several_symbols_without_a_choice_are_refused(tmp_path: Path) -> None:
    text = "symbol,time,open,high,low,close,volume\nNQ,1614609000,1,1,1,1,1\nES,1614609000,2,2,2,2,2\n"

    assert (
        "column 'symbol' holds 2 symbols (ES, NQ); set file_symbol (--file-symbol ES) or to another of them"
        in refusal(tmp_path / "es.csv", text)
    )
    assert "no rows of symbol 'CL'; it holds ES, NQ" in refusal(tmp_path / "es.csv", None, symbol="CL")


@pytest.mark.parametrize("options", [{}, {"symbol": "ES"}])
def test_row_without_a_symbol_among_rows_with_one_is_refused(tmp_path: Path, options: dict[str, str]) -> None:
    text = "symbol,time,open,high,low,close,volume\nES,1614609000,1,1,1,1,1\n,1614609300,2,2,2,2,2\n"

    assert "es.csv, line 3, column 'symbol': empty" in refusal(tmp_path / "es.csv", text, **options)


def test_close_labels_with_irregular_times_ask_for_the_bar(tmp_path: Path) -> None:
    rows = "".join(ROW.replace("14:30:00", f"14:{minute:02}:00") for minute in (1, 4, 9, 11, 18, 27, 40))

    told = refusal(tmp_path / "es.csv", HEAD + rows, label="close")

    assert "do not show how long a bar is; set bar (--bar LENGTH), such as 5min" in told


@pytest.mark.parametrize("name", ["none.csv", "none/*.csv", "none"])
def test_path_to_nothing_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    with pytest.raises(DataError, match=f"(no file matches )?{re.escape(str(path))}"):
        read_bars(path)


def test_folder_without_bars_says_which_suffixes_count(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")

    with pytest.raises(DataError, match=r"holds no file with one of the suffixes \.arrow, \.csv"):
        read_bars(tmp_path)


def bars_frame() -> pd.DataFrame:
    opens = pd.date_range("2021-03-01 14:30", periods=400, freq="5min", tz="UTC")
    prices = np.arange(400.0)
    return pd.DataFrame(
        {"timestamp": opens, "open": prices, "high": prices, "low": prices, "close": prices, "volume": 1}
    )


def test_parquet_cut_off_or_empty_is_refused(tmp_path: Path) -> None:
    bars_frame().to_parquet(tmp_path / "es.parquet")
    whole = (tmp_path / "es.parquet").read_bytes()

    assert "es.parquet is an incomplete or damaged Parquet file" in refusal(
        tmp_path / "es.parquet", whole[: len(whole) // 2]
    )
    assert "es.parquet is an incomplete or damaged Parquet file" in refusal(
        tmp_path / "es.parquet", b"PAR1" + whole[200:]
    )
    assert "es.parquet is empty" in refusal(tmp_path / "es.parquet", b"")
    bars_frame().iloc[:0].to_parquet(tmp_path / "none.parquet")
    assert "none.parquet is empty" in refusal(tmp_path / "none.parquet", None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"timestamp": bars_frame()["timestamp"].dt.tz_localize(None)}, "row 1, column 'timestamp': time '2021-03-01 14:30:00' has no zone"),
        ({"timestamp": True}, "column 'timestamp' holds bool, not times"),
        ({"high": ["1.5"] * 399 + ["abc"]}, "row 400, column 'high': 'abc' is not a number"),
        ({"high": True}, "column 'high' holds bool, not numbers"),
        ({"high": [[1.0]] * 400}, "column 'high' holds list"),
    ],
)  # fmt: skip
def test_parquet_faulty_column_is_refused(tmp_path: Path, change: dict[str, object], expected: str) -> None:
    bars_frame().assign(**change).to_parquet(tmp_path / "es.parquet")

    assert expected in refusal(tmp_path / "es.parquet", None)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda text: (HEAD + text).encode("utf-8", errors="replace")),
        st.text("0123456789.;,:-TZ [\n\"'eE", max_size=200).map(lambda text: (HEAD + ROW + text).encode()),
    ),
    format_name=st.sampled_from([None, *format_names()]),
)
def test_any_bytes_are_read_or_refused_in_one_sentence(tmp_path: Path, junk: bytes, format_name: str | None) -> None:
    path = tmp_path / "junk.csv"
    path.write_bytes(junk)
    told, rows = "", 0
    try:
        rows = len(read_bars(path, ReadOptions(format=format_name, time_zone="UTC")).frame)
    except DataError as refused:
        told = str(refused)
    assert rows > 0 or str(path) in told
