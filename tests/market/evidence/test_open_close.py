"""Opens and closes that stand in each other's columns."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.market import Instrument, find_instrument, simulate_market
from pipeline.market.readers import ReadOptions, read_bars
from tests.market.evidence.looking import found

KIND = "open_close"


def swapped(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.assign(open=bars["close"], close=bars["open"])


def longer(bars: pd.DataFrame, length: str) -> pd.DataFrame:
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return bars.resample(length, on="timestamp").agg(how).dropna().reset_index()


def walk(noise: float, bars: int = 400) -> pd.DataFrame:
    """A random walk in which each bar opens at the close before it, or so many ticks of noise away."""
    generator = np.random.default_rng(11)
    close = 4500 + 0.25 * generator.integers(-8, 9, bars).cumsum()
    opens = np.append(4500.0, close[:-1]) + 0.25 * np.rint(noise * generator.standard_normal(bars))
    edges = pd.DataFrame({"open": opens, "close": close})
    times = pd.date_range("2023-05-01 22:00", periods=bars, freq="1min", tz="UTC")
    return edges.assign(timestamp=times, high=edges.max(axis=1), low=edges.min(axis=1), volume=10.0)


def test_swapped_open_and_close_are_reported_with_the_remedy(es: Instrument) -> None:
    bars = simulate_market(es, "2023-05-01", 2, 3)

    assert KIND not in found(bars, es)
    finding = found(swapped(bars), es)[KIND]
    assert "open and close are probably swapped" in finding.message
    assert "--columns 'open=NAME,close=NAME'" in finding.message
    assert finding.severity == "warning"


def test_walk_whose_bars_open_where_the_last_closed_is_right_one_way_only(es: Instrument) -> None:
    assert KIND not in found(walk(0), es)
    assert KIND in found(swapped(walk(0)), es)


def test_opens_that_have_nothing_to_do_with_the_last_close_tell_nothing(es: Instrument) -> None:
    bounced = walk(40)
    bounced[["high", "low"]] = np.column_stack(
        [bounced[["open", "close"]].max(axis=1), bounced[["open", "close"]].min(axis=1)]
    )

    assert KIND not in found(bounced, es)
    assert KIND not in found(swapped(bounced), es)


@pytest.mark.parametrize("bars", [10, 30])
def test_few_bars_tell_nothing(es: Instrument, bars: int) -> None:
    assert KIND not in found(swapped(walk(0, bars)), es)


def test_steps_across_gaps_and_contracts_are_left_out(es: Instrument) -> None:
    bars = swapped(walk(0))
    growing = pd.to_timedelta(np.arange(len(bars)).cumsum(), unit="s")  # no two steps of one length
    apart = bars.assign(timestamp=bars["timestamp"] + growing)

    assert KIND not in found(apart, es)
    assert KIND not in found(bars.assign(contract=np.where(np.arange(len(bars)) % 2, "ESM3", "ESU3")), es)


@pytest.mark.parametrize("length", [None, "5min", "30min"])
@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("es_1m_esh25.parquet", "ES"),
        ("spy_1m_lean.parquet", "SPY"),
        ("btc_usdt_1m_2021_04.parquet", "BTCUSDT"),
        ("xrp_btc_1m_2021_04.parquet", "XRPBTC"),
    ],
)
def test_real_bars_are_right_one_way_only(real_data: Path, name: str, symbol: str, length: str | None) -> None:
    instrument, bars = find_instrument(symbol), read_bars(real_data / name).frame
    bars = bars if length is None else longer(bars, length)

    assert KIND not in found(bars, instrument)
    assert KIND in found(swapped(bars), instrument)


def test_file_without_names_read_by_the_remedy_has_no_sign_left(tmp_path: Path, es: Instrument) -> None:
    bars = walk(0)
    order = ["timestamp", "close", "high", "low", "open", "volume"]
    bars[order].assign(timestamp=bars["timestamp"].dt.strftime("%Y-%m-%d %H:%M")).to_csv(
        tmp_path / "bars.csv", index=False, header=False
    )

    read = read_bars(tmp_path / "bars.csv", ReadOptions(time_zone="UTC"))
    fixed = read_bars(tmp_path / "bars.csv", ReadOptions(time_zone="UTC", names=tuple(order)))

    assert KIND in found(read.frame, es)
    assert not found(fixed.frame, es)
    assert fixed.frame["open"].tolist() == bars["open"].tolist()
