"""Each vendor's layout, in a small sample of its own, is read as the same bars without help."""

import datetime as dt
import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import databento_dbn
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from pipeline.errors import DataError
from pipeline.market import load_instruments
from pipeline.market.bar_chunks import clean_bar_chunks
from pipeline.market.cleaning import clean_bars, joined
from pipeline.market.readers import RawBars, ReadOptions, format_names, formats, read_bars, reading, source
from pipeline.market.readers.formats import arrow

# Two five-minute bars of 2 March 2022, 17:00 Chicago.
OPENS = pd.DatetimeIndex(["2022-03-02 23:00", "2022-03-02 23:05"], tz="UTC")
BARS = [[4473.75, 4477.0, 4470.5, 4474.0, 1810], [4473.75, 4476.5, 4473.5, 4474.5, 495]]
COUNTS = [1406, 413]

MT4 = "2022.03.02,{0},4473.75,4477.0,4470.5,4474.0,1810\n2022.03.02,{1},4473.75,4476.5,4473.5,4474.5,495\n"
MT5 = (
    "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
    "2022.03.02\t17:00:00\t4473.75\t4477.0\t4470.5\t4474.0\t{0}\t{1}\t15\n"
    "2022.03.02\t17:05:00\t4473.75\t4476.5\t4473.5\t4474.5\t{2}\t{3}\t10\n"
)
TRADESTATION = (
    '"Date","Time","Open","High","Low","Close","Up","Down"\n'
    "03/02/2022,17:05,4473.75,4477.00,4470.50,4474.00,1000,810\n"
    "03/02/2022,17:10,4473.75,4476.50,4473.50,4474.50,495,0\n"
    "03/13/2022,17:05,4473.75,4476.50,4473.50,4474.50,0,3\n"
)
POLYGON = (
    "ticker,volume,open,close,high,low,window_start,transactions\n"
    "A,12,130.1,130.2,130.3,130.0,1646262000000000000,9\n"
    "ES,1810,4473.75,4474.0,4477.0,4470.5,1646262000000000000,1406\n"
    "ES,495,4473.75,4474.5,4476.5,4473.5,1646262300000000000,413\n"
)
CDD = (
    "https://www.CryptoDataDownload.com\n"
    "unix,date,symbol,open,high,low,close,Volume USDT,Volume BTC,tradecount\n"
    "1646262300000,2022-03-02 23:05:00,BTC/USDT,4473.75,4476.5,4473.5,4474.5,1,495,413\n"
    "1646262000000,2022-03-02 23:00:00,BTC/USDT,4473.75,4477.0,4470.5,4474.0,1,1810,1406\n"
)
YFINANCE = (
    "Price,Close,High,Low,Open,Volume\nTicker,ES=F,ES=F,ES=F,ES=F,ES=F\nDatetime,,,,,\n"
    "2022-03-02 23:00:00+00:00,4474.0,4477.0,4470.5,4473.75,1810\n"
    "2022-03-02 23:05:00+00:00,4474.5,4476.5,4473.5,4473.75,495\n"
)
DUKASCOPY = (
    "Gmt time,Open,High,Low,Close,Volume\n"
    "02.03.2022 23:00:00.000,4473.75,4477.0,4470.5,4474.0,1810\n"
    "02.03.2022 23:05:00.000,4473.75,4476.5,4473.5,4474.5,495\n"
)
IB = (
    "date,open,high,low,close,volume,average,barCount\n"
    "20220302 17:00:00 US/Central,4473.75,4477.0,4470.5,4474.0,1810,4474.0,1406\n"
    "20220302 17:05:00 US/Central,4473.75,4476.5,4473.5,4474.5,495,4474.5,413\n"
)
DATABENTO = (
    "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
    "1646262000000000000,33,1,5602,4473750000000,4477000000000,4470500000000,4474000000000,1810,ESH2\n"
    "1646262300000000000,33,1,5602,4473750000000,4476500000000,4473500000000,4474500000000,495,ESH2\n"
)
ALPACA = [
    {"t": "2022-03-02T23:00:00Z", "o": 4473.75, "h": 4477, "l": 4470.5, "c": 4474, "v": 1810, "n": 1406, "vw": 4474.1},
    {"t": "2022-03-02T23:05:00Z", "o": 4473.75, "h": 4476.5, "l": 4473.5, "c": 4474.5, "v": 495, "n": 413, "vw": 4474},
]
CHICAGO = {"time_zone": "America/Chicago"}


def read(folder: Path, name: str, data: str | bytes, **options: object) -> RawBars:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_bars(path, ReadOptions(**options), instrument="ES")


def assert_the_bars(raw: RawBars, *, counted: bool = False) -> None:
    frame = raw.frame.sort_values("timestamp", ignore_index=True).head(2)
    assert frame["timestamp"].tolist() == OPENS.tolist()
    assert frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == BARS
    if counted:
        assert frame["num_trades"].tolist() == COUNTS


@pytest.mark.parametrize(
    ("name", "text", "options", "kind", "counted"),
    [
        ("mt4.csv", MT4.format("17:00", "17:05"), CHICAGO, "no_names", False),
        ("kibot.txt", MT4.format("17:00", "17:05").replace("2022.03.02", "03/02/2022")
         + "03/13/2022,17:00,1,1,1,1,1\n", CHICAGO, "no_names", False),
        ("firstrate.txt", MT4.replace("2022.03.02,", "2022-03-02 ").format("18:00:00", "18:05:00"),
         {"time_zone": "America/New_York"}, "no_names", False),
        ("epochs.csv", MT4.replace("2022.03.02,", "").format("1646262000", "1646262300"), {}, "no_names", False),
        ("kraken.csv", "1646262000,4473.75,4477.0,4470.5,4474.0,1810,1406\n"
         "1646262300,4473.75,4476.5,4473.5,4474.5,495,413\n", {}, "no_names", True),
        ("mt5.csv", MT5.format(1810, 0, 495, 0), CHICAGO, "metatrader5", False),
        ("mt5_volume.csv", MT5.format(9, 1810, 9, 495), CHICAGO, "metatrader5", False),
        ("mt5_one_zero.csv", MT5.format(9, 1810, 0, 495), CHICAGO, "metatrader5", False),
        ("tradestation.txt", TRADESTATION, CHICAGO, "tradestation", False),
        ("2022-03-02.csv", POLYGON, {}, "generic_csv", True),
        ("Binance_BTCUSDT_5m.csv", CDD, {}, "cryptodatadownload", True),
        ("yfinance.csv", YFINANCE, {}, "yfinance", False),
        ("duka.csv", DUKASCOPY, {}, "dukascopy", False),
        ("duka_local.csv", DUKASCOPY.replace("Gmt", "Local").replace(" 23", " 17").replace(".000", ".000 GMT-0600"), {},
         "dukascopy", False),
        ("ib.csv", IB, {}, "generic_csv", True),
        ("ib_letters.csv", IB.replace("US/Central", "CST"), {}, "generic_csv", True),
        ("databento.csv", DATABENTO, {}, "databento", False),
        ("alpaca.csv", pd.DataFrame(ALPACA).to_csv(index=False), {}, "generic_csv", True),
        ("alpaca.json", json.dumps({"bars": ALPACA, "symbol": "SPY", "next_page_token": None}), {}, "json", True),
        ("alpaca_symbols.json", json.dumps({"bars": {"ES": ALPACA, "NQ": ALPACA[:1]}}), {}, "json", True),
        ("polygon.json", json.dumps({"ticker": "X", "results": ALPACA, "status": "OK"}), {}, "json", True),
        ("lines.jsonl", "\n".join(map(json.dumps, ALPACA)), {}, "json", True),
        ("columns.json", json.dumps({k: [row[k] for row in ALPACA] for k in "tohlcvn"}), {}, "json", True),
    ],
)  # fmt: skip
def test_vendor_sample_is_recognised_and_read(
    tmp_path: Path, name: str, text: str, options: dict[str, str], kind: str, counted: bool
) -> None:
    raw = read(tmp_path, name, text, **options)

    assert raw.format == kind
    assert_the_bars(raw, counted=counted)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (MT4.format("17:00", "17:05"), CHICAGO),
        (MT5.format(0, 1810, 0, 495), CHICAGO),
        (MT5.format(1810, 0, 495, 0), CHICAGO),
        (TRADESTATION, {**CHICAGO, "bar": "5min", "time_format": "%m/%d/%Y %H:%M"}),
        (YFINANCE, {}),
        (DUKASCOPY, {}),
        (DATABENTO, {}),
        (DATABENTO.encode("utf-16"), {}),
        (DATABENTO.replace("\n", "\r"), {}),
        (POLYGON, {"file_symbol": "ES"}),
        (POLYGON, {"file_symbol": "A"}),
        (json.dumps(ALPACA), {}),
    ],
)  # fmt: skip
def test_vendor_sample_row_by_row_is_the_same_as_whole(
    tmp_path: Path, text: str | bytes, options: dict[str, str]
) -> None:
    es = load_instruments()["ES"]
    whole = clean_bars(read(tmp_path, "es.csv", text, **options).frame, es)

    chunks = list(clean_bar_chunks(tmp_path / "es.csv", es, ReadOptions(**options), chunk_rows=1))

    assert len(whole.bars) > 0
    # A row alone doesn't show that an instrument's number is no contract's.
    pd.testing.assert_frame_equal(joined(chunks).bars[whole.bars.columns], whole.bars)


def test_several_symbols_row_by_row_are_refused_as_in_the_whole(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text(POLYGON)
    es = load_instruments()["ES"]

    with pytest.raises(DataError, match=r"holds 2 symbols \(A, ES\)"):
        list(clean_bar_chunks(tmp_path / "day.csv", es, chunk_rows=1))
    with pytest.raises(DataError, match=r"no rows of symbol 'NQ'; it holds A, ES"):
        list(clean_bar_chunks(tmp_path / "day.csv", es, ReadOptions(file_symbol="NQ"), chunk_rows=1))


@pytest.mark.parametrize(
    ("order", "name"),
    [((0, 1, 2, 3, 4, 5), "standard"), ((0, 3, 2, 1, 4, 5), "Coinbase"), ((0, 1, 4, 2, 3, 5), "Bitfinex")],
)
def test_json_arrays_in_a_vendors_order_are_detected_by_their_highs_and_lows(
    tmp_path: Path, order: tuple[int, ...], name: str
) -> None:
    rows = [[1646262000 + 300 * i, *bar] for i, bar in enumerate(BARS)]

    assert_the_bars(read(tmp_path, f"{name}.json", json.dumps([[row[place] for place in order] for row in rows])))


ES_ROWS = [[1646262000 + 300 * i, *bar] for i, bar in enumerate(BARS)]
NQ_ROWS = [[each[0], *(100 + value for value in each[1:5]), 7] for each in ES_ROWS]


def _named(rows: list[list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip("tohlcv", row, strict=True)) for row in rows]


def _in_columns(rows: list[list[Any]]) -> dict[str, list[Any]]:
    return {name: [row[place] for row in rows] for place, name in enumerate("tohlcv")}


@pytest.mark.parametrize(
    "document",
    [
        {"ES": ES_ROWS, "NQ": NQ_ROWS},
        {"result": {"ES": ES_ROWS, "NQ": NQ_ROWS, "last": 1}},
        {"ES": _in_columns(ES_ROWS), "NQ": _in_columns(NQ_ROWS)},
        {"ES": {"meta": {"symbol": "ES"}, "values": _named(ES_ROWS)}, "NQ": {"meta": {}, "values": _named(NQ_ROWS)}},
        {"bars": {"ES": _named(ES_ROWS), "NQ": [{**row, "symbol": None} for row in _named(NQ_ROWS)]}},
    ],
    ids=["lists", "inner lists", "columns", "values", "empty symbols"],
)
def test_json_keys_that_tell_lists_apart_are_symbols(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "two.json"
    path.write_text(json.dumps(document))

    assert_the_bars(read_bars(path, instrument="ES"))
    assert read_bars(path, ReadOptions(file_symbol="NQ")).frame["volume"].tolist() == [7] * len(BARS)
    contracts = read_bars(path, ReadOptions(columns={"contract": "symbol"})).frame["contract"]
    assert contracts.tolist() == ["ES"] * len(BARS) + ["NQ"] * len(BARS)
    with pytest.raises(DataError, match=r"holds 2 symbols \(ES, NQ\)"):
        read_bars(path, instrument="SPY")


def test_json_keys_of_two_depths_are_distinguished_by_both(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text(json.dumps({"5min": {"ES": ES_ROWS, "NQ": NQ_ROWS}, "1h": {"ES": NQ_ROWS}}))

    with pytest.raises(DataError, match=r"holds 3 symbols \(1h/ES, 5min/ES, 5min/NQ\)"):
        read_bars(path, instrument="ES")
    assert_the_bars(read_bars(path, ReadOptions(file_symbol="5min/ES")))


@pytest.mark.parametrize("odd", [[1], [1, 2, 3]])
def test_json_array_of_another_length_is_refused_with_its_row(tmp_path: Path, odd: list[int]) -> None:
    rows = [[*row[:5], 4474.0, *row[5:], 3] for row in ES_ROWS]
    spoilt = [*rows, [*rows[0][:6], *odd], *rows]
    (tmp_path / "odd.json").write_text(json.dumps({"result": {"ES": spoilt}}))

    with pytest.raises(DataError, match=f"row {len(rows) + 1}: {6 + len(odd)} values where most rows have 8"):
        read_bars(tmp_path / "odd.json")


def test_json_of_kraken_takes_the_volume_behind_the_average_price(tmp_path: Path) -> None:
    rows = [[1646262000 + 300 * i, *map(str, bar[:4]), "4474.0", str(bar[4]), COUNTS[i]] for i, bar in enumerate(BARS)]

    assert_the_bars(
        read(tmp_path, "k.json", json.dumps({"error": [], "result": {"ES": rows, "last": 1}})), counted=True
    )


def test_json_arrays_in_no_known_order_are_refused(tmp_path: Path) -> None:
    rows = [[1646262000 + 300 * i, 5, 1, 2, 9, 1.5] for i in range(5)]

    with pytest.raises(DataError, match=r"nor in the order of Coinbase or Bitfinex"):
        read(tmp_path, "odd.json", json.dumps(rows))


def test_json_with_half_a_character_names_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2, column 'high': .*ud800.* is not a number"):
        read(tmp_path, "s.json", r'[[1646262000,1,2,1,1,1],[1646262300,1,"\ud800",1,1,1]]')


def test_names_in_another_order_without_a_line_of_them_are_refused(tmp_path: Path) -> None:
    text = "2022-03-02 23:00:00Z,4470.5,4473.75,4474.0,4477.0,1810\n2022-03-02 23:05:00Z,4473,4474,4475,4476.5,495\n"

    with pytest.raises(DataError, match=r"not open, high, low and close in this order; set names \(--names timestamp,"):
        read(tmp_path, "odd.csv", text)


@pytest.mark.parametrize("packed", [False, True])
def test_dbn_is_read_by_its_mappings_with_prices_in_units(tmp_path: Path, packed: bool) -> None:
    raw = read(tmp_path, "es.ohlcv-1m.dbn.zst" if packed else "es.dbn", dbn(packed=packed))

    assert raw.format == "dbn"
    assert_the_bars(raw)


def test_dbn_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"DBN data|DBN file"):
        read(tmp_path, "es.dbn", dbn(packed=False)[:-20])
    with pytest.raises(DataError, match="damaged zstd data"):
        read(tmp_path, "es.dbn.zst", dbn(packed=True)[:-20])


def dbn(*, packed: bool) -> bytes:
    interval = SimpleNamespace(start_date=dt.date(2022, 3, 1), end_date=dt.date(2022, 4, 1), symbol="5602")
    mapping: Any = SimpleNamespace(raw_symbol="ESH2", intervals=[interval])
    metadata = databento_dbn.Metadata(
        dataset="GLBX.MDP3",
        start=0,
        stype_in=databento_dbn.SType.RAW_SYMBOL,
        stype_out=databento_dbn.SType.INSTRUMENT_ID,
        schema=databento_dbn.Schema.OHLCV_1M,
        symbols=["ESH2"],
        partial=[],
        not_found=[],
        mappings=[mapping],
        end=None,
        limit=None,
        version=3,
    )
    data = bytes(metadata)
    for opened, bar in zip(OPENS, BARS, strict=True):
        prices = [round(price * 1e9) for price in bar[:4]]
        data += bytes(databento_dbn.OHLCVMsg(33, 1, 5602, opened.value, *prices, int(bar[4])))
    return pa.compress(data, "zstd", asbytes=True) if packed else data


@pytest.mark.parametrize("kind", ["feather", "file", "stream"])
def test_arrow_files_are_read(tmp_path: Path, kind: str) -> None:
    times = pa.array(OPENS.as_unit("ms").asi8, pa.timestamp("ms", "UTC"))
    table = pa.table({"date": times, **columns_of_bars()})
    path = tmp_path / f"es.{kind}"
    if kind == "feather":
        pyarrow.feather.write_feather(table, str(path))
    else:
        with (pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file)(path, table.schema) as sink:
            sink.write_table(table)

    raw = read_bars(path)

    assert raw.format == "arrow"
    assert_the_bars(raw)


def columns_of_bars() -> dict[str, list[float]]:
    return {name: [bar[place] for bar in BARS] for place, name in enumerate(("open", "high", "low", "close", "volume"))}


def test_arrow_of_more_rows_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow.feather.write_feather(pa.table({"date": [1, 2], **columns_of_bars()}), str(tmp_path / "es.feather"))
    for module in (arrow, source):
        monkeypatch.setattr(module, "MAX_ROWS", 1)

    with pytest.raises(DataError, match="claims 2 rows, over 1; split it"):
        read_bars(tmp_path / "es.feather")


def test_arrow_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="incomplete or damaged Arrow file"):
        read(tmp_path, "es.feather", b"ARROW1\0\0" + b"\1" * 100)


def test_parquet_zone_that_no_machine_knows_is_still_an_instant(tmp_path: Path) -> None:
    times = pa.array(OPENS.as_unit("ns").asi8, pa.timestamp("ns", "Mars/Olympus"))
    pyarrow.parquet.write_table(pa.table({"time": times, **columns_of_bars()}), tmp_path / "es.parquet")

    assert_the_bars(read_bars(tmp_path / "es.parquet"))


def test_parquet_of_databento_has_prices_in_units(tmp_path: Path) -> None:
    names, *rows = (line.split(",") for line in DATABENTO.splitlines())
    frame = pd.DataFrame(rows, columns=names)
    numeric = frame.columns.drop("symbol")
    frame.astype(dict.fromkeys(numeric, np.int64)).to_parquet(tmp_path / "es.parquet")

    assert_the_bars(read_bars(tmp_path / "es.parquet"))


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_packed_flat_file_is_read(tmp_path: Path, pack: object) -> None:
    assert_the_bars(read(tmp_path, "2022-03-02.csv.gz", pack(POLYGON.encode())), counted=True)  # type: ignore[operator]


def test_several_symbols_without_the_instruments_own_are_refused_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text(POLYGON)

    with pytest.raises(DataError, match=r"holds 2 symbols \(A, ES\); set file_symbol \(--file-symbol A\)"):
        read_bars(tmp_path / "day.csv", instrument="SPY")
    assert read_bars(tmp_path / "day.csv", ReadOptions(file_symbol="A")).frame["volume"].tolist() == [12]


ACME = """
from pipeline.market.readers.source import Format, Habits
from pipeline.market.readers.text_file import text_source

NAMES = ("timestamp", "close", "open", "high", "low", "volume")


def open_file(path, options):
    return text_source(path, options, unnamed=lambda row: NAMES, delimiter="~", habits=Habits(time_zone="UTC"))


FORMAT = Format("acme", lambda head: head.data.count(b"~") > 4, open_file, suffixes=(".acme",))
"""


def test_vendor_in_one_new_file_is_found_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme.py").write_text(ACME)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "pipeline.market.readers.formats.acme", None)
    del sys.modules["pipeline.market.readers.formats.acme"]
    reading._formats.cache_clear()
    (tmp_path / "data").mkdir()
    rows = [
        "~".join([f"{time:%Y-%m-%d %H:%M}", *(str(bar[place]) for place in (3, 0, 1, 2, 4))])
        for time, bar in zip(OPENS, BARS, strict=True)
    ]
    (tmp_path / "data" / "es.acme").write_text("\n".join(rows))
    try:
        assert "acme" in format_names()
        raw = read_bars(tmp_path / "data")
    finally:
        reading._formats.cache_clear()
    assert raw.format == "acme"
    assert_the_bars(raw)
