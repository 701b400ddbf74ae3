"""Sums and pairs of a model's scores that can be recomputed for any resample of the sessions.

Sessions are resampled whole, in blocks, so that both candidates of a session, and what dependence there is between
sessions close in time, stay together.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.performance.uncertainty import block_length, resampling_positions

__all__ = ["RankedScores", "ScoreSample", "SessionResamples", "log_losses", "taken"]

Array = NDArray[np.float64]

_BATCH_CELLS = 2_000_000
_SMALLEST = np.finfo(np.float64).eps  # what scikit-learn moves scores of 0 and 1 to


def taken(scored: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the rows whose score reaches their threshold: the trades that the model takes."""
    return np.asarray(scored["score"].to_numpy(np.float64) >= scored["threshold"].to_numpy(np.float64))


def log_losses(score: Array, label: Array) -> Array:
    """−ln of the probability given to what happened, by row, in nats; 0 and 1 count as the nearest float to them."""
    chance = np.clip(score, _SMALLEST, 1 - _SMALLEST)
    return -np.where(label > 0, np.log(chance), np.log1p(-chance))


class SessionResamples:
    """Stationary-bootstrap resamples of whole sessions: how often each of them drew each session.

    Parameters
    ----------
    sessions
        Session of each row, shape (rows,), in any order.
    series
        What the rows say, shape (rows, k): the block length is the longest that the session sums of these ask for.
    replications, seed
        The same seed gives the same resamples.
    """

    def __init__(self, sessions: pd.Series, series: Array, *, replications: int, seed: int) -> None:
        dates, self.codes = np.unique(pd.DatetimeIndex(sessions).as_unit("ns").asi8, return_inverse=True)
        self.sessions = len(dates)
        # No longer blocks, as a summary's have: as long as a fold, they would weigh whole folds against each other.
        length = max(block_length(column) for column in self.session_sums(series).T)
        self._batches = [
            np.stack([np.bincount(row, minlength=self.sessions) for row in positions]).astype(np.uint16)
            for positions in resampling_positions(self.sessions, length, replications, seed)
        ]

    def session_sums(self, values: Array) -> Array:
        """Sums over the rows of each session, shape (sessions, k)."""
        sums = np.zeros((self.sessions, values.shape[1]))
        np.add.at(sums, self.codes, values)
        return sums

    def counts(self, cells_a_draw: int) -> Iterator[Array]:
        """Yield how often each session was drawn, shape (batch, sessions), in batches sized by the work per draw."""
        size = max(1, _BATCH_CELLS // max(1, cells_a_draw))
        for batch in self._batches:
            for first in range(0, len(batch), size):
                yield batch[first : first + size].astype(np.float64)


class RankedScores:
    """Scores in order, for counting the pairs of a winner and a loser that they put in the right order."""

    def __init__(self, score: Array, label: Array) -> None:
        self._order = np.argsort(score, kind="stable")
        ordered = score[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(score) else np.zeros(0, np.int64)
        self._won = label[self._order]
        self.ranks_any = len(self._starts) > 1

    def pairs(self, weights: Array) -> tuple[Array, Array]:
        """Pairs in the right order (equal scores count half) and all pairs, shape (k,) each.

        Parameters
        ----------
        weights
            How often each row counts, shape (k, rows).
        """
        if not len(self._starts):
            nothing = np.zeros(len(weights))
            return nothing, nothing
        ordered = weights[:, self._order]
        winners = np.add.reduceat(ordered * self._won, self._starts, axis=1)
        losers = np.add.reduceat(ordered * (1 - self._won), self._starts, axis=1)
        below = losers.cumsum(axis=1) - losers
        right = (winners * (below + losers / 2)).sum(axis=1)
        return right, winners.sum(axis=1) * losers.sum(axis=1)


class ScoreSample:
    """A model's scored rows, ready to be summed over all rows or over resamples."""

    def __init__(self, scored: pd.DataFrame) -> None:
        self.scored = scored
        self.score, self.label, self.net, self.multiple = (
            scored[name].to_numpy(np.float64) for name in ("score", "label", "net", "r_multiple")
        )
        self.taken = taken(scored).astype(np.float64)
        folds = scored["fold"].to_numpy(np.int64)
        self._pooled = RankedScores(self.score, self.label)
        self._folds = [
            (members, RankedScores(self.score[members], self.label[members]))
            for members in (np.flatnonzero(folds == fold) for fold in np.unique(folds))
        ]

    @property
    def sessions(self) -> int:
        """Number of sessions."""
        return len(np.unique(self.scored["session"].to_numpy()))

    @property
    def ranks_any(self) -> bool:
        """Return True if two rows of one fold differ in score."""
        return any(ranked.ranks_any for _, ranked in self._folds)

    @property
    def has_pairs_within_folds(self) -> bool:
        """Return True if some fold holds both a winner and a loser."""
        return any(0 < self.label[members].sum() < len(members) for members, _ in self._folds)

    @property
    def series(self) -> Array:
        """Return the series that a bootstrap's block length is chosen from, shape (rows, 3)."""
        loss = log_losses(self.score, self.label)
        return np.stack([self.label - self.label.mean(), loss - loss.mean(), self.taken * self.net], axis=1)

    def resamples(self, *, replications: int, seed: int) -> SessionResamples:
        """Resamples of these rows' sessions."""
        return SessionResamples(self.scored["session"], self.series, replications=replications, seed=seed)

    def values(self) -> dict[str, float]:
        """Every statistic of all rows; NaN where it does not exist."""
        sums = self._columns.sum(axis=0)[None]
        return {name: float(value[0]) for name, value in self._statistics(sums, np.ones((1, len(self.score)))).items()}

    def resampled(self, resamples: SessionResamples) -> dict[str, Array]:
        """Every statistic of every resample, shape (replications,); the rows are those the resamples were made of."""
        by_session = resamples.session_sums(self._columns)
        parts = [
            self._statistics(counts @ by_session, counts[:, resamples.codes])
            for counts in resamples.counts(len(self.score))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @cached_property
    def _columns(self) -> Array:
        loss = log_losses(self.score, self.label)
        squares = np.square(self.score - self.label)
        every = (np.ones(len(self.score)), self.label, self.score, loss, squares, self.multiple)
        chosen = (self.taken, self.taken * self.label, self.taken * self.net, self.taken * self.multiple)
        return np.stack([*every, *chosen], axis=1)

    def _statistics(self, sums: Array, weights: Array) -> dict[str, Array]:
        rows, won, score, loss, squares, multiple, trades, trades_won, net, trades_multiple = sums.T
        right, pairs = self._pooled.pairs(weights)
        right_inside, pairs_inside = np.zeros(len(weights)), np.zeros(len(weights))
        for members, ranked in self._folds:
            more_right, more = ranked.pairs(weights[:, members])
            right_inside += more_right
            pairs_inside += more
        share, precision = 100 * _over(won, rows), 100 * _over(trades_won, trades)
        mean_multiple = _over(trades_multiple, trades)
        return {
            "share_above_zero": share,
            "mean_score": 100 * _over(score, rows),
            "log_loss": _over(loss, rows),
            "brier_score": _over(squares, rows),
            "auc": _over(right, pairs),
            "auc_within_folds": _over(right_inside, pairs_inside),
            "trades_taken": trades,
            "precision": precision,
            "precision_gain": precision - share,
            "net": net,
            "net_a_trade": _over(net, trades),
            "mean_r": mean_multiple,
            "mean_r_gain": mean_multiple - _over(multiple, rows),
        }


def _over(numerator: Array, denominator: Array) -> Array:
    """Quotient; NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
