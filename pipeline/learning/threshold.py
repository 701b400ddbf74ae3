"""A threshold from money: which out-of-fold score would have earned most."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

__all__ = ["LEAST_TRADES", "NO_TRADES", "tune_threshold"]

LEAST_TRADES = 20
NO_TRADES = float(np.nextafter(1.0, 2.0))
"""The least threshold that no score reaches."""


def tune_threshold(scores: NDArray[np.float64], net: NDArray[np.float64], *, least_trades: int = LEAST_TRADES) -> float:
    """The threshold that parts off the rows which together net most, one contract each.

    A row is traded where its score is at or above the threshold.

    Parameters
    ----------
    scores
        Out-of-fold scores of training rows, 0 to 1, shape (n,): each by a model that did not learn from the row.
    net
        What each row's trade made, money for one contract after costs, shape (n,).
    least_trades
        A threshold that fewer rows reach is luck and is not considered.

    Returns
    -------
    float
        Halfway between two neighbouring scores, so that no training score lies on it; of several equally good, the
        highest. :data:`NO_TRADES` where no threshold with enough trades made money: trading nothing then did better.

    Raises
    ------
    DataError
        For a score that is not a number, or not as many scores as results.
    """
    if scores.shape != net.shape:
        raise DataError(f"there are {len(scores)} scores and {len(net)} results; give one of each per row")
    if not (np.isfinite(scores).all() and np.isfinite(net).all()):
        raise DataError("a score or a result to tune the threshold on is not a number; leave such rows out")
    levels, level_of = np.unique(scores, return_inverse=True)
    trades = np.bincount(level_of, minlength=len(levels))[::-1].cumsum()[::-1]  # with a score of that level or more
    money = np.bincount(level_of, net, minlength=len(levels))[::-1].cumsum()[::-1]
    below = np.concatenate([[0.0], levels[:-1]])
    between = below + (levels - below) / 2
    # Between two neighbouring floats lies nothing: half of the way may round to the lower one, which is not to pass.
    between = np.where(between > below, between, levels)
    usable = trades >= least_trades
    if not usable.any() or money[usable].max() <= 0:
        return NO_TRADES
    best = np.flatnonzero(usable & (money == money[usable].max()))
    return float(between[best[-1]])
