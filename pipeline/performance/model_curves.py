"""Scores against outcomes over the whole range of scores: calibration, and the result of each threshold."""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.performance.score_samples import ScoreSample
from pipeline.performance.scored import require_scored
from pipeline.performance.summary import FEWEST_TRADES
from pipeline.performance.uncertainty import quantile_interval

__all__ = ["calibration_curve", "threshold_curve"]

Array = NDArray[np.float64]

_LEVEL = 0.95
_REPLICATIONS = 2000
_MOST_POINTS = 101


def calibration_curve(scored: pd.DataFrame, *, bins: int = 10) -> pd.DataFrame:
    """Share of trades above zero by score: what probabilities were worth.

    Parameters
    ----------
    scored
        As of :func:`~pipeline.performance.classification.model_summary`.
    bins
        Most bins. They hold about as many trades each, at least
        :data:`~pipeline.performance.summary.FEWEST_TRADES`, and equal scores are never parted, so there may be fewer.

    Returns
    -------
    DataFrame
        A row a bin, by rising score: ``trades``, ``score_low``, ``score_high``, ``score`` (mean), ``share`` above zero,
        and ``low``, ``high``: its 95 % interval after Wilson (1927), which takes trades as independent. Empty without
        rows.
    """
    if bins < 1:
        raise ConfigurationError(f"bins is {bins}; ask for at least 1")
    rows = require_scored(scored)
    order = np.argsort(rows["score"].to_numpy(np.float64), kind="stable")
    score, label = rows["score"].to_numpy(np.float64)[order], rows["label"].to_numpy(np.float64)[order]
    records = []
    for first, last in _equal_bins(score, min(bins, max(1, len(score) // FEWEST_TRADES))):
        share, count = float(label[first:last].mean()), last - first
        low, high = _wilson(share, count)
        records.append((count, score[first], score[last - 1], float(score[first:last].mean()), share, low, high))
    names = ["trades", "score_low", "score_high", "score", "share", "low", "high"]
    return pd.DataFrame.from_records(records, columns=names).astype(
        dict.fromkeys(names[1:], "float64") | {"trades": "int64"}
    )


def threshold_curve(scored: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compute the result of taking every trade at or above a threshold, one threshold for all folds.

    Each interval is of its threshold alone. The best of them was found with the outcomes known: it is no
    threshold to trade by, and its interval no promise.

    Returns
    -------
    DataFrame
        A row a threshold, rising, at most 101 of the scores there are: ``threshold``, ``trades``, ``precision`` (a
        fraction), ``net`` (money of one contract each), ``mean_r``, and ``net_low``, ``net_high``: the 95 %
        stationary-bootstrap interval over sessions, missing under
        :data:`~pipeline.performance.summary.FEWEST_TRADES` trades.
    """
    rows = require_scored(scored)
    names = ["threshold", "trades", "precision", "net", "net_low", "net_high", "mean_r"]
    if not len(rows):
        return pd.DataFrame({name: pd.Series(dtype="int64" if name == "trades" else "float64") for name in names})
    sample = ScoreSample(rows)
    distinct = np.unique(sample.score)
    places = np.unique(np.linspace(0, len(distinct) - 1, min(len(distinct), _MOST_POINTS)).round().astype(np.int64))
    thresholds = distinct[places]
    chosen = (sample.score[:, None] >= thresholds).astype(np.float64)
    trades = chosen.sum(axis=0)
    low, high = np.full(len(thresholds), math.nan), np.full(len(thresholds), math.nan)
    enough = np.flatnonzero(trades >= FEWEST_TRADES)
    if len(enough) and sample.sessions > 1:
        resamples = sample.resamples(replications=_REPLICATIONS, seed=seed)
        by_session = resamples.session_sums(chosen[:, enough] * sample.net[:, None])
        drawn = np.concatenate([counts @ by_session for counts in resamples.counts(resamples.sessions)])
        for place, results in zip(enough, drawn.T, strict=True):
            low[place], high[place] = quantile_interval(results, _LEVEL)
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "trades": trades.astype(np.int64),
            "precision": sample.label @ chosen / trades,
            "net": sample.net @ chosen,
            "net_low": low,
            "net_high": high,
            "mean_r": sample.multiple @ chosen / trades,
        }
    )


def _equal_bins(score: Array, bins: int) -> list[tuple[int, int]]:
    """First and last position (exclusive) of bins of about as many rows; equal scores stay together."""
    if not len(score):
        return []
    wanted = np.linspace(0, len(score), bins + 1).round().astype(np.int64)[1:-1]
    # A cut moves down to where its score begins.
    cuts = np.unique(np.searchsorted(score, score[wanted], side="left"))
    edges = [0, *(int(cut) for cut in cuts if cut >= 1), len(score)]
    found = [edges[0]]
    for edge in edges[1:-1]:
        if edge - found[-1] >= FEWEST_TRADES and len(score) - edge >= FEWEST_TRADES:
            found.append(edge)
    return list(zip(found, [*found[1:], len(score)], strict=True))


def _wilson(share: float, count: int) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + _LEVEL) / 2)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
