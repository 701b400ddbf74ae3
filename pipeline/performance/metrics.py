"""Return and risk of a backtest, each metric as one number.

Ratios come from the returns of **all** sessions, idle ones included, never from returns per trade; what is about
trades comes from their profit or loss after commission. Definitions, units and limits: ``docs/statistics.md``.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import DataError
from pipeline.performance import kernels

__all__ = [
    "Drawdown",
    "annual_return",
    "drawdown_series",
    "expectancy",
    "exposure",
    "maximum_drawdown",
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


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall of the equity below its peak.

    Attributes
    ----------
    amount
        Largest fall from a peak in money, ≥ 0.
    fraction
        Largest fall as a fraction of the peak it fell from, ≥ 0; it need not be the same fall as ``amount``.
    start, trough, recovery
        Of the fall with the largest fraction: the last bar at its peak, its lowest bar, and the first bar back at the
        peak; None where there was no fall, or no recovery yet. ``start`` is None also where the fall began with the
        first bar.
    end
        ``recovery``, or the last bar where there is none yet; None where there was no fall.
    """

    amount: float
    fraction: float
    start: pd.Timestamp | None = None
    trough: pd.Timestamp | None = None
    recovery: pd.Timestamp | None = None
    end: pd.Timestamp | None = None


def drawdown_series(equity: pd.Series, *, initial: float | None = None) -> pd.Series:
    """Fall below the running peak as a fraction of it, ≥ 0, indexed as the equity.

    ``initial`` is the capital before the first bar, itself the first peak.
    """
    values, peak = _running_peak(equity, initial)
    return pd.Series((peak - values) / peak, index=equity.index, name="drawdown")


def maximum_drawdown(equity: pd.Series, *, initial: float | None = None) -> Drawdown:
    """The deepest drawdown of an equity curve, marked at every bar.

    Parameters
    ----------
    equity
        Account value at each bar's close, positive at its peaks, indexed by timestamp.
    initial
        Capital before the first bar, itself the first peak.
    """
    if not len(equity):
        return Drawdown(float("nan"), float("nan"))
    values, peak = _running_peak(equity, initial)
    fall = (peak - values) / peak
    trough = int(fall.argmax())
    if fall[trough] == 0:
        return Drawdown(0.0, 0.0)
    at_peak = np.flatnonzero(values[:trough] == peak[trough])
    back = np.flatnonzero(values[trough:] >= peak[trough])
    index = equity.index
    recovery = index[trough + back[0]] if len(back) else None
    return Drawdown(
        amount=float((peak - values).max()),
        fraction=float(fall[trough]),
        start=index[at_peak[-1]] if len(at_peak) else None,
        trough=index[trough],
        recovery=recovery,
        end=index[-1] if recovery is None else recovery,
    )


def _running_peak(equity: pd.Series, initial: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = finite_values(equity, "equity")
    peak = np.maximum.accumulate(values)
    if initial is not None:
        peak = np.maximum(peak, initial)
    if len(peak) and peak[0] <= 0:
        raise DataError(f"equity starts at {peak[0]}; a drawdown needs a capital above 0")
    return values, peak
