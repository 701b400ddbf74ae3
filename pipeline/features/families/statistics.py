"""Features of the gates' inputs, and of whether moves continue, reverse or are noise."""

import numpy as np
from numpy.typing import NDArray

from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.features.windows import trailing
from pipeline.strategy import HistorySettings
from pipeline.strategy.gates import MIN_KNOWN_SHARE

__all__: list[str] = []  # the registry finds them

Floats = NDArray[np.float64]

_HORIZONS = (1, 2, 4, 8)
_FEWEST_PAIRS = 10


def _trend_warmup(settings: HistorySettings) -> int:
    return settings.trend_window


def _column(inputs: FeatureInputs, name: str) -> Floats:
    return inputs.history[name].to_numpy(np.float64)


@feature(
    family="statistics",
    warmup=lambda unit, settings: (
        settings.trend_window if unit == "ticks" else max(settings.trend_window, settings.atr_window + 1)
    ),
    description="Least-squares slope of the VPOCs in the trend window (20 by default), in {unit} a session; every "
    "contract has its own intercept.",
    over={"unit": ("ticks", "atr")},
    signed=True,
)
def vpoc_slope(inputs: FeatureInputs, unit: str) -> Floats:
    slope = _column(inputs, "slope")
    if unit == "ticks":
        return slope
    price = slope * inputs.instrument.tick_size
    return np.divide(price, inputs.atr, out=np.full(len(price), np.nan), where=inputs.atr > 0)


@feature(
    family="statistics",
    warmup=_trend_warmup,
    description="Share of the VPOCs' variation in the trend window that the slope explains, 0 to 1; within contracts.",
)
def vpoc_r_squared(inputs: FeatureInputs) -> Floats:
    return _column(inputs, "r_squared")


@feature(
    family="statistics",
    warmup=_trend_warmup,
    description="Two-sided p-value of the Wald–Wolfowitz runs test on the signs of the VPOC moves in the trend window; "
    "zero moves and those across a roll are left out.",
)
def runs_p_value(inputs: FeatureInputs) -> Floats:
    return _column(inputs, "runs_p_value")


@feature(
    family="statistics",
    warmup=_trend_warmup,
    description="Most VPOC moves of one sign in a row in the trend window; zero moves and those across a roll are left "
    "out.",
)
def longest_run(inputs: FeatureInputs) -> Floats:
    return _column(inputs, "longest_run")


@feature(
    family="statistics",
    warmup=lambda settings: settings.direction_window + 1,
    description="Probability that the next VPOC move is up, less one half: positive speaks for an up move; 0 after a "
    "roll.",
    signed=True,
)
def direction_edge(inputs: FeatureInputs) -> Floats:
    return _column(inputs, "direction_probability") - 0.5


@feature(
    family="statistics",
    warmup=lambda sessions: sessions + 1,
    description="Hurst exponent of the last {sessions} log returns from variance ratios: half the least-squares slope "
    "of ln(variance of q-session returns) on ln q, q = 1, 2, 4, 8; below ½ moves turn back, above they go on; returns "
    "across a roll are left out.",
    over={"sessions": (128,)},
)
def hurst(inputs: FeatureInputs, sessions: int) -> Floats:
    returns = trailing(_column(inputs, "log_return"), sessions)
    known = ~np.isnan(returns)
    enough = known.sum(axis=1) >= MIN_KNOWN_SHARE * sessions
    mean = np.where(known, returns, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    logs = np.full((len(_HORIZONS), len(returns)), np.nan)
    for number, horizon in enumerate(_HORIZONS):
        # Overlapping sums; one with a missing return in it is missing. Added term by term: one order for every row.
        count = sessions - horizon + 1
        sums = sum(returns[:, step : step + count] for step in range(horizon))
        squares = np.square(sums - horizon * mean[:, None])
        there = ~np.isnan(squares)
        variance = np.where(there, squares, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        logs[number] = np.log(np.where(variance > 0, variance, np.nan))
    x = np.log(_HORIZONS) - np.mean(np.log(_HORIZONS))
    slope = sum(float(weight) * row for weight, row in zip(x / np.sum(x * x), logs, strict=True))
    return np.where(enough, slope / 2, np.nan)


@feature(
    family="statistics",
    warmup=lambda sessions: sessions + 1,
    description="Shannon entropy of pairs of consecutive VPOC-move signs (up up, up down, ...) among the last "
    "{sessions} moves, as a share of the two bits four equal pairs hold: 1 says nothing repeats; zero moves are left "
    "out, a roll breaks the chain; missing with fewer than 10 pairs.",
    over={"sessions": (50,)},
)
def sign_entropy(inputs: FeatureInputs, sessions: int) -> Floats:
    moves = trailing(_column(inputs, "vpoc_move"), sessions)
    counts = np.zeros((4, len(moves)))
    last = np.zeros(len(moves))
    for move in moves.T:
        sign = np.sign(np.nan_to_num(move))
        for number, (before, after) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
            counts[number] += (last == before) & (sign == after)
        last = np.where(np.isnan(move), 0.0, np.where(sign != 0, sign, last))
    pairs = counts[0] + counts[1] + counts[2] + counts[3]
    shares = counts / np.maximum(pairs, 1)
    bits = -shares * np.log2(np.where(shares > 0, shares, 1.0))
    return np.where(pairs >= _FEWEST_PAIRS, (bits[0] + bits[1] + bits[2] + bits[3]) / 2, np.nan)
