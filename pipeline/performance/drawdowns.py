"""Falls of the equity below its peak: the series, the largest, and the worst ones apart from each other."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.performance.metrics import finite_values

__all__ = ["Drawdown", "drawdown_series", "maximum_drawdown", "worst_drawdowns"]


@dataclass(frozen=True)
class Drawdown:
    """The largest fall of the equity below its peak.

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
    """The largest drawdown of an equity curve, marked at every bar.

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


def worst_drawdowns(equity: pd.Series, *, initial: float | None = None, count: int = 10) -> pd.DataFrame:
    """List the largest drawdowns, each from a peak until the equity is back there, so that none overlap.

    Parameters
    ----------
    equity, initial
        As of :func:`maximum_drawdown`.
    count
        How many at most.

    Returns
    -------
    DataFrame
        The largest first: ``start`` (last bar at the peak; the first bar where the fall began with it), ``trough``,
        ``recovery`` (first bar back at the peak; NaT where there is none yet), ``depth`` (fraction of the peak, > 0),
        ``amount`` (money below the peak at the trough), ``length`` (from start to recovery, or to the last bar).
    """
    values, peak = _running_peak(equity, initial)
    under = values < peak
    edges = np.flatnonzero(np.diff(under, prepend=False, append=False))
    begins, ends = edges[::2], edges[1::2]
    depths = (peak - values) / peak if len(values) else values
    index = pd.DatetimeIndex(equity.index)
    rows = []
    for begin, end in zip(begins, ends, strict=True):
        trough = begin + int(depths[begin:end].argmax())
        recovery = index[end] if end < len(index) else pd.NaT
        start = index[max(begin - 1, 0)]
        length = index[min(end, len(index) - 1)] - start
        rows.append((start, index[trough], recovery, depths[trough], peak[trough] - values[trough], length))
    columns = ["start", "trough", "recovery", "depth", "amount", "length"]
    found = pd.DataFrame(rows, columns=columns)
    return found.sort_values("depth", ascending=False, kind="stable").head(count).reset_index(drop=True)


def _running_peak(equity: pd.Series, initial: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = finite_values(equity, "equity")
    peak = np.maximum.accumulate(values)
    if initial is not None:
        peak = np.maximum(peak, initial)
    if len(peak) and peak[0] <= 0:
        raise DataError(f"equity starts at {peak[0]}; a drawdown needs a capital above 0")
    return values, peak
