"""Kinds of evidence in rows and times: other columns, other symbols, other bars."""

import numpy as np
import pandas as pd
import pytest

from pipeline.market import Instrument, find_instrument, simulate_market
from tests.market.evidence.looking import flat_bars, found

PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def bitcoin_day() -> pd.DataFrame:
    return simulate_market(find_instrument("BTCUSDT"), "2023-05-01", 1, 3)


def test_columns_in_another_order_are_reported_with_the_order_that_fits(bitcoin_day: pd.DataFrame) -> None:
    mixed = bitcoin_day.copy()
    mixed[PRICES] = bitcoin_day[["low", "high", "open", "close"]].to_numpy()  # as Coinbase writes them

    findings = found(mixed, find_instrument("BTCUSDT"))

    assert "open, high, low, close are probably low, high, open, close" in findings["column_order"].message
    assert "--names" in findings["column_order"].message


def test_columns_of_which_no_order_fits_are_asked_about(bitcoin_day: pd.DataFrame) -> None:
    wrong = bitcoin_day.assign(low=bitcoin_day["high"] + 1, high=bitcoin_day["low"] - 1)
    wrong.loc[::3, PRICES] = bitcoin_day.loc[::3, ["low", "high", "open", "close"]].to_numpy()

    assert "are the columns the right ones" in found(wrong, find_instrument("BTCUSDT"))["column_order"].message


def test_close_of_another_level_is_not_an_order_of_the_columns(bitcoin_day: pd.DataFrame) -> None:
    adjusted = bitcoin_day.assign(close=bitcoin_day["close"] - 5_000)  # fits as a low, which it is not

    finding = found(adjusted, find_instrument("BTCUSDT"))["column_order"]

    assert "are the columns the right ones" in finding.message
    assert "probably" not in finding.message


def test_rows_of_two_symbols_are_detected_by_their_prices(es: Instrument) -> None:
    times = pd.date_range("2023-05-01 14:30", periods=60, freq="5min", tz="UTC")
    both = pd.concat([flat_bars(times, 4100), flat_bars(times, 13_200)]).sort_values("timestamp", kind="stable")

    finding = found(both, es)["two_series"]

    assert finding.message.startswith("60 of 120 rows")
    assert "at 13200 where the rows kept are at 4100" in finding.message
    assert "--columns symbol=NAME" in finding.message


def test_rows_of_overlapping_files_are_distinguished_from_two_symbols(es: Instrument) -> None:
    times = pd.date_range("2023-05-01 14:30", periods=60, freq="5min", tz="UTC")
    both = pd.concat([flat_bars(times, 4100), flat_bars(times, 4112.5)])

    assert "files that overlap, or several contracts" in found(both, es)["two_series"].message


def test_few_bad_rows_are_not_a_finding(bitcoin_day: pd.DataFrame) -> None:
    bars = bitcoin_day.copy()
    bars.loc[:9, "high"] = 1.0

    assert not found(bars, find_instrument("BTCUSDT"))


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [("open", np.nan, "many_missing_value"), ("volume", -1.0, "many_negative_volume")],
)
def test_reason_that_takes_a_large_share_is_explained(
    bitcoin_day: pd.DataFrame, column: str, value: float, kind: str
) -> None:
    bars = bitcoin_day.copy()
    bars.loc[: len(bars) // 2, column] = value

    assert set(found(bars, find_instrument("BTCUSDT"))) == {kind}


@pytest.mark.parametrize(("freq", "name"), [("1D", "daily bars"), ("7D", "bars longer than a day")])
def test_daily_bars_are_an_error_that_says_what_they_lack(es: Instrument, freq: str, name: str) -> None:
    bars = flat_bars(pd.date_range("2023-05-01 14:30", periods=30, freq=freq, tz="UTC"))

    findings = found(bars, es)

    assert set(findings) == {"daily_bars"}
    assert findings["daily_bars"].severity == "error"
    assert name in findings["daily_bars"].message
    assert "no intraday volume profile" in findings["daily_bars"].message


def test_hourly_bars_are_not_daily_ones(es: Instrument) -> None:
    bars = simulate_market(es, "2023-05-01", 8, 3, bar="60min")

    assert not found(bars, es)


def test_times_in_the_future_are_reported(es: Instrument) -> None:
    year = pd.Timestamp.now(tz="UTC").year + 2
    bars = flat_bars(pd.date_range(f"{year}-03-04 15:00", periods=30, freq="1min", tz="UTC"))

    assert "--time-format" in found(bars, es)["future"].message


@pytest.mark.parametrize("year", [2000, 2019])
def test_times_rounded_by_a_32_bit_float_are_reported(es: Instrument, year: int) -> None:
    times = pd.date_range(f"{year}-03-06 15:00", periods=60, freq="5min", tz="UTC")
    rounded = (times.as_unit("s").asi8.astype(np.float32).astype(np.int64) * 10**9).view("M8[ns]")

    assert "32-bit" in found(flat_bars(pd.DatetimeIndex(rounded, tz="UTC")), es)["rounded_times"].message
    assert not found(flat_bars(times), es)


def test_impossible_counts_are_noted(es: Instrument) -> None:
    bars = flat_bars(pd.date_range("2023-05-01 14:30", periods=30, freq="1min", tz="UTC"))
    counts = [np.inf, -5.0, 1e300, *[7.0] * 27]

    finding = found(bars.assign(num_trades=counts), es)["impossible_counts"]

    assert finding.severity == "note"
    assert finding.message.startswith("3 of 30 bars")
