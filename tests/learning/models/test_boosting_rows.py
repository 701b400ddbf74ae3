"""Histograms feature by feature give the bits of those row by row, of sparse, bundled and missing features too."""

import numpy as np
import optuna
import pandas as pd
import pytest

from pipeline.learning.compute import CPU
from pipeline.learning.models import TrainingRows, families, make_model
from pipeline.learning.models.boosting_rows import PreparedRows


def awkward(count: int) -> TrainingRows:
    """Rows of exclusive, sparse, whole-numbered and half missing features, each kind with a part in the outcome."""
    rng = np.random.default_rng(4)
    kind = rng.integers(0, 6, count)
    columns = {f"kind_{one}": (kind == one).astype(np.float64) for one in range(6)}
    for place in range(4):
        columns[f"sparse_{place}"] = np.where(rng.random(count) < 0.05, rng.normal(size=count), 0.0)
        columns[f"whole_{place}"] = rng.integers(0, 4, count).astype(np.float64)
        columns[f"missing_{place}"] = np.where(rng.random(count) < 0.5, np.nan, rng.normal(size=count))
        columns[f"plain_{place}"] = rng.normal(size=count)
    features = pd.DataFrame(columns)
    signal = features["kind_3"] + features["sparse_0"] + 0.3 * features["whole_1"] + features["missing_2"].fillna(0.0)
    net = 100 * (signal + rng.normal(size=count) - signal.mean()).to_numpy()
    start = pd.date_range("2020-01-01", periods=count, freq="D", tz="UTC")
    outcome = pd.DataFrame(
        {
            "start": start,
            "end": start + pd.Timedelta(hours=6),
            "label": (net > 0).astype(np.float64),
            "r_multiple": net / 100,
            "net": net,
            "weight": rng.uniform(0.5, 1.5, count),
        }
    )
    return TrainingRows(features, outcome)


@pytest.mark.parametrize("family", ["lightgbm", "lightgbm_r", "lightgbm_dollars"])
def test_prepared_boosting_on_awkward_features_gives_the_bits_of_the_family_s_own_fit(family: str) -> None:
    rows = awkward(400)
    train, test = rows.take(np.arange(300)), rows.take(np.arange(300, 400))
    prepared = PreparedRows(train, test.features)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(1))
    for number in range(4):
        settings = families()[family].space.suggest(study.ask()) | {"rounds": 30, "max_bin": (7, 63, 255)[number % 3]}

        own = make_model(family, settings, seed=number).fit(train).predict_proba(test.features)
        score = make_model(family, settings, seed=number).scores_of(prepared, CPU)  # type: ignore[attr-defined]

        np.testing.assert_array_equal(score, own, err_msg=str(settings))
