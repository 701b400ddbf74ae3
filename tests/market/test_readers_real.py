"""Real files, read and cleaned: totals that were looked at row by row once."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market.cleaning import CleanBars, clean_bars
from pipeline.market.instruments import find_instrument
from pipeline.market.readers import ReadOptions, read_bars

VALUES = ["timestamp", "open", "high", "low", "close", "volume"]


def load(path: Path, symbol: str) -> CleanBars:
    return clean_bars(read_bars(path).frame, find_instrument(symbol))


# Outside sessions: ES from 16:00 to 16:15 before the halt moved in September 2015, single prints at the closing
# instant; SPY before and after hours.
@pytest.mark.parametrize(
    ("name", "symbol", "rows", "outside", "snapped"),
    [
        ("es_5m_2015_2021.parquet", "ES", 489_929, 568, 0),
        ("es_1m_esh25.parquet", "ES", 72_568, 1, 0),
        ("spy_1m_lean.parquet", "SPY", 5_786, 3_056, 199),
        ("btc_usdt_1m_2021_04.parquet", "BTCUSDT", 42_915, 0, 0),
        ("xrp_usdt_1m_2021_04.parquet", "XRPUSDT", 42_916, 0, 0),
        ("xrp_btc_1m_2021_04.parquet", "XRPBTC", 57_194, 0, 0),
        ("vendor_formats/ninjatrader_ES_03-25.Last.txt", "ES", 3_001, 3, 0),
        ("vendor_formats/sierra_chart_ESH20-CME_5m.txt", "ES", 3_000, 0, 0),
        ("vendor_formats/freqtrade_BTC_USDT-1m.json", "BTCUSDT", 2_000, 0, 0),
    ],
)
def test_real_file_is_read_and_every_row_accounted_for(
    real_data: Path, name: str, symbol: str, rows: int, outside: int, snapped: int
) -> None:
    report = load(real_data / name, symbol).report

    assert report.rows_in == rows
    assert report.kept == rows - outside
    assert {reason: count for reason, count in report.quarantined.items() if count} == (
        {"outside_session": outside} if outside else {}
    )
    assert (report.out_of_order, report.snapped, report.off_step_volume) == (0, snapped, 0)


def test_sierra_chart_file_equals_the_same_bars_in_the_parquet_set(real_data: Path, es_years: pd.DataFrame) -> None:
    sierra = load(real_data / "vendor_formats/sierra_chart_ESH20-CME_5m.txt", "ES").bars
    known = clean_bars(es_years.query("contract == 'ESH20'"), find_instrument("ES")).bars

    joined = sierra.merge(known, on="timestamp", suffixes=("", "_known"))

    assert len(joined) == len(sierra) == 3_000
    for name in ("open", "high", "low", "close", "volume", "contract", "num_trades", "bid_volume", "ask_volume"):
        pd.testing.assert_series_equal(joined[name], joined[f"{name}_known"], check_names=False)


def test_ninjatrader_file_equals_the_same_bars_in_the_parquet_set(real_data: Path) -> None:
    ninja = load(real_data / "vendor_formats/ninjatrader_ES_03-25.Last.txt", "ES").bars
    known = load(real_data / "es_1m_esh25.parquet", "ES").bars

    pd.testing.assert_frame_equal(ninja[VALUES], known[VALUES].head(2_998))


def test_formats_found_in_the_real_folder_are_named(real_data: Path) -> None:
    vendors = real_data / "vendor_formats"

    assert read_bars(vendors / "*.txt").format == "ninjatrader, sierra_chart"
    assert read_bars(vendors / "*.json").format == "json"


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("vix_daily.parquet", "volume"),
        ("vendor_formats/cboe_vix_history.csv", "volume"),
        ("es_ticks_2013_09.parquet", "open, high, low, close"),
    ],
)
def test_real_file_without_bars_says_what_is_missing(real_data: Path, name: str, missing: str) -> None:
    with pytest.raises(DataError, match=f"has no column for {missing} "):
        read_bars(real_data / name)


def test_real_csv_copy_reads_as_the_parquet_does(es_years: pd.DataFrame, tmp_path: Path) -> None:
    known = es_years.head(20_000)
    local = known.assign(timestamp=known["timestamp"].dt.tz_convert("America/Chicago").dt.strftime("%m/%d/%Y %H:%M"))
    local.to_csv(tmp_path / "es.csv", index=False)

    copy = read_bars(tmp_path / "es.csv", ReadOptions(time_zone="America/Chicago", time_format="%m/%d/%Y %H:%M")).frame

    columns = [*VALUES, "contract", "num_trades", "bid_volume", "ask_volume"]
    pd.testing.assert_frame_equal(copy[columns], known[columns])
