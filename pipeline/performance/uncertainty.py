"""Uncertainty of a measured number: bootstrap intervals by their parts, and all of it in one call."""

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.performance.metrics import finite_values

__all__ = [
    "Interval",
    "Sampled",
    "block_length",
    "bootstrap_interval",
    "covering_level",
    "quantile_interval",
    "regime_block_length",
    "resampled_intervals",
    "resampling_positions",
]

_SHORTEST_FOR_ESTIMATE = 10  # the estimator looks at √n + 5 autocovariances, so it needs more values than that
_BATCH_CELLS = 4_000_000  # 32 MB of positions at a time, however long the series
_REGIME_SHARE = 8  # blocks of an eighth of the series hold regimes of months in years; docs/statistics.md measures it
_LEAST_DEFINED = 0.5  # below this share of resamples in which the statistic exists, its quantiles describe the others


Sampled = tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], NDArray[np.float64]]]
"""A series of shape (n,), and a statistic that takes resamples of shape (k, n) and returns k numbers."""


class Interval(NamedTuple):
    """Ends of a confidence interval; unpacks as ``low, high``."""

    low: float
    high: float


def block_length(values: ArrayLike) -> float:
    """Mean block length for the stationary bootstrap of a series, ≥ 1.

    Politis & White (2004), corrected by Patton, Politis & White (2009), through ``arch.bootstrap``. Where that gives
    nothing (fewer than ten values, all equal, autocorrelations that are not defined), n^(1/3), the rate at which the
    optimal length grows.
    """
    series = finite_values(values)
    count = len(series)
    fallback = max(1.0, round(count ** (1 / 3), 6))
    if count < _SHORTEST_FOR_ESTIMATE or np.ptp(series) == 0:
        return fallback
    from arch.bootstrap import optimal_block_length  # 1.5 s to import

    with np.errstate(all="ignore"):
        length = float(optimal_block_length(series)["stationary"].iloc[0])
    return max(1.0, length) if math.isfinite(length) else fallback


def regime_block_length(values: ArrayLike) -> float:
    """Mean block length that holds slow changes of regime as well: :func:`block_length`, or an eighth of the series.

    A win rate that drifts for months hardly shows in the autocorrelations of single trades, by which
    :func:`block_length` goes, and widens the truth's spread all the same. Blocks so long need percentiles at
    :func:`covering_level`.
    """
    return max(block_length(values), len(finite_values(values)) / _REGIME_SHARE)


def covering_level(level: float, *, count: int, mean_block: float) -> float:
    """Level at which percentiles are to be taken for an interval that covers at ``level``, ≥ ``level``.

    Percentiles of resamples suppose that the spread they show is the true one. Of few long blocks it is too small, and
    an estimate with an error of its own. For independent normal values both are known: the variance that the
    stationary bootstrap gives the mean is a weighted sum of periodogram ordinates. It is matched by a χ² of as many
    degrees of freedom (Satterthwaite), and the normal quantile replaced by Student's t over the root of its mean. For
    blocks of one value this is Student's interval.

    Parameters
    ----------
    level
        Share of intervals that are to hold the truth.
    count
        Values resampled, ≥ 2.
    mean_block
        Mean block length, ≥ 1.

    Notes
    -----
    Politis & Romano (1994), lemma 1, for the weights; Kiefer & Vogelsang (2005), "A New Asymptotic Theory for
    Heteroskedasticity-Autocorrelation Robust Tests", for blocks that are a fixed share of the series.
    """
    from scipy.special import stdtrit

    lag = np.arange(count)
    weights = (1 - lag / count) * (1 - 1 / mean_block) ** lag
    # What each frequency but zero, which the mean takes out, adds to the variance.
    spectral = 2 * np.fft.fft(weights).real[1:] - 1
    mean = spectral.sum() / count
    freedom = spectral.sum() ** 2 / np.square(spectral).sum()
    quantile = float(stdtrit(freedom, (1 + level) / 2)) / math.sqrt(mean)
    return 2 * NormalDist().cdf(quantile) - 1


def resampling_positions(count: int, length: float, replications: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Positions that make stationary-bootstrap resamples of a series, in batches of shape (k, count).

    The batches hold ``replications`` rows together. The same arguments give the same positions, so that statistics of
    one sample can share them.
    """
    from arch.bootstrap import StationaryBootstrap

    bootstrap = StationaryBootstrap(length, np.arange(count), seed=seed)  # type: ignore[arg-type]  # says int, takes any
    batch = max(1, _BATCH_CELLS // max(1, count))
    for first in range(0, replications, batch):
        rows = min(batch, replications - first)
        yield np.stack([bootstrap.update_indices() for _ in range(rows)])


def quantile_interval(values: NDArray[np.float64], level: float) -> Interval:
    """Percentile interval of resampled values, by order statistics, so that infinite values are allowed.

    Resamples in which the statistic does not exist (NaN) are left out; NaN where they are more than half.
    """
    defined = values[~np.isnan(values)]
    if not len(values) or len(defined) < _LEAST_DEFINED * len(values):
        return Interval(math.nan, math.nan)
    tail = (1 - level) / 2
    low = np.quantile(defined, tail, method="lower")
    high = np.quantile(defined, 1 - tail, method="higher")
    return Interval(float(low), float(high))


def resampled_intervals(
    statistics: Mapping[str, Sampled],
    blocks_of: NDArray[np.float64],
    *,
    seed: int,
    level: float = 0.95,
    replications: int = 2000,
) -> dict[str, Interval]:
    """Intervals of several statistics of series of one length, over the same resamples, that hold slow regimes as well.

    Parameters
    ----------
    statistics
        By name.
    blocks_of
        The series that :func:`regime_block_length` goes by, shape (n,).
    seed, level, replications
        As of :func:`bootstrap_interval`; percentiles are taken at :func:`covering_level`.

    Returns
    -------
    dict of str to Interval
        NaN for fewer than two values, or where a statistic exists in under half of the resamples.
    """
    count = len(blocks_of)
    if count < 2:
        return {name: Interval(math.nan, math.nan) for name in statistics}
    length = regime_block_length(blocks_of)
    percentiles = covering_level(level, count=count, mean_block=length)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in statistics}
    for positions in resampling_positions(count, length, replications, seed):
        for name, (sample, kernel) in statistics.items():
            drawn[name].append(kernel(sample[positions]))
    return {name: quantile_interval(np.concatenate(values), percentiles) for name, values in drawn.items()}


def bootstrap_interval(
    returns_or_frame: ArrayLike | pd.Series | pd.DataFrame,
    statistic: Callable[[Any], Any],
    *,
    level: float = 0.95,
    replications: int = 2000,
    seed: int = 0,
    mean_block: float | None = None,
    vectorized: bool = False,
) -> Interval:
    """Stationary-bootstrap percentile interval of a statistic of a time series.

    Parameters
    ----------
    returns_or_frame
        Values in order of time, shape (n,); or a frame or array with a row a period, whose rows are drawn together.
    statistic
        Takes a resample (of the type given: array, Series or frame, its index renumbered) and returns a number.
    level
        Share of such intervals that hold the truth, if the sample is long enough.
    replications
        Resamples drawn.
    seed
        The same seed gives the same interval.
    mean_block
        Mean block length; by default :func:`block_length`, of a frame's columns the longest.
    vectorized
        The statistic takes resamples of shape (k, n), or (k, n, columns), and returns k numbers.

    Returns
    -------
    Interval
        ``(low, high)``; NaN for fewer than two values, or where the statistic exists in under half of the resamples.

    Notes
    -----
    Politis & Romano (1994), "The Stationary Bootstrap", through ``arch.bootstrap.StationaryBootstrap``.
    """
    if not 0 < level < 1:
        raise ConfigurationError(f"level is {level}; it must lie between 0 and 1, e.g. 0.95")
    if replications < 1:
        raise ConfigurationError(f"replications is {replications}; it must be at least 1")
    frame = returns_or_frame if isinstance(returns_or_frame, pd.Series | pd.DataFrame) else None
    values = np.asarray(returns_or_frame, dtype=np.float64)
    if values.ndim not in (1, 2):
        raise DataError(f"values to resample have shape {values.shape}; pass (n,) or (n, columns)")
    series = [finite_values(column, "values to resample") for column in np.atleast_2d(values.T)]
    if len(values) < 2:
        return Interval(math.nan, math.nan)
    if mean_block is None:
        mean_block = max(block_length(column) for column in series)
    elif not mean_block >= 1:
        raise ConfigurationError(f"mean_block is {mean_block}; it must be at least 1")

    def of_one(positions: NDArray[np.int64]) -> Any:
        sample = values[positions] if frame is None else frame.iloc[positions].reset_index(drop=True)
        return statistic(sample)

    results = []
    for positions in resampling_positions(len(values), mean_block, replications, seed):
        if vectorized:
            results.append(np.asarray(statistic(values[positions]), dtype=np.float64))
        else:
            results.append(np.array([of_one(row) for row in positions], dtype=np.float64))
    return quantile_interval(np.concatenate(results), level)
