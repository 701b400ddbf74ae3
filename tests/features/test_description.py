import numpy as np
import pandas as pd
import pytest

from pipeline.features.description import correlation_clusters, describe_features, population_stability


def test_population_stability_same_shares_is_zero() -> None:
    values = np.arange(1000.0)

    assert population_stability(values, values) == 0.0


def test_population_stability_half_moved_is_the_formulas_value() -> None:
    before = np.arange(100.0)
    after = np.concatenate([np.arange(50.0), np.arange(50.0)])  # only the lower five deciles, twice each

    # Five bins go from 0.1 to 0.2, five from 0.1 to nothing, which counts as 0.0001.
    expected = 5 * (0.2 - 0.1) * np.log(2) + 5 * (1e-4 - 0.1) * np.log(1e-4 / 0.1)
    assert population_stability(before, after) == pytest.approx(expected, rel=1e-12)


def test_population_stability_too_few_values_is_missing() -> None:
    assert np.isnan(population_stability(np.arange(49.0), np.arange(100.0)))


def test_describe_features_counts_missing_and_finds_the_drift() -> None:
    rng = np.random.default_rng(1)
    steady = rng.normal(size=1000)
    moved = np.concatenate([rng.normal(size=700), rng.normal(3, 1, size=300)])
    holes = np.where(np.arange(1000) % 4 == 0, np.nan, steady)

    table = describe_features(pd.DataFrame({"steady": steady, "moved": moved, "holes": holes}))

    assert table["missing"].tolist() == [0.0, 0.0, 0.25]
    assert table.loc["steady", "drift"] < 0.1
    assert table.loc["moved", "drift"] > 1
    assert table.loc["steady", "median"] == np.median(steady)


def test_correlation_clusters_group_what_says_the_same_and_leave_the_rest() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=500)
    frame = pd.DataFrame(
        {
            "a": base,
            "b": -2 * base,  # the same, upside down
            "c": np.exp(base),  # the same order
            "d": rng.normal(size=500),
            "constant": 1.0,
        }
    )

    assert correlation_clusters(frame) == [["a", "b", "c"]]


def test_correlation_clusters_of_one_feature_are_none() -> None:
    assert correlation_clusters(pd.DataFrame({"a": np.arange(100.0)})) == []
