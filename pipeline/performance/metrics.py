"""Return and risk of a backtest, each metric as one number.

Ratios come from the returns of **all** sessions, idle ones included, never from returns per trade; what is about
trades comes from their profit or loss after commission. Definitions, units and limits: ``docs/statistics.md``.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import DataError
from pipeline.performance import kernels

__all__ = [
    "annual_return",
    "expectancy",
    "expected_longest_run",
    "exposure",
    "longest_run",
    "profit_factor",
    "sharpe_ratio",
    "sortino_ratio",
    "tail_ratio",
    "total_return",
    "turnover",
    "win_rate",
]


def finite_values(values: ArrayLike, name: str = "returns") -> NDArray[np.float64]:
    """One-dimensional finite float64 values, shape (n,).

    Raises
    ------
    DataError
        If there is more than one dimension, or a value is missing or infinite.
    """
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        values = values.iloc[:, 0]
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be numbers: {error}") from error
    if array.ndim != 1:
        raise DataError(f"{name} have shape {array.shape}; pass one series, of shape (n,)")
    if len(wrong := np.flatnonzero(~np.isfinite(array))):
        place = values.index[wrong[0]] if isinstance(values, pd.Series) else f"position {wrong[0]}"
        raise DataError(
            f"{name} hold {len(wrong)} missing or infinite value(s), the first at {place}; "
            "an idle session is a 0, and what is unknown must be left out"
        )
    return array


def sharpe_ratio(returns: ArrayLike, *, periods_per_year: float = 252) -> float:
    """Annualised Sharpe ratio: mean over standard deviation, times √periods.

    Parameters
    ----------
    returns
        Simple returns a period as fractions, of **all** periods (idle ones are 0), shape (n,).
    periods_per_year
        252 for exchange sessions, 365 for markets that never close, 1 for the ratio per period.

    Returns
    -------
    float
        NaN with fewer than two returns, or where all are equal: no risk was measured, so none is divided by.

    Notes
    -----
    The standard deviation has ddof = 1; no risk-free rate is taken off, as a futures position is self-financing
    (Sharpe 1994, "The Sharpe Ratio", of a differential return).
    """
    return float(kernels.sharpe(finite_values(returns), periods_per_year))


def sortino_ratio(returns: ArrayLike, *, periods_per_year: float = 252) -> float:
    """Annualised Sortino ratio: mean over downside deviation about 0, times √periods.

    The downside deviation is √mean(min(r, 0)²) over **all** periods, gains counted as 0 (Sortino & Price 1994), not
    the standard deviation of the losing ones. NaN without a negative return.
    """
    return float(kernels.sortino(finite_values(returns), periods_per_year))


def total_return(returns: ArrayLike) -> float:
    """Compounded return over all periods, as a fraction; 0 of nothing."""
    return float(kernels.compound(finite_values(returns)))


def annual_return(returns: ArrayLike, *, periods_per_year: float = 252) -> float:
    """Compound annual growth rate (CAGR), as a fraction; NaN of nothing, or where all was lost."""
    return float(kernels.growth(finite_values(returns), periods_per_year))


def tail_ratio(returns: ArrayLike) -> float:
    """95th percentile of the returns over the size of the 5th; NaN unless the one is positive and the other negative.

    A strategy that is idle on most sessions has a zero at one percentile or both, and so no tail ratio.
    """
    return float(kernels.tail_ratio(finite_values(returns)))


def win_rate(pnl: ArrayLike) -> float:
    """Share of trades with a profit after commission, as a fraction; a trade of exactly 0 is not a win."""
    return float(kernels.positive_share(finite_values(pnl, "pnl")))


def profit_factor(pnl: ArrayLike) -> float:
    """Sum of the gains over the sum of the losses; infinite without a loss, NaN with neither."""
    return float(kernels.profit_factor(finite_values(pnl, "pnl")))


def expectancy(values: ArrayLike) -> float:
    """Mean result per trade, in the unit given: money for P&L, R for R multiples; NaN without trades."""
    return float(kernels.mean(finite_values(values, "trade results")))


def longest_run(hits: ArrayLike) -> int:
    """Length of the longest unbroken run of true values; 0 of none."""
    edges = np.flatnonzero(np.diff(np.asarray(hits, dtype=bool), prepend=False, append=False))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def expected_longest_run(count: int, probability: float) -> float:
    """Approximate the expected longest run of hits in independent trials.

    ``log(n (1 − p)) / log(1 / p) + γ / log(1 / p) − ½`` (Schilling 1990, "The Longest Run of Heads", The College
    Mathematics Journal 21). NaN unless 0 < p < 1 and more than one miss is expected.
    """
    if not 0 < probability < 1 or count * (1 - probability) <= 1:
        return float("nan")
    rate = -np.log(probability)
    return float((np.log(count * (1 - probability)) + np.euler_gamma) / rate - 0.5)


def exposure(timestamps: pd.DatetimeIndex, entries: pd.DatetimeIndex, exits: pd.DatetimeIndex) -> float:
    """Share of bars in which a position was held at any moment, as a fraction; NaN without bars.

    Parameters
    ----------
    timestamps
        Opens of all bars, increasing, shape (n,).
    entries, exits
        Opens of the bars in which each position was entered and left, both of which count, shape (trades,).
        Bars in which several positions were held count once.
    """
    if not len(timestamps):
        return float("nan")
    bars = timestamps.as_unit("ns").asi8
    change = np.zeros(len(bars) + 1, dtype=np.int64)
    np.add.at(change, np.searchsorted(bars, entries.as_unit("ns").asi8, side="left"), 1)
    np.add.at(change, np.searchsorted(bars, exits.as_unit("ns").asi8, side="right"), -1)
    return float((change.cumsum()[:-1] > 0).mean())


def turnover(traded_notional: float, average_equity: float, years: float) -> float:
    """Times per year that the account's value was traded, both sides counted; NaN without equity or time."""
    if not (average_equity > 0 and years > 0):
        return float("nan")
    return traded_notional / average_equity / years
