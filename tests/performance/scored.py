"""Scored rows of walk-forward models, made up for the tests."""

import numpy as np
import pandas as pd


def scored_frame(score, label, *, net=None, threshold=0.5, fold=0, per_session=1, first="2020-01-02") -> pd.DataFrame:
    """Rows of these scores and labels, so many to a session; a winner makes 500, a loser −250."""
    score, label = np.asarray(score, float), np.asarray(label, float)
    count = len(score)
    days = pd.bdate_range(first, periods=-(-count // per_session))[np.arange(count) // per_session]
    net = np.where(label > 0, 500.0, -250.0) if net is None else np.asarray(net, float)
    return pd.DataFrame(
        {
            "start": (days - pd.Timedelta("2h")).tz_localize("UTC"),
            "session": days,
            "side": np.where(np.arange(count) % 2, -1, 1),
            "fold": np.broadcast_to(fold, count),
            "score": score,
            "threshold": np.broadcast_to(threshold, count).astype(float),
            "label": label,
            "net": net,
            "r_multiple": net / 250,
            "weight": 1.0,
        },
        index=pd.RangeIndex(10, 10 + count, name="candidate"),
    )


def simulated(count=600, *, edge=0.0, seed=0, folds=4, per_session=2, threshold=0.5, rate=0.4) -> pd.DataFrame:
    """Rows of a model whose scores of winners lie ``edge`` standard deviations above those of losers."""
    random = np.random.default_rng(seed)
    label = (random.random(count) < rate).astype(float)
    raw = random.standard_normal(count) + edge * label
    score = 1 / (1 + np.exp(-(raw * max(edge, 0.3) + np.log(rate / (1 - rate)) - edge**2 / 2)))
    fold = np.sort(np.arange(count) * folds // count)
    return scored_frame(score, label, fold=fold, per_session=per_session, threshold=threshold)
