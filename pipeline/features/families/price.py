"""Features of the price and its path: returns, momentum, distances to the value area, gap, range position."""

import numpy as np
from numpy.typing import NDArray

from pipeline.features.anchors import chain_contracts
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.features.windows import trailing, trailing_deviation, trailing_sum
from pipeline.strategy import HistorySettings

__all__: list[str] = []  # the registry finds them

Floats = NDArray[np.float64]

_SPANS = (5, 10, 20, 50)
_UNITS = ("ticks", "atr")


def _warmup(unit: str, settings: HistorySettings) -> int:
    return 2 if unit == "ticks" else settings.atr_window + 1


def _in_unit(inputs: FeatureInputs, ticks: Floats, unit: str) -> Floats:
    """A distance in ticks, or as a multiple of the average true range (NaN where that is missing or 0)."""
    if unit == "ticks":
        return ticks
    price = inputs.instrument.to_prices(ticks)
    return np.divide(price, inputs.atr, out=np.full(len(price), np.nan), where=inputs.atr > 0)


def _ticks(inputs: FeatureInputs, column: str) -> NDArray[np.int64]:
    return inputs.instrument.to_ticks(inputs.history[column].to_numpy(np.float64))


def _close_less(inputs: FeatureInputs, level: str, unit: str) -> Floats:
    return _in_unit(inputs, (_ticks(inputs, "close") - _ticks(inputs, level)).astype(np.float64), unit)


@feature(
    family="price",
    warmup=lambda sessions: sessions + 1,
    description="Sum of the last {sessions} close-to-close log returns; those across a roll are left out, and it is "
    "missing where less than three quarters are known.",
    over={"sessions": (1, *_SPANS)},
    signed=True,
)
def log_return(inputs: FeatureInputs, sessions: int) -> Floats:
    return trailing_sum(inputs.history["log_return"].to_numpy(np.float64), sessions)


@feature(
    family="price",
    warmup=lambda sessions: sessions + 1,
    description="Sum of the last {sessions} log returns over their standard deviation times √{sessions}: how many "
    "standard deviations the price has come; returns across a roll are left out.",
    over={"sessions": _SPANS},
    signed=True,
)
def momentum(inputs: FeatureInputs, sessions: int) -> Floats:
    returns = inputs.history["log_return"].to_numpy(np.float64)
    spread = trailing_deviation(returns, sessions) * np.sqrt(sessions)
    total = trailing_sum(returns, sessions)
    return np.divide(total, spread, out=np.full(len(total), np.nan), where=spread > 0)


@feature(
    family="price",
    warmup=_warmup,
    description="Close less the session's VAL, in {unit}; for a short, close less VAH: from the entry to the close.",
    over={"unit": _UNITS},
    signed=True,
    mirror="close_to_vah",
)
def close_to_val(inputs: FeatureInputs, unit: str) -> Floats:
    return _close_less(inputs, "val", unit)


@feature(
    family="price",
    warmup=_warmup,
    description="Close less the session's VAH, in {unit}; for a short, close less VAL: from the target to the close.",
    over={"unit": _UNITS},
    signed=True,
    mirror="close_to_val",
)
def close_to_vah(inputs: FeatureInputs, unit: str) -> Floats:
    return _close_less(inputs, "vah", unit)


@feature(
    family="price",
    warmup=_warmup,
    description="Close less the session's VPOC, in {unit}.",
    over={"unit": _UNITS},
    signed=True,
)
def close_to_vpoc(inputs: FeatureInputs, unit: str) -> Floats:
    return _close_less(inputs, "vpoc", unit)


@feature(
    family="price",
    warmup=_warmup,
    description="Open less the close of the session before, in {unit}; missing across a roll.",
    over={"unit": _UNITS},
    signed=True,
)
def gap(inputs: FeatureInputs, unit: str) -> Floats:
    opened, closed = _ticks(inputs, "open"), _ticks(inputs, "close")
    steps = np.full(len(opened), np.nan)
    steps[1:] = opened[1:] - closed[:-1]
    steps[inputs.rolled] = np.nan
    return _in_unit(inputs, steps, unit)


@feature(
    family="price",
    warmup=_warmup,
    description="Close less open of the session, in {unit}.",
    over={"unit": _UNITS},
    signed=True,
)
def body(inputs: FeatureInputs, unit: str) -> Floats:
    return _close_less(inputs, "open", unit)


@feature(
    family="price",
    warmup=lambda sessions: sessions,
    description="Where the close lies between low and high of the last {sessions} sessions: −0.5 at the low, 0.5 at "
    "the high; contracts are joined end to end, so the step between two is left out; missing without a range.",
    over={"sessions": (1, 5, 20, 50)},
    signed=True,
)
def range_position(inputs: FeatureInputs, sessions: int) -> Floats:
    joined = inputs.once("joined sessions", lambda: chain_contracts(inputs.session_bars, inputs.instrument))
    # Whole ticks: what shift the joining gives depends on where the data starts, differences don't.
    high, low, close = (
        inputs.instrument.to_ticks(joined[name].to_numpy()).astype(np.float64) for name in ("high", "low", "close")
    )
    top, bottom = trailing(high, sessions).max(axis=1), trailing(low, sessions).min(axis=1)
    return np.divide(close - bottom, top - bottom, out=np.full(len(close), np.nan), where=top > bottom) - 0.5
