"""How far a measured number may lie from the truth: bootstrap intervals and the probability of the Sharpe ratio."""

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.performance import kernels
from pipeline.performance.metrics import finite_values

__all__ = [
    "Interval",
    "block_length",
    "bootstrap_interval",
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "probabilistic_sharpe_ratio",
    "resampling_positions",
    "sharpe_probability",
]

_SHORTEST_FOR_ESTIMATE = 10  # the estimator looks at √n + 5 autocovariances, so it needs more values than that
_BATCH_CELLS = 4_000_000  # 32 MB of positions at a time, however long the series
_LEAST_DEFINED = 0.5  # below this share of resamples in which the statistic exists, its quantiles describe the others

_NORMAL = NormalDist()


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


def sharpe_probability(sharpe: float, *, periods: int, skewness: float, kurtosis: float, benchmark: float) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark, from the sample's moments.

    Parameters
    ----------
    sharpe, benchmark
        Sharpe ratios **per period**, not annualised.
    periods
        Number of returns.
    skewness, kurtosis
        Of the returns; kurtosis is raw: 3 for a normal distribution, never the excess over it.

    Notes
    -----
    Bailey & López de Prado (2012), "The Sharpe Ratio Efficient Frontier", equation 11:
    Φ((SR − SR*) √(n − 1) / √(1 − γ₃ SR + (γ₄ − 1)/4 · SR²)).
    """
    if periods < 2:
        return math.nan
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if not variance > 0:  # NaN, or moments that no distribution has
        return math.nan
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(periods - 1) / math.sqrt(variance))


def probabilistic_sharpe_ratio(returns: ArrayLike, *, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds ``benchmark``, given length, skewness and kurtosis.

    Parameters
    ----------
    returns
        Returns of all periods, shape (n,).
    benchmark
        Sharpe ratio **per period**, not annualised.

    Returns
    -------
    float
        NaN with fewer than two returns, or where all are equal. See :func:`sharpe_probability`.
    """
    values = finite_values(returns)
    sharpe = float(kernels.sharpe(values, 1.0))
    if math.isnan(sharpe):
        return math.nan
    skewness, kurtosis = _shape(values)
    return sharpe_probability(sharpe, periods=len(values), skewness=skewness, kurtosis=kurtosis, benchmark=benchmark)


def expected_maximum_sharpe(*, trials: float, sharpe_variance: float) -> float:
    """Sharpe ratio that the best of ``trials`` worthless strategies is expected to show.

    √V · ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))), with γ the Euler–Mascheroni constant: Bailey & López de Prado
    (2014), "The Deflated Sharpe Ratio". 0 for one trial, where nothing was chosen.
    """
    if not trials >= 1:
        raise ConfigurationError(f"trials is {trials}; at least 1 was tried, the one judged")
    if not sharpe_variance >= 0:
        raise ConfigurationError(f"sharpe_variance is {sharpe_variance}; a variance is at least 0")
    if trials == 1:
        return 0.0
    first = _NORMAL.inv_cdf(1 - 1 / trials)
    second = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    # Between one and two trials (an effective number) the approximation turns negative; choosing never lowers the best.
    return max(0.0, math.sqrt(sharpe_variance) * ((1 - np.euler_gamma) * first + np.euler_gamma * second))


def deflated_sharpe_ratio(returns: ArrayLike, *, trials: float, sharpe_variance: float) -> float:
    """Probability that the true Sharpe ratio is above 0, given that this was the best of several trials.

    Parameters
    ----------
    returns
        Returns of the chosen strategy, all periods, shape (n,).
    trials
        Independent strategies or settings tried, this one included, ≥ 1.
    sharpe_variance
        Variance, across the trials, of their Sharpe ratios **per period**, not annualised.

    Returns
    -------
    float
        The probabilistic Sharpe ratio against :func:`expected_maximum_sharpe`; NaN with fewer than two returns, or
        where all are equal.
    """
    benchmark = expected_maximum_sharpe(trials=trials, sharpe_variance=sharpe_variance)
    return probabilistic_sharpe_ratio(returns, benchmark=benchmark)


def _shape(values: NDArray[np.float64]) -> tuple[float, float]:
    """Skewness and raw kurtosis (population moments)."""
    centred = values - values.mean()
    variance = np.square(centred).mean()
    return float((centred**3).mean() / variance**1.5), float((centred**4).mean() / variance**2)
