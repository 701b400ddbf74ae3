"""Features of volume: how much was traded, when, and in which direction.

Every number of a session comes from the bars of its hours and of its own contract. Volumes of sessions are compared
across a roll, as each is that of the contract most traded then; prices are not.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.features.windows import trailing, trailing_sum
from pipeline.strategy import HistorySettings
from pipeline.strategy.gates import MIN_KNOWN_SHARE

__all__ = ["relative_to_median"]  # the features are found by the registry

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_HOUR_MINUTES = 60


def relative_to_median(values: Floats, sessions: int) -> Floats:
    """Each value as a multiple of the median of the ``sessions`` values before it, shape (n,).

    Missing where that many rows are not there, less than three quarters of them are known, or their median is 0.
    """
    before = trailing(np.append(np.nan, values[:-1])[: len(values)], sessions)
    usable = (~np.isnan(before)).sum(axis=1) >= MIN_KNOWN_SHARE * sessions
    usable[:sessions] = False
    median = np.full(len(values), np.nan)
    median[usable] = np.nanmedian(before[usable], axis=1)
    return _ratio(values, median)


def _ratio(numerator: Floats | Ints, denominator: Floats | Ints) -> Floats:
    """Missing where the denominator is 0, negative or missing."""
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)


def _by_session(inputs: FeatureInputs, values: Ints) -> Ints:
    """Sums over each session's bars of whole numbers, one a bar of ``hour_bars``: exact in any order."""
    edges = np.searchsorted(inputs.hour_bars["row"].to_numpy(), np.arange(len(inputs.sessions) + 1))
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])
    return total[edges[1:]] - total[edges[:-1]]


def _steps(inputs: FeatureInputs, column: str) -> Ints:
    return inputs.instrument.to_steps(inputs.hour_bars[column].to_numpy(np.float64))


def _known_sum(inputs: FeatureInputs, column: str) -> Floats:
    """Volume steps of a column by session, missing where one of its bars has none."""
    values = inputs.hour_bars[column].to_numpy(np.float64)
    missing = np.isnan(values)
    total = _by_session(inputs, inputs.instrument.to_steps(np.where(missing, 0.0, values))).astype(np.float64)
    return np.where(_by_session(inputs, missing.astype(np.int64)) > 0, np.nan, total)


@feature(
    family="volume",
    warmup=lambda sessions: sessions + 1,
    description="Volume of the session as a multiple of the median of the {sessions} sessions before, same hours; "
    "each of its own contract.",
    over={"sessions": (20, 50)},
)
def relative_volume(inputs: FeatureInputs, sessions: int) -> pd.Series:
    volume = inputs.history["volume"].to_numpy(np.float64)
    return pd.Series(relative_to_median(volume, sessions), index=inputs.sessions)


@feature(
    family="volume",
    warmup=lambda sessions: sessions,
    description="Slope of the logarithm of volume over {sessions} sessions (least squares), a session; across a roll "
    "each volume is of its own contract.",
    over={"sessions": (10, 20)},
)
def volume_trend(inputs: FeatureInputs, sessions: int) -> pd.Series:
    logs = trailing(np.log(inputs.history["volume"].to_numpy(np.float64)), sessions)
    places = np.arange(sessions) - (sessions - 1) / 2
    return pd.Series((logs * (places / (places**2).sum())).sum(axis=1), index=inputs.sessions)


@feature(
    family="volume",
    warmup=21,
    description="Volume a tick of the session's range, as a multiple of the median of the 20 sessions before; each of "
    "its own contract.",
)
def relative_volume_per_tick(inputs: FeatureInputs) -> pd.Series:
    high, low = (inputs.instrument.to_ticks(inputs.history[name]) for name in ("high", "low"))
    return pd.Series(
        relative_to_median(inputs.history["volume"].to_numpy(np.float64) / (high - low + 1), 20), index=inputs.sessions
    )


@feature(
    family="volume",
    warmup=1,
    description="Share of the session's volume in the last hour of its hours; missing with bars longer than that, or "
    "fewer than two. Within a contract.",
)
def last_hour_volume_share(inputs: FeatureInputs) -> pd.Series:
    bars, steps = inputs.hour_bars, _steps(inputs, "volume")
    closes = inputs.closes.asi8[bars["row"].to_numpy()]
    late = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8 >= closes - _HOUR_MINUTES * 60 * 10**9
    share = _ratio(_by_session(inputs, np.where(late, steps, 0)), _by_session(inputs, steps))
    return pd.Series(np.where(inputs.bar_minutes <= _HOUR_MINUTES, share, np.nan), index=inputs.sessions)


@feature(
    family="volume",
    warmup=lambda sessions: sessions,
    description="Volume of bars that closed above their open less that of bars that closed below, as a share of all "
    "volume of {sessions} sessions; nothing is compared across a roll.",
    over={"sessions": (1, 5, 20)},
    signed=True,
)
def up_down_volume(inputs: FeatureInputs, sessions: int) -> pd.Series:
    bars, steps = inputs.hour_bars, _steps(inputs, "volume")
    ticks = inputs.instrument.to_ticks
    signs = np.sign(ticks(bars["close"].to_numpy(np.float64)) - ticks(bars["open"].to_numpy(np.float64)))
    balance, total = (_by_session(inputs, values).astype(np.float64) for values in (signs * steps, steps))
    return pd.Series(_ratio(trailing_sum(balance, sessions), trailing_sum(total, sessions)), index=inputs.sessions)


@feature(
    family="volume",
    warmup=lambda sessions: sessions + 1,
    description="Volume of sessions that closed up on the one before less that of sessions that closed down, as a "
    "share of that of {sessions} sessions; the first session of a contract is left out.",
    over={"sessions": (10, 20)},
    signed=True,
)
def up_down_sessions(inputs: FeatureInputs, sessions: int) -> pd.Series:
    steps = inputs.instrument.to_steps(inputs.history["volume"].fillna(0.0))
    closes = inputs.instrument.to_ticks(inputs.history["close"])
    signs = np.append(np.nan, np.sign(np.diff(closes)))[: len(closes)]
    signs[inputs.rolled] = np.nan
    total = np.where(np.isnan(signs), np.nan, steps)
    return pd.Series(
        _ratio(trailing_sum(signs * steps, sessions), trailing_sum(total, sessions)), index=inputs.sessions
    )


@feature(
    family="volume",
    warmup=lambda sessions: sessions,
    description="Delta: volume traded at the ask less that at the bid, as a share of both, over {sessions} sessions; "
    "each of its own contract.",
    over={"sessions": (1, 5, 20)},
    signed=True,
    needs=("bid_volume", "ask_volume"),
)
def delta_share(inputs: FeatureInputs, sessions: int) -> pd.Series:
    bid, ask = (_known_sum(inputs, name) for name in ("bid_volume", "ask_volume"))
    return pd.Series(
        _ratio(trailing_sum(ask - bid, sessions), trailing_sum(ask + bid, sessions)), index=inputs.sessions
    )


@feature(
    family="volume",
    warmup=1,
    description="Volume a trade of the session, in volume units (contracts, shares, coins).",
    needs=("num_trades",),
)
def trade_size(inputs: FeatureInputs) -> pd.Series:
    return pd.Series(_trade_sizes(inputs), index=inputs.sessions)


@feature(
    family="volume",
    warmup=lambda sessions: sessions + 1,
    description="Volume a trade as a multiple of its median in the {sessions} sessions before; each of its own "
    "contract.",
    over={"sessions": (20,)},
    needs=("num_trades",),
)
def relative_trade_size(inputs: FeatureInputs, sessions: int) -> pd.Series:
    return pd.Series(relative_to_median(_trade_sizes(inputs), sessions), index=inputs.sessions)


def _trade_sizes(inputs: FeatureInputs) -> Floats:
    trades = inputs.hour_bars["num_trades"].to_numpy(np.float64)
    missing = np.isnan(trades)
    # Counts of trades are whole numbers: their sums are exact.
    count = _by_session(inputs, np.rint(np.where(missing, 0.0, trades)).astype(np.int64)).astype(np.float64)
    count[_by_session(inputs, missing.astype(np.int64)) > 0] = np.nan
    return _ratio(inputs.history["volume"].to_numpy(np.float64), count)


def _atr_known(settings: HistorySettings) -> int:
    return settings.atr_window + 1


@feature(
    family="volume",
    warmup=_atr_known,
    description="Close less the session's volume-weighted average price (typical price of each bar), in average true "
    "ranges; within a contract.",
    signed=True,
)
def close_to_vwap(inputs: FeatureInputs) -> pd.Series:
    bars, steps = inputs.hour_bars, _steps(inputs, "volume")
    close = inputs.instrument.to_ticks(inputs.history["close"])
    # Three times the typical price less the close, in ticks: small whole numbers, so that the sums are exact.
    distance = -3 * close[bars["row"].to_numpy()]
    for name in ("high", "low", "close"):
        distance += inputs.instrument.to_ticks(bars[name].to_numpy(np.float64))
    mean = _ratio(_by_session(inputs, distance * steps), 3 * _by_session(inputs, steps))
    return pd.Series(_ratio(-mean * inputs.instrument.tick_size, inputs.atr), index=inputs.sessions)
