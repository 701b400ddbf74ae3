"""Description of a table of features: missing values, spread, drift, and which are redundant."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["correlation_clusters", "describe_features", "population_stability"]

_QUANTILES = {"low": 0.01, "median": 0.5, "high": 0.99}
_BINS = 10
_LEAST_ROWS = 50
# What no row of a bin counts as, so that the index stays finite; as in Siddiqi (2006).
_SMALLEST_SHARE = 1e-4


def describe_features(features: pd.DataFrame, *, training_share: float = 0.7) -> pd.DataFrame:
    """One row a feature: how much is missing, where it lies, and how far it drifted.

    Parameters
    ----------
    features
        Rows in order of time, shape (sessions, features).
    training_share
        The first share of the rows, which the others are compared with.

    Returns
    -------
    DataFrame
        Indexed by ``feature``: ``missing`` (share of rows), ``low``, ``median``, ``high`` (1st, 50th and 99th
        percentile), ``drift`` (population stability index of the later rows against the earlier ones; NaN where
        either has fewer than 50 values).
    """
    split = int(len(features) * training_share)
    rows = {}
    for name in features.columns:
        values = features[name].to_numpy(np.float64)
        known = values[np.isfinite(values)]
        spread = np.quantile(known, list(_QUANTILES.values())) if len(known) else np.full(len(_QUANTILES), np.nan)
        rows[name] = [
            1 - len(known) / max(len(values), 1),
            *spread,
            population_stability(values[:split], values[split:]),
        ]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["missing", *_QUANTILES, "drift"])
    return table.rename_axis("feature")


def population_stability(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Population stability index of two samples over the deciles of the first.

    ``Σ (q − p) ln(q / p)`` over the bins, p and q the shares (Siddiqi, *Credit Risk Scorecards*, 2006).
    By custom under 0.1 is no drift to speak of, over 0.25 a large one.

    Parameters
    ----------
    before, after
        Shapes (n,) and (m,); what is not finite is left out.

    Returns
    -------
    float
        NaN where either has fewer than 50 values.
    """
    first, second = before[np.isfinite(before)], after[np.isfinite(after)]
    if min(len(first), len(second)) < _LEAST_ROWS:
        return float("nan")
    edges = np.unique(np.quantile(first, np.linspace(0, 1, _BINS + 1)[1:-1]))
    shares = [
        np.bincount(np.searchsorted(edges, sample, side="right"), minlength=len(edges) + 1) / len(sample)
        for sample in (first, second)
    ]
    p, q = (np.maximum(share, _SMALLEST_SHARE) for share in shares)
    return float(np.sum((q - p) * np.log(q / p)))


def correlation_clusters(features: pd.DataFrame, *, threshold: float = 0.9) -> list[list[str]]:
    """Groups of features that say the same, largest first.

    Average linkage on ``1 − |Spearman correlation|`` over the rows that both have; groups of one are left out.

    Parameters
    ----------
    features
        Shape (sessions, features).
    threshold
        Mean absolute correlation from which features are in one group.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    varying = features.loc[:, features.std() > 0]
    if varying.shape[1] < 2:
        return []
    correlation = varying.rank().corr(min_periods=_LEAST_ROWS).abs().fillna(0.0).to_numpy().copy()
    np.fill_diagonal(correlation, 1.0)
    distance = np.clip(1 - (correlation + correlation.T) / 2, 0, None)
    groups = fcluster(linkage(squareform(distance, checks=False), "average"), 1 - threshold, "distance")
    named = pd.Series(varying.columns, dtype="object").groupby(groups).apply(sorted)
    return sorted((list(group) for group in named if len(group) > 1), key=lambda group: (-len(group), group))
