"""Coverage of a summary's intervals, and the rate at which worthless returns pass its probability.

Both are counted over many seeded series of each kind, whose truth is known. Beside them stands what the plain forms
give: blocks by the series' autocorrelations with percentiles at 95 %, and the probability for independent returns.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.performance import bootstrap_interval, kernels, probabilistic_sharpe_ratio
from pipeline.performance.uncertainty import Interval, resampled_intervals

__all__ = ["RETURNS", "TRADES", "coverage", "false_passes"]

Array = NDArray[np.float64]
Random = np.random.Generator

_MONTH = 21  # sessions
_BUSY, _IDLE = 0.58, 0.11  # trades per session: all fades, and rule signals, of ES 2015 to 2021
_RISK = 0.01
_SURE = 0.95


def _autoregression(random: Random, count: int, slope: float) -> Array:
    from scipy.signal import lfilter

    settling = 200
    found: Array = lfilter([1.0], [1.0, -slope], random.standard_normal(count + settling))[settling:]
    return found


def _clustered(random: Random, count: int) -> Array:
    """GARCH(1,1) with alpha 0.1 and beta 0.85."""
    shocks, variance, found = random.standard_normal(count + 200), 1.0, []
    for shock in shocks.tolist():
        value = shock * variance**0.5
        found.append(value)
        variance = 0.05 + 0.1 * value * value + 0.85 * variance
    return np.array(found[200:])


def _bets(random: Random, chance: Array | float, count: int) -> Array:
    """Two to one, at the chance given."""
    return np.where(random.random(count) < chance, 2.0, -1.0)


def _regimes(random: Random, sessions: Array, months: float) -> Array:
    """Chance to win by session: 1/3 + 0.1 or 1/3 − 0.1, changing at random every so many months on average."""
    last = int(sessions[-1]) + 1
    changes = np.cumsum(random.random(last) < 1 / (months * _MONTH)) + random.integers(2)
    return (1 / 3 + np.where(changes % 2, 0.1, -0.1))[sessions.astype(np.int64)]


def _drift(random: Random, sessions: Array, months: float) -> Array:
    """Chance to win by session: 1/3 and a slow autoregression of deviation 0.08 that forgets in so many months."""
    slope = float(np.exp(-1 / (months * _MONTH)))
    last = int(sessions[-1]) + 1
    walk = _autoregression(random, last + 40 * _MONTH, slope)[-last:] * np.sqrt(1 - slope**2)
    return np.clip(1 / 3 + 0.08 * walk, 0.0, 1.0)[sessions.astype(np.int64)]


TRADES: dict[str, tuple[float, float, Callable[[Random, Array], Array]]] = {
    "independent": (_BUSY, 1 / 3, lambda random, at: _bets(random, 1 / 3, len(at))),
    "idle days": (_IDLE, 1 / 3, lambda random, at: _bets(random, 1 / 3, len(at))),
    "fat tails (t, 3)": (_BUSY, 0.5, lambda random, at: random.standard_t(3, len(at))),
    "autocorrelated 0.3": (_BUSY, 0.5, lambda random, at: _autoregression(random, len(at), 0.3)),
    "regimes of 3 months": (_BUSY, 1 / 3, lambda random, at: _bets(random, _regimes(random, at, 3), len(at))),
    "regimes of 6 months": (_BUSY, 1 / 3, lambda random, at: _bets(random, _regimes(random, at, 6), len(at))),
    "drift over 2 months": (_BUSY, 1 / 3, lambda random, at: _bets(random, _drift(random, at, 2), len(at))),
}
"""Kind -> trades per session, true win rate, and results in R from a generator and the sessions traded in.

All are worth nothing: the true expectancy and Sharpe ratio are 0.
"""

RETURNS: dict[str, Callable[[Random, int], Array]] = {
    "independent": lambda random, count: random.standard_normal(count),
    "autocorrelated 0.3": lambda random, count: _autoregression(random, count, 0.3),
    "autocorrelated −0.3": lambda random, count: _autoregression(random, count, -0.3),
    "fat tails (t, 3)": lambda random, count: random.standard_t(3, count),
    "volatility clusters (GARCH)": _clustered,
    "idle days": lambda random, count: np.where(random.random(count) < _IDLE, _bets(random, 1 / 3, count), 0.0),
    "regimes of 3 months": lambda random, count: np.where(
        random.random(count) < _BUSY, _bets(random, _regimes(random, np.arange(count, dtype=float), 3), count), 0.0
    ),
}
"""Kind -> daily returns worth nothing, from a generator and how many."""


def coverage(kind: str, *, trades: int, repeat: int, replications: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """Measure how often the intervals contain the true value.

    Parameters
    ----------
    kind
        Of :data:`TRADES`.
    trades
        In each series.
    repeat
        Series.
    replications
        Resamples of each interval; a summary has 2,000.
    seed
        Of the first series.

    Returns
    -------
    list of dict
        A row a statistic: kind, trades, statistic, plain and held (percent of intervals that hold the truth), wider
        (median width over that of the plain).
    """
    rate, win_rate, results = TRADES[kind]
    truth = {"win rate": win_rate, "expectancy": 0.0, "Sharpe ratio": 0.0}
    held: dict[str, list[tuple[bool, bool, float]]] = {name: [] for name in truth}
    for number in range(repeat):
        random = np.random.default_rng([seed, number])
        count = round(trades / rate)
        at = np.sort(random.choice(count, trades, replace=False)).astype(np.float64)
        multiples = results(random, at)
        returns = np.zeros(count)
        returns[at.astype(np.int64)] = _RISK * multiples
        kinds = {
            "win rate": (multiples, kernels.positive_share),
            "expectancy": (multiples, kernels.mean),
            "Sharpe ratio": (returns, lambda values: kernels.sharpe(values, 252)),
        }
        ours = resampled_intervals(
            {name: kinds[name] for name in ("win rate", "expectancy")},
            multiples,
            seed=number,
            replications=replications,
        )
        ours |= resampled_intervals(
            {"Sharpe ratio": kinds["Sharpe ratio"]}, returns, seed=number, replications=replications
        )
        for name, (values, kernel) in kinds.items():
            plain = bootstrap_interval(values, kernel, replications=replications, seed=number, vectorized=True)
            wider = (ours[name].high - ours[name].low) / (plain.high - plain.low)
            held[name].append((_holds(plain, truth[name]), _holds(ours[name], truth[name]), wider))
    return [
        {
            "kind": kind,
            "trades": trades,
            "statistic": name,
            "plain": 100 * float(np.mean([row[0] for row in rows])),
            "held": 100 * float(np.mean([row[1] for row in rows])),
            "wider": float(np.median([row[2] for row in rows])),
        }
        for name, rows in held.items()
    ]


def false_passes(kind: str, *, sessions: int, repeat: int, seed: int = 0) -> dict[str, Any]:
    """Measure how often the probabilistic Sharpe ratio of worthless returns exceeds 95 %; 5 % is right.

    Parameters
    ----------
    kind
        Of :data:`RETURNS`.
    sessions
        In each series.
    repeat
        Series.
    seed
        Of the first series.

    Returns
    -------
    dict
        kind, sessions, independent (the formula for independent returns) and dependent (as in a summary), percent.
    """
    passed = np.zeros(2)
    for number in range(repeat):
        returns = RETURNS[kind](np.random.default_rng([seed, number]), sessions)
        passed += [probabilistic_sharpe_ratio(returns, dependent=dependent) > _SURE for dependent in (False, True)]
    independent, dependent = (100 * passed / repeat).tolist()
    return {"kind": kind, "sessions": sessions, "independent": independent, "dependent": dependent}


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high
