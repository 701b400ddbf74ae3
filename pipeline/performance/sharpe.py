"""The probability that a Sharpe ratio is truly above a benchmark, and above what the best of many tries would show."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ConfigurationError
from pipeline.performance import kernels
from pipeline.performance.metrics import finite_values

__all__ = [
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "long_run_variance",
    "probabilistic_sharpe_ratio",
    "sharpe_probability",
    "variance_inflation",
]

_NORMAL = NormalDist()
_MOST_PERSISTENT = 0.97  # Andrews & Monahan (1992): beyond it prewhitening blows up
_FEWEST_FOR_DEPENDENCE = 20


def sharpe_probability(
    sharpe: float, *, periods: int, skewness: float, kurtosis: float, benchmark: float, inflation: float = 1.0
) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark, from the sample's moments.

    Parameters
    ----------
    sharpe, benchmark
        Sharpe ratios **per period**, not annualised.
    periods
        Number of returns.
    skewness, kurtosis
        Of the returns; kurtosis is raw: 3 for a normal distribution, never the excess over it.
    inflation
        What dependence makes of the ratio's variance, from :func:`variance_inflation`; 1 for independent returns.

    Notes
    -----
    Bailey & López de Prado (2012), "The Sharpe Ratio Efficient Frontier", equation 11:
    Φ((SR − SR*) √(n − 1) / √(1 − γ₃ SR + (γ₄ − 1)/4 · SR²)).
    """
    if periods < 2:
        return math.nan
    variance = inflation * (1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2)
    if not variance > 0:  # NaN, or moments that no distribution has
        return math.nan
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(periods - 1) / math.sqrt(variance))


def variance_inflation(returns: ArrayLike) -> float:
    """Factor by which serial dependence inflates the variance of the Sharpe ratio of these returns.

    1 for independent returns, about (1 + ρ)/(1 − ρ) where each is correlated with the next by ρ. 1 for fewer than
    twenty returns, or where all are equal.

    Notes
    -----
    Lo (2002), "The Statistics of Sharpe Ratios", equation 14, takes the long-run variance of what each return adds to
    the error of the ratio, z − SR/2 (z² − 1) with z the standardised return; the plain variance of that is Mertens's
    (2002), which :func:`sharpe_probability` has. The long-run variance is estimated with the quadratic spectral kernel
    and Andrews's (1991) bandwidth, his equations 6.2 and 6.4, after prewhitening by a
    first-order autoregression (Andrews & Monahan 1992), as Ledoit & Wolf (2008) do for Sharpe ratios.
    """
    values = finite_values(returns)
    sharpe = float(kernels.sharpe(values, 1.0))
    if math.isnan(sharpe) or len(values) < _FEWEST_FOR_DEPENDENCE:
        return 1.0
    standard = (values - values.mean()) / values.std()
    influence = standard - sharpe / 2 * (np.square(standard) - 1)
    influence -= influence.mean()
    slope = _slope(influence)
    white = influence[1:] - slope * influence[:-1]
    left = _slope(white)
    bandwidth = 1.3221 * (4 * left**2 / (1 - left) ** 4 * len(white)) ** 0.2
    long_run = long_run_variance(white, bandwidth) / (1 - slope) ** 2
    inflation = long_run / float(np.square(influence).mean())
    return inflation if math.isfinite(inflation) and inflation > 0 else 1.0


def long_run_variance(values: NDArray[np.float64], bandwidth: float) -> float:
    """Variance and twice the autocovariances, weighed by the quadratic spectral kernel (Andrews 1991, equation 2.7).

    The same as ``arch.covariance.kernel.QuadraticSpectral``, which each process compiles again for two seconds.
    """
    count = len(values)
    power = np.square(np.abs(np.fft.rfft(values - values.mean(), 2 * count)))  # padded: no lag wraps around
    covariances = np.fft.irfft(power)[:count] / count
    if bandwidth == 0:
        return float(covariances[0])
    x = 6 * np.pi / 5 * np.arange(1, count) / bandwidth
    weights = 3 / x**2 * (np.sin(x) / x - np.cos(x))
    return float(covariances[0] + 2 * weights @ covariances[1:])


def _slope(values: NDArray[np.float64]) -> float:
    """Regress each value on the one before by least squares; kept away from a unit root."""
    square = float(values[:-1] @ values[:-1])
    slope = float(values[1:] @ values[:-1]) / square if square > 0 else 0.0
    return min(max(slope, -_MOST_PERSISTENT), _MOST_PERSISTENT)


def probabilistic_sharpe_ratio(returns: ArrayLike, *, benchmark: float = 0.0, dependent: bool = False) -> float:
    """Probability that the true Sharpe ratio exceeds ``benchmark``, given length, skewness and kurtosis.

    Parameters
    ----------
    returns
        Returns of all periods, shape (n,).
    benchmark
        Sharpe ratio **per period**, not annualised.
    dependent
        Whether returns may depend on those before: the variance is then multiplied by :func:`variance_inflation`. By
        default they are taken as independent, as in the paper.

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
    return sharpe_probability(
        sharpe,
        periods=len(values),
        skewness=skewness,
        kurtosis=kurtosis,
        benchmark=benchmark,
        inflation=variance_inflation(values) if dependent else 1.0,
    )


def expected_maximum_sharpe(*, trials: float, sharpe_variance: float) -> float:
    """Sharpe ratio that the best of ``trials`` worthless strategies is expected to show.

    √V · ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))), with γ the Euler–Mascheroni constant: Bailey & López de Prado
    (2014), "The Deflated Sharpe Ratio". 0 for one trial, where nothing was chosen.
    """
    if not trials >= 1:
        raise ConfigurationError(f"trials is {trials}; at least 1 was tried")
    if not sharpe_variance >= 0:
        raise ConfigurationError(f"sharpe_variance is {sharpe_variance}; a variance is at least 0")
    if trials == 1:
        return 0.0
    first = _NORMAL.inv_cdf(1 - 1 / trials)
    second = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    # Between one and two trials (an effective number) the approximation turns negative; choosing never lowers the best.
    return max(0.0, math.sqrt(sharpe_variance) * ((1 - np.euler_gamma) * first + np.euler_gamma * second))


def deflated_sharpe_ratio(
    returns: ArrayLike, *, trials: float, sharpe_variance: float, dependent: bool = False
) -> float:
    """Probability that the true Sharpe ratio is above 0, given that this was the best of several trials.

    Parameters
    ----------
    returns
        Returns of the chosen strategy, all periods, shape (n,).
    trials
        Independent strategies or settings tried, this one included, ≥ 1.
    sharpe_variance
        Variance, across the trials, of their Sharpe ratios **per period**, not annualised.
    dependent
        As of :func:`probabilistic_sharpe_ratio`.

    Returns
    -------
    float
        The probabilistic Sharpe ratio against :func:`expected_maximum_sharpe`; NaN with fewer than two returns, or
        where all are equal.
    """
    benchmark = expected_maximum_sharpe(trials=trials, sharpe_variance=sharpe_variance)
    return probabilistic_sharpe_ratio(returns, benchmark=benchmark, dependent=dependent)


def _shape(values: NDArray[np.float64]) -> tuple[float, float]:
    """Skewness and raw kurtosis (population moments)."""
    centred = values - values.mean()
    variance = np.square(centred).mean()
    return float((centred**3).mean() / variance**1.5), float((centred**4).mean() / variance**2)
