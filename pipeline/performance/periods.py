"""Returns by calendar month and year, and the Sharpe ratio of moving windows."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.performance import kernels
from pipeline.performance.metrics import finite_values

__all__ = ["monthly_returns", "rolling_sharpe_ratio"]


def monthly_returns(returns: pd.Series) -> pd.DataFrame:
    """Compound daily returns by month, and by year.

    Parameters
    ----------
    returns
        Simple returns of all sessions as fractions, indexed by session.

    Returns
    -------
    DataFrame
        Fractions, a row a year (index ``year``), columns 1 to 12 and ``year``; NaN for months without a session. Each
        year is its months compounded, so a first or last year that is not whole says what the part of it made.
    """
    finite_values(returns)
    sessions = pd.DatetimeIndex(returns.index)
    frame = pd.DataFrame({"year": sessions.year, "month": sessions.month, "growth": 1.0 + returns.to_numpy(np.float64)})
    table = frame.pivot_table(index="year", columns="month", values="growth", aggfunc="prod")
    table = table.reindex(columns=range(1, 13)).astype(np.float64)
    table["year"] = table.prod(axis=1)
    table.columns.name = None
    return table - 1.0


def rolling_sharpe_ratio(returns: pd.Series, window: int, *, periods_per_year: float = 252) -> pd.Series:
    """Annualised Sharpe ratio of the last ``window`` sessions, at each session that has so many.

    Parameters
    ----------
    returns
        Simple returns of all sessions as fractions, indexed by session, shape (n,).
    window
        Sessions, at least 2.
    periods_per_year
        As of :func:`~pipeline.performance.metrics.sharpe_ratio`.

    Returns
    -------
    Series
        Shape (max(0, n − window + 1),); NaN where all returns of the window are equal, so on idle windows.
    """
    values = finite_values(returns)
    if len(values) < window:
        return pd.Series(dtype=np.float64, index=returns.index[:0], name="sharpe_ratio")
    windows: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(values, window)
    found = kernels.sharpe(windows, periods_per_year)
    return pd.Series(found, index=returns.index[window - 1 :], name="sharpe_ratio")
