"""Inputs by hand: one bar a session, in ticks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.features import FeatureInputs
from pipeline.market import Instrument, session_schedule, simulate_market
from pipeline.strategy import HistorySettings

Row = tuple[int, int, int, int]  # open, high, low, close in ticks


def one_bar_a_session(
    instrument: Instrument, rows: Sequence[Row], contracts: Sequence[str] | None = None, first: str = "2019-01-02"
) -> pd.DataFrame:
    schedule = session_schedule(instrument, first, "2023-12-31").iloc[: len(rows)]
    prices = instrument.to_prices(np.array(rows, np.int64).reshape(-1, 4))
    bars = pd.DataFrame(prices, columns=["open", "high", "low", "close"])
    bars.insert(0, "timestamp", schedule["rth_open"].array)
    bars["volume"] = 1000.0
    if contracts is not None:
        bars["contract"] = list(contracts)
    return bars


def hand_inputs(
    instrument: Instrument,
    rows: Sequence[Row],
    contracts: Sequence[str] | None = None,
    *,
    first: str = "2019-01-02",
    settings: HistorySettings | None = None,
    vix: pd.DataFrame | None = None,
) -> FeatureInputs:
    bars = one_bar_a_session(instrument, rows, contracts, first)
    return FeatureInputs.from_bars(bars, instrument, settings, vix=vix, structure=False, naked=False)


def random_rows(count: int, seed: int = 3, start: int = 12_000) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows, price = [], start
    for _ in range(count):
        opened = price + int(rng.integers(-8, 9))
        close = opened + int(rng.integers(-30, 31))
        high = max(opened, close) + int(rng.integers(0, 12))
        low = min(opened, close) - int(rng.integers(0, 12))
        rows.append((opened, high, low, close))
        price = close
    return rows


def closing_at(closes: Sequence[int]) -> list[Row]:
    return [(close, close + 2, close - 2, close) for close in closes]


def daily(values: Sequence[float], dates: Sequence[str] | pd.DatetimeIndex) -> pd.DataFrame:
    return pd.DataFrame({"timestamp": pd.to_datetime(dates, utc=True), "close": values})


def full_inputs(es: Instrument, sessions: int, seed: int = 5) -> FeatureInputs:
    """A simulated market with rolls and everything that a feature may need."""
    bars = simulate_market(es, "2018-11-01", sessions, seed)
    dates = pd.bdate_range("2018-06-01", bars["timestamp"].iloc[-1].tz_localize(None))
    walk = np.exp(np.random.default_rng(seed + 1).normal(0, 0.05, (2, len(dates))).cumsum(axis=1))
    return FeatureInputs.from_bars(
        bars, es, vix=daily(18 * walk[0], dates), external={"vix3m": daily(20 * walk[1], dates)}
    )
