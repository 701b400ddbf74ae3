"""What all trials of a market and a period say about the best of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pipeline.performance import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    probability_of_backtest_overfitting,
    sharpe_ratio,
)

__all__ = ["Looks"]

_COUNTED = ("complete", "pruned")


@dataclass(frozen=True)
class Looks:
    """Trials of all studies on one market, their periods overlapping one period.

    Attributes
    ----------
    symbol
        The market.
    first, last
        First and last session of the period.
    trials
        A row a trial: study, number, target, state, finished (UTC), seconds, sharpe (Sharpe ratio per session, within
        the period; NaN where no returns are known, or all are equal).
    trial_returns
        Returns by session, sessions × trials, float32: the columns are row labels of ``trials``. Of sessions that all
        its trials have. Where periods differ, it is the largest such matrix that is found by leaving out those of
        the shortest period first; those left out count all the same.
    proven
        Looks that other records prove, see :mod:`pipeline.tuning.records`.
    """

    symbol: str
    first: pd.Timestamp
    last: pd.Timestamp
    trials: pd.DataFrame
    trial_returns: pd.DataFrame
    proven: int = 0

    @classmethod
    def of(
        cls,
        symbol: str,
        first: pd.Timestamp,
        last: pd.Timestamp,
        trials: pd.DataFrame,
        blocks: Sequence[pd.DataFrame],
        *,
        proven: int = 0,
    ) -> "Looks":
        """From the table of trials, and their returns: a frame for those that share their sessions."""
        sharpe = pd.Series(math.nan, index=trials.index)
        for block in blocks:
            sharpe[block.columns] = [sharpe_ratio(block[name], periods_per_year=1) for name in block.columns]
        return cls(symbol, first, last, trials.assign(sharpe=sharpe), _common(blocks), proven)

    @property
    def count(self) -> int:
        """Looks: trials that showed something, complete or pruned; never fewer than other records prove."""
        return max(self.held, self.proven)

    @property
    def held(self) -> int:
        """Looks that the ledger holds. Trials that failed are none."""
        return int(self.trials["state"].isin(_COUNTED).sum())

    @property
    def sharpe_variance(self) -> float:
        """Variance (ddof 1) of the trials' Sharpe ratios per session; NaN where fewer than two are known."""
        return float(self.trials["sharpe"].var(ddof=1))

    @property
    def expected_best(self) -> float:
        """Sharpe ratio per session that the best of so many worthless trials is expected to show; NaN if unknown."""
        if self.count <= 1:
            return 0.0
        variance = self.sharpe_variance
        return (
            math.nan if math.isnan(variance) else expected_maximum_sharpe(trials=self.count, sharpe_variance=variance)
        )

    def deflated_sharpe(self, returns: ArrayLike) -> float:
        """Probability that the true Sharpe ratio is above 0, given that it is the best of all these trials.

        Allows for autocorrelated returns, as a summary's probabilistic Sharpe ratio does.

        Parameters
        ----------
        returns
            Returns of what was chosen, of all sessions, shape (n,).

        Returns
        -------
        float
            NaN where more than one trial was made and fewer than two have a Sharpe ratio: their variance is unknown.
        """
        if self.count <= 1:
            return deflated_sharpe_ratio(returns, trials=1, sharpe_variance=0.0, dependent=True)
        variance = self.sharpe_variance
        if math.isnan(variance):
            return math.nan
        return deflated_sharpe_ratio(returns, trials=self.count, sharpe_variance=variance, dependent=True)

    def overfitting(self, *, blocks: int = 16) -> float:
        """Probability of backtest overfitting by CSCV on ``trial_returns``.

        Returns
        -------
        float
            NaN with fewer than two trials, or fewer than two common sessions a block.
        """
        sessions, trials = self.trial_returns.shape
        if trials < 2 or sessions < 2 * blocks:
            return math.nan
        return probability_of_backtest_overfitting(self.trial_returns, blocks=blocks)

    def by_study(self) -> pd.DataFrame:
        """How much each study looked.

        Returns
        -------
        DataFrame
            A row a study, the earliest first: study (index), target, complete, pruned, failed, seconds, since, until.
        """
        names = ["complete", "pruned", "failed"]
        columns = {"target": "first", **dict.fromkeys(names, "sum"), "seconds": "sum", "since": "min", "until": "max"}
        states = {name: self.trials["state"].eq(name) for name in names}
        wide = self.trials.assign(**states, since=self.trials["finished"], until=self.trials["finished"])
        return wide.groupby("study").agg(columns).sort_values(["since", "target"])

    def sentence(self) -> str:
        """How many looks there were, in words."""
        where = f"{self.symbol} between {self.first:%F} and {self.last:%F}"
        if self.proven > self.held:
            return (
                f"Other records show {_some(self.proven, 'trial')} on {where}, but the ledger holds {self.held:,} (it "
                f"was lost or replaced), so {self.proven:,} are counted."
            )
        if not self.count:
            return f"No trial recorded on {where}."
        seen = self.trials[self.trials["state"].isin(_COUNTED)]
        pruned, failed = (int(self.trials["state"].eq(state).sum()) for state in ("pruned", "failed"))
        asides = [f"{pruned:,} of them pruned"] * bool(pruned) + [f"{failed:,} more failed and not counted"] * bool(
            failed
        )
        trials, studies = _some(self.count, "trial"), _some(seen["study"].nunique(), "study", "studies")
        return f"{trials} in {studies} recorded on {where}{''.join(', ' + aside for aside in asides)}."


def _some(count: int, one: str, several: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _common(blocks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Returns over common sessions: of the longest block, the longest two, …, the one with the most cells."""
    ordered = sorted(blocks, key=lambda block: (-len(block), block.index[0], block.columns[0]))
    best, most = 0, 0
    common, trials = pd.DatetimeIndex([], name="session"), 0
    sessions = common
    for taken, block in enumerate(ordered, start=1):
        common = pd.DatetimeIndex(block.index) if taken == 1 else common.intersection(block.index)
        trials += block.shape[1]
        if len(common) * trials > most:
            best, most, sessions = taken, len(common) * trials, common
    if not best:
        return pd.DataFrame(np.empty((0, 0), dtype=np.float32), index=sessions)
    return pd.concat([block.loc[sessions] for block in ordered[:best]], axis=1).sort_index(axis=1)
