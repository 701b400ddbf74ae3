"""Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

Bailey, Borwein, López de Prado & Zhu (2017), "The Probability of Backtest Overfitting", Journal of Computational
Finance 20(4). The periods are cut into blocks; for each way to take half of them, the trial with the best Sharpe ratio
there is looked up in the other half. If choosing means anything, it ranks high there too.
"""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ConfigurationError, DataError

__all__ = ["overfitting_logits", "probability_of_backtest_overfitting"]

_MOST_BLOCKS = 20  # 184,756 halves
_BATCH_CELLS = 2_000_000
_ROUNDING = 1e-12


def probability_of_backtest_overfitting(trial_returns: ArrayLike | pd.DataFrame, *, blocks: int = 16) -> float:
    """Share of splits in which the best trial in sample does no better than the median out of sample.

    Parameters
    ----------
    trial_returns
        Returns of every trial over the same periods, shape (periods, trials).
    blocks
        Even number of blocks of consecutive periods.

    Returns
    -------
    float
        About 0.5 where the trials are noise, about 0 where one is truly better, towards 1 where what is best in one
        half is worst in the other.
    """
    return float((overfitting_logits(trial_returns, blocks=blocks) <= 0).mean())


def overfitting_logits(trial_returns: ArrayLike | pd.DataFrame, *, blocks: int = 16) -> NDArray[np.float64]:
    """Logit of the relative rank out of sample of the trial that is best in sample, a value a split.

    Parameters
    ----------
    trial_returns
        Returns of every trial over the same periods, shape (periods, trials).
    blocks
        Even number of blocks of consecutive periods, S; where the periods don't divide evenly, the first blocks hold
        one more.

    Returns
    -------
    ndarray
        Shape (S choose S/2,), in the order of ``itertools.combinations(range(S), S // 2)`` of the in-sample blocks:
        ln(ω / (1 − ω)) with ω = rank / (trials + 1), rank 1 the worst, equal ones sharing their mean rank.

    Notes
    -----
    The Sharpe ratio of a half comes from sums over its blocks, so a split costs a few additions a trial. A trial
    without variance in a half (always idle) has a Sharpe ratio of 0 there, or ±infinity where it earned or lost; the
    first of several equal best ones is taken.

    Raises
    ------
    ConfigurationError
        If ``blocks`` is odd, or outside 2 to 20.
    DataError
        With fewer than two trials, fewer than two periods a block, or a value that is missing or infinite.
    """
    returns = np.asarray(trial_returns, dtype=np.float64)
    _check(returns, blocks)
    periods, trials = returns.shape
    level = returns.mean(axis=0)
    centred = returns - level  # so that the squares don't drown the variance
    parts = np.array_split(np.arange(periods), blocks)
    edges = np.array([part[0] for part in parts])
    counts = np.array([len(part) for part in parts], dtype=np.float64)
    sums = np.add.reduceat(centred, edges, axis=0)
    squares = np.add.reduceat(np.square(centred), edges, axis=0)

    logits = np.empty(comb(blocks, blocks // 2))
    chosen = np.zeros((len(logits), blocks))
    for row, held in enumerate(combinations(range(blocks), blocks // 2)):
        chosen[row, list(held)] = 1.0
    batch = max(1, _BATCH_CELLS // trials)
    for first in range(0, len(logits), batch):
        inside = chosen[first : first + batch]
        best = _sharpe(inside, counts, sums, squares, level).argmax(axis=1)
        outside = _sharpe(1.0 - inside, counts, sums, squares, level)
        own = np.take_along_axis(outside, best[:, None], axis=1)
        rank = (outside < own).sum(axis=1) + ((outside == own).sum(axis=1) + 1) / 2
        relative = rank / (trials + 1)
        logits[first : first + batch] = np.log(relative / (1 - relative))
    return logits


def _sharpe(
    chosen: NDArray[np.float64],
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
    level: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sharpe ratio per period over the chosen blocks, shape (splits, trials)."""
    count = (chosen @ counts)[:, None]
    average = chosen @ sums / count
    scatter = chosen @ squares - count * np.square(average)
    scale = np.square(level) + squares.sum(axis=0) / counts.sum()
    deviation = np.sqrt(np.where(scatter > _ROUNDING * count * scale, scatter, 0.0) / (count - 1))
    average = average + level
    average = np.where(np.abs(average) > _ROUNDING * np.sqrt(scale), average, 0.0)
    flat = np.where(average == 0, 0.0, np.copysign(np.inf, average))
    return np.divide(average, deviation, out=flat, where=deviation > 0)


def _check(returns: NDArray[np.float64], blocks: int) -> None:
    if blocks % 2 or not 2 <= blocks <= _MOST_BLOCKS:
        raise ConfigurationError(f"blocks is {blocks}; it must be an even number from 2 to {_MOST_BLOCKS}")
    if returns.ndim != 2 or returns.shape[1] < 2:
        raise DataError(f"trial returns have shape {returns.shape}; pass (periods, trials) with at least 2 trials")
    if len(returns) < 2 * blocks:
        raise DataError(f"trial returns hold {len(returns)} periods; {blocks} blocks need at least {2 * blocks}")
    if len(wrong := np.argwhere(~np.isfinite(returns))):
        period, trial = wrong[0]
        raise DataError(
            f"trial returns hold {len(wrong)} missing or infinite value(s), the first in period {period} of trial "
            f"{trial}; an idle session is a 0"
        )
