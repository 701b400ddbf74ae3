"""Files in the layouts that vendors write, each misread in one way; and real files, which raise no alarm."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.market import find_instrument
from pipeline.market.cleaning import clean_bars
from pipeline.market.evidence import Evidence, misreadings
from pipeline.market.readers import ReadOptions, read_bars

CHICAGO = {"time_zone": "America/Chicago"}


def kinds(path: Path, symbol: str, options: dict[str, Any]) -> dict[str, str]:
    if not path.exists():
        pytest.skip(f"no shared input at {path}")
    raw = read_bars(path, ReadOptions(**options))
    instrument = find_instrument(symbol)
    findings = misreadings(Evidence(raw.frame, clean_bars(raw.frame, instrument), instrument, raw.zone, raw.offset))
    return {finding.kind: finding.message for finding in findings}


@pytest.mark.parametrize(
    ("name", "symbol", "options", "kind", "remedy"),
    [
        ("formats/sierra_new_york_times.txt", "ES", {}, "time_zone", "--time-zone America/New_York"),
        ("formats/close_labelled_unsaid.csv", "ES", CHICAGO, "label", "--label close"),
        ("formats/spy_subpenny_prints.csv", "SPY", {}, "off_tick", "tick_size: 0.0001"),
        ("formats/daily_bars.csv", "ES", CHICAGO, "daily_bars", "bars of an hour or less"),
        ("formats/daily_bars.csv", "SPY", {}, "daily_bars", "bars of an hour or less"),
        ("mutations/price_x100.csv", "ES", {}, "price_unit", "100"),
    ],
)
def test_shared_misreading_is_reported_with_its_remedy(
    real_data: Path, name: str, symbol: str, options: dict[str, Any], kind: str, remedy: str
) -> None:
    found = kinds(real_data.parent / "failing_inputs" / name, symbol, options)

    assert set(found) == {kind}
    assert remedy in found[kind]


def test_shared_file_of_two_symbols_is_read_as_the_instruments_own(real_data: Path) -> None:
    path = real_data.parent / "failing_inputs" / "mutations" / "two_symbols_unnamed.csv"
    if not path.exists():
        pytest.skip(f"no shared input at {path}")

    es, nq = (read_bars(path, instrument=symbol) for symbol in ("ES", "NQ"))

    assert len(es.frame) == len(nq.frame)
    assert es.frame["close"].max() < nq.frame["close"].min()
    with pytest.raises(DataError, match="--file-symbol"):
        read_bars(path)


@pytest.mark.parametrize(
    ("name", "symbol", "options"),
    [
        ("formats/sierra_new_york_times.txt", "ES", {"time_zone": "America/New_York"}),
        ("formats/close_labelled_unsaid.csv", "ES", {**CHICAGO, "label": "close"}),
        ("formats/databento_continuous_roll.csv", "ES", {}),
        ("formats/gap_of_nine_months.csv", "ES", {}),
        ("formats/btc_hourly_70_days.csv", "BTCUSDT", {}),
    ],
)
def test_shared_input_rightly_read_raises_no_alarm(
    real_data: Path, name: str, symbol: str, options: dict[str, Any]
) -> None:
    assert not kinds(real_data.parent / "failing_inputs" / name, symbol, options)


@pytest.mark.parametrize(
    ("name", "symbol", "notes"),
    [
        ("es_5m_2015_2021.parquet", "ES", set()),
        ("es_1m_esh25.parquet", "ES", set()),
        ("spy_1m_lean.parquet", "SPY", {"off_tick"}),
        ("btc_usdt_1m_2021_04.parquet", "BTCUSDT", set()),
        ("xrp_usdt_1m_2021_04.parquet", "XRPUSDT", set()),
        ("xrp_btc_1m_2021_04.parquet", "XRPBTC", set()),
        ("vendor_formats/ninjatrader_ES_03-25.Last.txt", "ES", set()),
        ("vendor_formats/sierra_chart_ESH20-CME_5m.txt", "ES", set()),
        ("vendor_formats/freqtrade_BTC_USDT-1m.json", "BTCUSDT", set()),
    ],
)
def test_real_file_raises_no_alarm(real_data: Path, name: str, symbol: str, notes: set[str]) -> None:
    assert set(kinds(real_data / name, symbol, {})) == notes


def test_findings_are_the_same_whatever_the_order_of_the_rows(real_data: Path) -> None:
    path = real_data.parent / "failing_inputs" / "formats" / "sierra_new_york_times.txt"
    if not path.exists():
        pytest.skip(f"no shared input at {path}")
    raw, es = read_bars(path), find_instrument("ES")

    def look(frame: pd.DataFrame) -> list[str]:
        findings = misreadings(Evidence(frame, clean_bars(frame, es), es, raw.zone, raw.offset))
        return [finding.message for finding in findings]

    assert look(raw.frame) == look(raw.frame.sample(frac=1, random_state=3).reset_index(drop=True))
