"""Training rows with something planted in them, or nothing."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.models import TrainingRows


def made_rows(
    features: pd.DataFrame, net: NDArray[np.float64], *, weight: NDArray[np.float64] | None = None
) -> TrainingRows:
    """Rows a day apart, each known thirty hours after it was decided, one contract, a hundred dollars at risk."""
    start = pd.Series(pd.date_range("2015-01-01", periods=len(net), freq="D", tz="UTC"), features.index)
    return TrainingRows(
        features,
        pd.DataFrame(
            {
                "start": start,
                "end": start + pd.Timedelta("30h"),
                "label": (net > 0).astype(np.float64),
                "r_multiple": net / 100,
                "net": net,
                "weight": np.ones(len(net)) if weight is None else weight,
            },
            features.index,
        ),
    )


def random_features(rows: int, columns: int = 12, seed: int = 0, *, gaps: float = 0.05) -> pd.DataFrame:
    """Independent normal features, ``f00`` and on, with gaps."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns))
    values[rng.random(values.shape) < gaps] = np.nan
    return pd.DataFrame(values, columns=[f"f{number:02d}" for number in range(columns)])


def noise(rows: int = 600, columns: int = 12, seed: int = 0) -> TrainingRows:
    """A result that nothing tells: a third of the trades win 200, the others lose 110."""
    rng = np.random.default_rng([seed, 1])
    net = np.where(rng.random(rows) < 1 / 3, 200.0, -110.0)
    return made_rows(random_features(rows, columns, seed), net, weight=rng.uniform(0.5, 1, rows))


def planted(rows: int = 600, columns: int = 12, seed: int = 0) -> TrainingRows:
    """Feature ``f00`` tells the chance, log odds 1.5 × it − 0.5; of the others none tells anything."""
    rng = np.random.default_rng([seed, 2])
    features = random_features(rows, columns, seed)
    chance = 1 / (1 + np.exp(0.5 - 1.5 * features["f00"].fillna(0).to_numpy()))
    net = np.where(rng.random(rows) < chance, 150.0, -110.0)
    return made_rows(features, net, weight=rng.uniform(0.5, 1, rows))
