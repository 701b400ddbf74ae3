"""Rows of two short timeframes in which only the order of the steps tells what comes."""

import numpy as np
import pandas as pd

from pipeline.learning.models import TrainingRows

STEPS = 6
SETTINGS = {"epochs": 30, "validation_share": 0.0, "batch_size": 64, "learning_rate": 4e-3, "dropout": 0.1}


def planted_rows(count: int, seed: int, *, gaps: float = 0.1) -> TrainingRows:
    """Two pulses of one sign in six steps of noise; the trade ends above zero where the greater one came later.

    The sign is drawn again in each row, so that in both classes every step's mean is zero: no weighted sum of the steps
    tells them apart.
    """
    rng = np.random.default_rng(seed)
    session = rng.normal(0, 0.3, (count, STEPS, 2))
    first = rng.integers(0, STEPS - 1, count)
    second = first + 1 + rng.integers(0, STEPS - 1 - first)
    label = rng.integers(0, 2, count).astype(np.float64)
    sign = rng.choice([-1.0, 1.0], count)
    rows = np.arange(count)
    session[rows, first, 0] += sign * np.where(label > 0, 1.5, 4.0)
    session[rows, second, 0] += sign * np.where(label > 0, 4.0, 1.5)
    bars = rng.normal(0, 1, (count, 3, 1))
    columns = {}
    # Step 00 is the newest.
    for lag in range(STEPS):
        for channel, name in enumerate(("move", "range")):
            columns[f"session_{lag:02d}_{name}"] = session[:, STEPS - 1 - lag, channel]
    for lag in range(3):
        columns[f"bar30_{lag:02d}_volume"] = bars[:, 2 - lag, 0]
    features = pd.DataFrame(columns)
    # The pulses stay, or there would be nothing to see.
    unknown = (rng.random(features.shape) < gaps) & (features.abs() < 1)
    features = features.mask(unknown)
    start = pd.date_range("2020-01-01 21:00", periods=count, freq="D", tz="UTC")
    outcome = pd.DataFrame(
        {
            "start": start,
            "end": start + pd.Timedelta(hours=20),
            "label": label,
            "r_multiple": np.where(label > 0, 2.0, -1.0),
            "net": np.where(label > 0, 200.0, -100.0),
            "weight": rng.uniform(0.5, 1.5, count),
        }
    )
    return TrainingRows(features, outcome)
