"""Scores of training rows by models that did not learn from them, for calibration, thresholds and stacks.

A model of the other folds expects what those had: where a fold holds more ones, the others hold fewer, and its scores
lie lower. Put together as they are, such scores run against the labels although nobody knows anything, the more so the
less a model dares (Parker, Günter and Bedo 2007; Perlich and Świrszcz 2010). Taking out the level of what each model
learned from turns that into its opposite. So what is put together here is what a model says of a row beyond what it
says of the row's fold on average: its evidence. No label of the fold is in it, and its mean is the same in all folds.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.errors import DataError
from pipeline.learning.calibration import log_odds
from pipeline.learning.models.fit_options import FitOptions
from pipeline.learning.models.rows import TrainingRows

__all__ = ["at_level", "evidence_of", "inner_folds", "level_of", "out_of_fold_evidence"]

Positions = NDArray[np.int64]
Values = NDArray[np.float64]


class Scorer(Protocol):
    """A model that can be fitted and gives scores."""

    def fit(self, rows: TrainingRows, options: FitOptions) -> Self:
        """Learn from rows."""

    def predict_proba(self, features: pd.DataFrame) -> Values:
        """Score rows, shape (n,)."""


def inner_folds(rows: TrainingRows, folds: int, held_out: int = 1) -> Iterator[tuple[Positions, Positions]]:
    """Positions (train, test) of every choice of ``held_out`` among ``folds`` folds in order of time, purged.

    All rows here are training rows of one fit, so learning from those after a fold is not look-ahead: what the fit is
    judged on comes after all of them.

    Raises
    ------
    DataError
        If a choice leaves nothing to learn from, or rows of one class only: says what to ask for instead.
    """
    from pipeline.learning.splits import CombinatorialPurged

    try:
        for train, test in CombinatorialPurged(folds, held_out).split(rows.outcome):
            label = rows.label[train]
            if (label == label[0]).all():
                raise DataError(f"all {len(label)} rows beside one of them have the label {label[0]:.0f}")
            yield train, test
    except DataError as error:
        raise DataError(
            f"{len(rows)} training rows can't be cut into {folds} inner folds (calibration_folds): {error}; ask for "
            "fewer, or for no calibration"
        ) from error


def level_of(scores: Values, weight: Values) -> Values:
    """Weighted mean of the scores' log-odds over rows; shape (n, ...) in, (...) out."""
    share = (weight / weight.sum()).reshape(-1, *[1] * (scores.ndim - 1))
    return (log_odds(scores) * share).sum(axis=0)


def evidence_of(scores: Values, weight: Values) -> Values:
    """Log-odds of the scores of one fold beyond their level, shape as given."""
    return log_odds(scores) - level_of(scores, weight)


def at_level(evidence: Values, level: Values) -> Values:
    """Scores of evidence beyond a level."""
    return np.asarray(expit(evidence + level), dtype=np.float64)


def out_of_fold_evidence(make: Callable[[], Scorer], rows: TrainingRows, folds: int, options: FitOptions) -> Values:
    """Return the evidence of a model of the other folds on each row, beyond the row's fold's level, in log-odds.

    The other folds are purged of all whose label's life meets the row's fold.

    Parameters
    ----------
    make
        A fresh, unfitted model, not calibrated.
    rows
        Training rows of one fit and nothing else, shape (n, ...).
    folds
        In how many parts the rows are cut by time.
    options
        Of the fit all this belongs to.

    Returns
    -------
    ndarray of float64
        Shape (n,).

    Raises
    ------
    DataError
        As :func:`inner_folds`.
    """
    evidence = np.full(len(rows), np.nan)
    for number, (train, test) in enumerate(inner_folds(rows, folds), 1):
        model = make().fit(rows.take(train), options.inner(f"inner fold {number} of {folds}"))
        evidence[test] = evidence_of(model.predict_proba(rows.features.iloc[test]), rows.weight[test])
    return evidence
