"""Each book's part in a desk's result: P&L, risk, drawdowns, and how far the books move together.

All of it goes by the daily P&L of the books in money, whose rows sum to the desk's, so the parts sum to the whole.
Returns on a changing equity would not.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.backtest import DeskResult
from pipeline.performance import kernels
from pipeline.performance.drawdowns import worst_drawdowns
from pipeline.performance.metric_table import MetricTable
from pipeline.performance.summary import add_daily, add_trade_results

__all__ = [
    "FEWEST_SHARED",
    "Correlation",
    "Diversification",
    "book_summary",
    "contribution",
    "correlation",
    "diversification",
    "drawdown_parts",
    "session_drawdowns",
    "shared_correlation",
]

FEWEST_SHARED = 3
"""Sessions that a correlation takes: any two correlate fully."""
_ROUNDING = 1e-9  # of the books' deviations: below it the books cancel each other out


def contribution(result: DeskResult) -> pd.DataFrame:
    """Each book's part in the desk's profit and risk.

    Returns
    -------
    DataFrame
        Indexed by book:

        - trades, commission: as of its trades.
        - pnl: profit or loss, positions still open at their last close. It sums to the desk's.
        - pnl_share: fraction of the desk's P&L; sums to 1. Negative for a book that lost where the desk gained, and
          above 1 where others lost; NaN where the desk's P&L is 0.
        - worst_session, best_session: lowest and highest daily P&L; NaN without sessions.
        - deviation: standard deviation of the daily P&L (ddof 1).
        - sharpe_ratio: annualised, from the daily P&L of all sessions of the desk (Sharpe 1994).
        - risk_share: covariance of the book's daily P&L with the desk's over the desk's variance; sums to 1. NaN where
          the desk's P&L is constant.

    Notes
    -----
    Standard deviation is homogeneous of degree one in the sizes of the books, so by Euler's theorem it is the sum of
    size × derivative, which is covariance over standard deviation: Litterman (1996), "Hot Spots and Hedges", The
    Journal of Portfolio Management 22; Tasche (1999), "Risk Contributions and Performance Measurement". A book of
    negative share is a hedge: a little more of it would have lowered the desk's risk.
    """
    days, grouped = result.daily_pnl, result.trades.groupby("book")
    pnl, whole = days.sum(), days.sum(axis=1)
    total = float(pnl.sum())
    return pd.DataFrame(
        {
            "trades": grouped.size().reindex(days.columns, fill_value=0),
            "pnl": pnl,
            "pnl_share": pnl / total if total else np.nan,
            "commission": grouped["commission"].sum().reindex(days.columns, fill_value=0.0),
            "worst_session": days.min(),
            "best_session": days.max(),
            "deviation": days.std(),
            "sharpe_ratio": [float(kernels.sharpe(days[book].to_numpy(), result.periods_per_year)) for book in days],
            "risk_share": days.apply(lambda book: book.cov(whole)) / whole.var() if _varies(days) else np.nan,
        }
    )


def _varies(days: pd.DataFrame) -> bool:
    """Tell whether the desk's daily P&L varies by more than rounding."""
    return bool(days.sum(axis=1).std() > _ROUNDING * days.std().sum())


def correlation(daily_pnl: pd.DataFrame) -> pd.DataFrame:
    """Pearson correlation of the books' daily P&L over all sessions, idle ones included, books × books.

    NaN for a book whose P&L is constant, and for fewer than :data:`FEWEST_SHARED` sessions.
    """
    return daily_pnl.corr(min_periods=FEWEST_SHARED)


@dataclass(frozen=True)
class Correlation:
    """Correlations and the sessions they are of, books × books each."""

    coefficients: pd.DataFrame
    sessions: pd.DataFrame


def shared_correlation(daily_pnl: pd.DataFrame) -> Correlation:
    """Correlation of the books' daily P&L over the sessions in which both made or lost money.

    Books that seldom trade are idle together most of the time, which pulls :func:`correlation` towards zero. This says
    what happens when both are in the market. NaN with fewer than :data:`FEWEST_SHARED` such sessions, or where either
    P&L is the same in all of them.
    """
    active = daily_pnl.ne(0).astype(int)
    return Correlation(daily_pnl.where(daily_pnl != 0).corr(min_periods=FEWEST_SHARED), active.T @ active)


@dataclass(frozen=True)
class Diversification:
    """How much the books' P&L evens out.

    Attributes
    ----------
    deviation
        Standard deviation of the desk's daily P&L (ddof 1).
    summed
        Sum of the books' standard deviations, what the desk's would be if all moved in step.
    uncorrelated
        Root of the sum of the books' variances, what it would be if no two were correlated.
    ratio, uncorrelated_ratio
        The first and the third over the second: 1 for no diversification; NaN where no P&L varies. The inverse of
        ``ratio`` is the diversification ratio of Choueifaty & Coignard (2008), "Toward Maximum Diversification", The
        Journal of Portfolio Management 35.
    """

    deviation: float
    summed: float
    uncorrelated: float

    @property
    def ratio(self) -> float:
        """Deviation over the summed ones."""
        return self.deviation / self.summed if self.summed > 0 else float("nan")

    @property
    def uncorrelated_ratio(self) -> float:
        """What the ratio would be if no two books were correlated."""
        return self.uncorrelated / self.summed if self.summed > 0 else float("nan")


def diversification(daily_pnl: pd.DataFrame) -> Diversification:
    """Measure how much the daily P&L of the books evens out."""
    deviations = daily_pnl.std()
    return Diversification(
        deviation=float(daily_pnl.sum(axis=1).std()),
        summed=float(deviations.sum()),
        uncorrelated=float(np.sqrt(np.square(deviations).sum())),
    )


def session_drawdowns(result: DeskResult, *, count: int = 5) -> pd.DataFrame:
    """List the desk's largest drawdowns by its equity at each session's end, none overlapping another.

    Within sessions equity may have fallen deeper: a summary's ``maximum_drawdown`` has every bar.

    Returns
    -------
    DataFrame
        The largest first: ``start`` (last session at the peak; NaT where the peak is the initial capital), ``trough``,
        ``recovery`` (NaT where there is none yet), ``depth`` (fraction of the peak, > 0; above 1 where more than all
        was lost), ``amount`` (money below the peak at the trough), ``sessions`` (from the peak to recovery, or to the
        last session).
    """
    equity = result.session_equity
    before = pd.DatetimeIndex(equity.index[:1]) - pd.Timedelta(days=1)
    curve = pd.concat([pd.Series(result.initial_capital, index=before), equity]).astype(float)
    worst = worst_drawdowns(curve, count=count)
    row = {session: place for place, session in enumerate(curve.index)}
    ends = worst["recovery"].fillna(curve.index[-1]) if len(curve) else worst["recovery"]
    lengths = [row[end] - row[start] for start, end in zip(worst["start"], ends, strict=True)]
    starts = pd.to_datetime(worst["start"]).where(~worst["start"].isin(before))
    return worst.assign(start=starts, sessions=lengths).drop(columns="length")


def drawdown_parts(result: DeskResult, drawdowns: pd.DataFrame) -> pd.DataFrame:
    """P&L of each book from the peak to the trough of each drawdown.

    Parameters
    ----------
    result
        Of a desk.
    drawdowns
        From :func:`session_drawdowns`, shape (n, columns).

    Returns
    -------
    DataFrame
        Money, shape (n, books), indexed as the drawdowns; a row sums to minus the drawdown's ``amount``.
    """
    days = result.daily_pnl
    rows = []
    for fall in drawdowns.itertuples():
        within = days.loc[: fall.trough]
        rows.append((within if pd.isna(fall.start) else within[within.index > fall.start]).sum())
    return pd.DataFrame(rows, index=drawdowns.index, columns=days.columns, dtype=np.float64)


def book_summary(result: DeskResult, book: str, *, seed: int = 0, currency: str = "$") -> pd.DataFrame:
    """Metrics of one book's part on a desk with their uncertainty, as :func:`~pipeline.performance.summary` gives them.

    A book on a desk has no equity of its own, so nothing here is a return: the Sharpe ratio is that of its daily P&L
    over all sessions of the desk, and the drawdown, in money, that of its P&L summed from session to session.

    Parameters
    ----------
    result
        From :func:`pipeline.backtest.simulate_desk`.
    book
        One of its books.
    seed, currency
        As of ``summary``.

    Returns
    -------
    DataFrame
        As of ``summary``: sharpe_ratio, probabilistic_sharpe_ratio, sessions, pnl, maximum_drawdown_amount,
        commission, trades, win_rate, profit_factor, expectancy, expectancy_r, average_trade.
    """
    days = result.daily_pnl[book].to_numpy(np.float64)
    ledger, year = result.ledger(book), result.periods_per_year
    made = np.append(0.0, days.cumsum())
    table = MetricTable()
    sharpe = {"sharpe_ratio": (lambda p: kernels.sharpe(p, year), "", f"daily P&L of all sessions × √{year}")}
    add_daily(table, days, sharpe, len(ledger.trades), seed)
    table.add("pnl", made[-1], currency, "after all costs, open positions at their last close")
    fall = float((np.maximum.accumulate(made) - made).max())
    table.add("maximum_drawdown_amount", fall, currency, "of the book's P&L at each session's end")
    table.add("commission", float(ledger.trades["commission"].sum()), currency, "total, both sides")
    add_trade_results(table, ledger.trades, np.full(len(ledger.trades), ledger.instrument.tick_value), seed, currency)
    return table.frame()
