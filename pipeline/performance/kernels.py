"""The statistics over the last axis of an array, so that one call serves one sample or thousands of resamples."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["compound", "growth", "mean", "positive_share", "profit_factor", "sharpe", "sortino", "tail_ratio"]

Array = NDArray[np.float64]

# Below this share of the mean a standard deviation is rounding error: equal returns do not have a Sharpe ratio of 1e15.
_ROUNDING = 1e-12


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Quotient; NaN where the denominator is not positive."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    result = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)


def mean(values: Array) -> Array:
    """Mean; NaN of nothing."""
    count = values.shape[-1]
    return np.asarray(values.sum(axis=-1) / count) if count else np.full(values.shape[:-1], np.nan)


def sharpe(returns: Array, periods_per_year: float) -> Array:
    """Mean over standard deviation (ddof 1), annualised; NaN of fewer than two returns or of equal ones."""
    count = returns.shape[-1]
    if count < 2:
        return np.full(returns.shape[:-1], np.nan)
    average = returns.mean(axis=-1)
    deviation = np.sqrt(np.square(returns - average[..., None]).sum(axis=-1) / (count - 1))
    deviation = np.where(deviation > _ROUNDING * np.abs(average), deviation, 0.0)
    return _ratio(average, deviation) * np.sqrt(periods_per_year)


def sortino(returns: Array, periods_per_year: float) -> Array:
    """Mean over downside deviation about zero (over all periods), annualised; NaN without a negative return."""
    downside = np.sqrt(mean(np.square(np.minimum(returns, 0.0))))
    return _ratio(mean(returns), downside) * np.sqrt(periods_per_year)


def compound(returns: Array) -> Array:
    """Total return of the returns one after another, as a fraction."""
    return np.asarray(np.prod(1.0 + returns, axis=-1) - 1.0)


def growth(returns: Array, periods_per_year: float) -> Array:
    """Compound annual growth rate, as a fraction; NaN of nothing, or where all was lost."""
    count = returns.shape[-1]
    final = np.asarray(np.prod(1.0 + returns, axis=-1))
    if not count:
        return np.full(final.shape, np.nan)
    return np.power(final, periods_per_year / count, out=np.full(final.shape, np.nan), where=final > 0) - 1.0


def tail_ratio(returns: Array) -> Array:
    """95th percentile over the size of the 5th; NaN unless the one is positive and the other negative."""
    if not returns.shape[-1]:
        return np.full(returns.shape[:-1], np.nan)
    low, high = np.quantile(returns, [0.05, 0.95], axis=-1)
    return _ratio(high, np.where(high > 0, -low, 0.0))


def positive_share(values: Array) -> Array:
    """Share of values above zero; NaN of nothing."""
    return mean((values > 0).astype(np.float64))


def profit_factor(pnl: Array) -> Array:
    """Sum of gains over sum of losses; infinite without a loss, NaN with neither."""
    gains = np.asarray(np.maximum(pnl, 0.0).sum(axis=-1))
    losses = np.asarray(-np.minimum(pnl, 0.0).sum(axis=-1))
    return np.where((losses == 0) & (gains > 0), np.inf, _ratio(gains, losses))
