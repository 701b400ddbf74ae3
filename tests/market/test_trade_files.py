"""Trades from files: formats, sides, chunks, and errors that name file, line and column."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.market import load_instruments
from pipeline.market.trade_files import TradeReadOptions, holds_trades, read_trades
from pipeline.profiles.trades import trade_profiles

ES = load_instruments()["ES"]
TIMES = ["2024-03-05 14:30:00Z", "2024-03-05 14:30:00.000500Z", "2024-03-05 14:31:00Z"]
PLAIN = "timestamp,price,volume\n" + "".join(f"{time},510{i}.25,{i + 1}\n" for i, time in enumerate(TIMES))


def _read(path: Path, *, chunk_rows: int = 1 << 18, **options: object) -> pd.DataFrame:
    return pd.concat(read_trades(path, TradeReadOptions(**options), chunk_rows=chunk_rows), ignore_index=True)  # type: ignore[arg-type]


def _file(folder: Path, text: str, name: str = "trades.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_read_trades_text_gives_times_prices_and_volumes(tmp_path: Path) -> None:
    trades = _read(_file(tmp_path, PLAIN))

    assert trades["timestamp"].tolist() == pd.to_datetime(TIMES, format="ISO8601").tolist()
    assert str(trades["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert trades["price"].tolist() == [5100.25, 5101.25, 5102.25]
    assert trades["volume"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 1000])
def test_read_trades_text_in_any_chunks_is_the_same(tmp_path: Path, chunk_rows: int) -> None:
    text = "timestamp;price;size;side\n\n" + "".join(
        f"2024-03-05 14:{i % 60:02}:00Z;{5100 + i % 8 / 4};{i % 5};{'BBS'[i % 3]}\r\n" + "\n" * (i % 7 == 0)
        for i in range(200)
    )

    whole = _read(_file(tmp_path, text))
    chunked = _read(tmp_path / "trades.csv", chunk_rows=chunk_rows)

    assert len(whole) == 200
    assert chunked["side"].tolist() == whole["side"].tolist()
    pd.testing.assert_frame_equal(chunked.drop(columns="side"), whole.drop(columns="side"))
    delta = sum(i % 5 * (-1 if i % 3 == 2 else 1) for i in range(200))
    assert trade_profiles(chunked, ES, hours="eth").loc["2024-03-05", "delta"] == delta


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n \n\n"])
@pytest.mark.parametrize("chunk_rows", [1, 1000])
def test_read_trades_text_with_tabs_may_end_in_an_empty_field(tmp_path: Path, chunk_rows: int, end: str) -> None:
    text = "timestamp\tprice\tsize\tside" + "".join(f"\n2024-03-05 15:00:0{i}Z\t5100.25\t{i}\t" for i in range(4))
    path = tmp_path / "trades.txt"
    path.write_bytes((text + end).encode())

    trades = _read(path, chunk_rows=chunk_rows)

    assert (trades["volume"].tolist(), trades["side"].tolist()) == ([0, 1, 2, 3], [""] * 4)


def test_read_trades_gzip_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + PLAIN.encode()))

    pd.testing.assert_frame_equal(_read(path), _read(_file(tmp_path, PLAIN)))


@pytest.mark.parametrize(
    "data", [PLAIN.encode("utf-16"), PLAIN.encode("utf-16-be"), PLAIN.replace("\n", "\r").encode()]
)
@pytest.mark.parametrize("chunk_rows", [1, 1000])
def test_read_trades_text_of_other_codings_and_line_ends(tmp_path: Path, data: bytes, chunk_rows: int) -> None:
    (tmp_path / "other.csv").write_bytes(data)

    trades = _read(tmp_path / "other.csv", chunk_rows=chunk_rows)

    pd.testing.assert_frame_equal(trades, _read(_file(tmp_path, PLAIN)))


def test_read_trades_binance_aggregates_without_names(tmp_path: Path) -> None:
    rows = "101,5100.25,2,11,12,1709649000000,True,True\n102,5100.50,1,13,13,1709649000001,False,True\n"
    path = _file(tmp_path, rows, "ESUSDT-aggTrades-2024-03-05.csv")

    trades = _read(path)

    assert holds_trades(path)
    assert trades["seq"].tolist() == [101, 102]
    assert trades["timestamp"].iloc[1] == pd.Timestamp("2024-03-05 14:30:00.001Z")
    row = trade_profiles(trades, ES).iloc[0]
    assert row[["volume", "buy_volume", "sell_volume"]].tolist() == [3, 1, 2]


def test_read_trades_binance_trades_with_and_without_names(tmp_path: Path) -> None:
    spot = _file(tmp_path, "7,5100.25,2,10200.5,1709649000000000,false,true\n", "spot.csv")
    futures = _file(
        tmp_path, "id,price,qty,quote_qty,time,is_buyer_maker\n7,5100.25,2,10200.5,1709649000000,false\n", "futures.csv"
    )

    pd.testing.assert_frame_equal(_read(spot), _read(futures))


def test_read_trades_databento_sides_are_the_aggressors(tmp_path: Path) -> None:
    text = "ts_event,rtype,publisher_id,action,side,price,size,sequence,symbol\n" + "".join(
        f"2024-03-05T14:30:0{i}.000000000Z,0,1,T,{side},5100.25,{i + 1},{i},ESH4\n" for i, side in enumerate("ABN")
    )

    row = trade_profiles(_read(_file(tmp_path, text)), ES).iloc[0]

    assert row[["volume", "buy_volume", "sell_volume"]].tolist() == [6, 2, 1]


def test_read_trades_databento_prices_in_billionths_become_prices(tmp_path: Path) -> None:
    text = "ts_event,rtype,side,price,size\n1709649000000000000,0,B,5100250000000,1\n1709649000000000000,0,B,{},1\n"
    path = _file(tmp_path, text.format(2**63 - 1))
    pd.read_csv(path).to_parquet(tmp_path / "trades.parquet")

    for file in (path, tmp_path / "trades.parquet"):
        np.testing.assert_array_equal(_read(file)["price"], [5100.25, np.nan])


def test_read_trades_sides_can_be_named(tmp_path: Path) -> None:
    text = PLAIN.replace("volume\n", "volume,side\n").replace(",1\n", ",1,Ask\n").replace(",2\n", ",2,Bid\n")
    path = _file(tmp_path, text.replace(",3\n", ",3,buy\n"))

    row = trade_profiles(_read(path, sides={"Ask": "buy", "Bid": "sell"}), ES).iloc[0]

    assert row[["buy_volume", "sell_volume"]].tolist() == [4, 2]
    with pytest.raises(DataError, match="column side holds 'Ask' at row 0"):
        trade_profiles(_read(path), ES)


def test_read_trades_parquet_keeps_whole_volumes_and_order(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "seq": [1, 2, 3],
            "timestamp": pd.to_datetime(TIMES, format="ISO8601").as_unit("us"),
            "price": [5100.25, np.nan, 5100.5],
            "volume": [1, 2, 3],
            "aggressor": pd.Categorical(["buy", "sell", None]),
            "contract": "ESH24",
            "other": 1,
        }
    )
    path = tmp_path / "trades.parquet"
    frame.to_parquet(path, row_group_size=2)

    trades = _read(path)

    assert trades.columns.tolist() == ["timestamp", "price", "volume", "side", "seq", "contract"]
    assert trades["volume"].dtype == np.int64
    assert trades["side"].astype(object).fillna("-").tolist() == ["buy", "sell", "-"]
    assert trade_profiles(trades, ES).attrs["rows_refused"] == {"missing_value": 1}


def test_read_trades_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    _file(tmp_path, PLAIN.replace("510", "520"), "b.csv")
    _file(tmp_path, PLAIN, "a.csv")
    seen = []

    chunks = list(read_trades(tmp_path, progress=lambda rows, share: seen.append((rows, share))))

    assert [chunk["price"].iloc[0] for chunk in chunks] == [5100.25, 5200.25]
    assert seen == [(3, 0.5), (6, 1.0)]


def test_read_trades_configured_columns_and_zone(tmp_path: Path) -> None:
    text = "when,what,lots\n2024-03-05 08:30:00,5100.25,4\n"

    trades = _read(
        _file(tmp_path, text),
        columns={"timestamp": "when", "price": "what", "volume": "lots"},
        time_zone="America/Chicago",
    )

    assert trades["timestamp"].tolist() == [pd.Timestamp("2024-03-05 14:30Z")]


def test_read_trades_empty_cells_become_missing(tmp_path: Path) -> None:
    trades = _read(
        _file(tmp_path, "timestamp,price,volume\n2024-03-05 14:30Z,,1\n,5100,1\n2024-03-05 14:30Z,5100,NaN\n")
    )

    assert trade_profiles(trades, ES).attrs["rows_refused"] == {"missing_value": 3}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty; give a file that holds rows"),
        ("timestamp,price,volume\n", "has a header and no rows"),
        ("timestamp,price\n2024-03-05 14:30Z,5100\n", r"has no column for volume \(its columns are timestamp, price\)"),
        (PLAIN.replace("5101.25", "x"), r"line 3, column 'price': 'x' is not a number"),
        (PLAIN + "2024-03-05 14:30Z,1\n", "line 5: 2 fields where 3 are expected"),
        (PLAIN.replace("Z", ""), "line 2, column 'timestamp': time .* has no zone; set time_zone"),
        (PLAIN.replace("volume", "price"), r"several columns for price|no column for volume"),
        ("1,2,3\n4,5,6\n", "line 1: '1,2,3' names no columns; set names"),
        (PLAIN.replace("volume\n", "volume,symbol\n").replace(",1\n", ",1,A\n").replace(",2\n", ",2,B\n")
         .replace(",3\n", ",3,B\n"), r"column 'symbol' holds 2 symbols \(A, B\); set file_symbol"),
    ],
)  # fmt: skip
def test_read_trades_unreadable_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        _read(_file(tmp_path, text))

    assert "\n" not in str(caught.value)
    assert str(tmp_path / "trades.csv") in str(caught.value)


@pytest.mark.parametrize("chunk_rows", [1, 100])
def test_read_trades_fault_in_a_later_chunk_names_its_line(tmp_path: Path, chunk_rows: int) -> None:
    rows = "".join(f"2024-03-05 14:30:00Z,5100.25,{i + 1}\n" for i in range(30))
    path = _file(tmp_path, "timestamp,price,volume\n" + rows + "\n2024-03-05 14:30:00Z,odd,1\n")

    with pytest.raises(DataError, match="line 33, column 'price': 'odd' is not a number"):
        _read(path, chunk_rows=chunk_rows)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (PLAIN.encode("utf-16")[:-1], "broken UTF-16 text"),
        (PLAIN.encode() + b"\xff\n", "line 5: not UTF-8 text"),
        (PLAIN.encode() + b"a\0b,1,2\n", "line 5: holds a zero byte"),
        (PLAIN.encode() * 2_000 + b"a\0b,1,2\n", "line 8001: holds a zero byte"),
        (gzip.compress(PLAIN.encode() * 500, mtime=0)[:-9], "is incomplete or damaged gzip data"),
        (b"PAR1 not really", "is an incomplete or damaged Parquet file"),
    ],
)
def test_read_trades_damaged_file_is_one_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "trades.csv"
    path.write_bytes(data)

    with pytest.raises(DataError, match=sentence):
        _read(path)


def test_read_trades_symbol_chooses_its_rows(tmp_path: Path) -> None:
    text = "timestamp,price,volume,symbol\n2024-03-05 14:30Z,5100,1,A\n2024-03-05 14:30Z,5101,2,B\n"

    assert _read(_file(tmp_path, text), symbol="B")["volume"].tolist() == [2]
    with pytest.raises(DataError, match="has no column of symbols to find B in"):
        _read(_file(tmp_path, PLAIN), symbol="B")


def test_read_trades_absent_file_and_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        _read(tmp_path / "absent.csv")
    with pytest.raises(ConfigurationError, match="chunk_rows is 0"):
        _read(_file(tmp_path, PLAIN), chunk_rows=0)
    with pytest.raises(DataError, match="has no column 'cost', which is set for price"):
        _read(_file(tmp_path, PLAIN), columns={"price": "cost"})
    with pytest.raises(DataError, match="holds trades, which have no column open"):
        _read(_file(tmp_path, PLAIN), columns={"open": "o"})
    with pytest.raises(ValueError, match="not an IANA name"):
        TradeReadOptions(time_zone="Chicago")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("timestamp,price,volume", True),
        ("ts_event,side,price,size", True),
        ("timestamp,open,high,low,close,volume", False),
        ("timestamp,open,high,low,price,volume", False),
        ("date,value", False),
    ],
)
def test_holds_trades_goes_by_the_columns(tmp_path: Path, header: str, expected: bool) -> None:
    path = _file(tmp_path, header + "\n" + ",".join("1" * (header.count(",") + 1)) + "\n")

    assert holds_trades(path) is expected


def test_holds_trades_real_files(real_data: Path) -> None:
    found = {path.name for path in real_data.glob("*.parquet") if holds_trades(path)}

    assert found == {"es_ticks_2013_09.parquet"}
    assert not any(holds_trades(path) for path in (real_data / "vendor_formats").iterdir() if path.is_file())
