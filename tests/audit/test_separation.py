"""Labels among features, and labels' times."""

import numpy as np
import pandas as pd
import pytest

from pipeline.audit import audit_labels, audit_separation
from pipeline.errors import DataError


@pytest.fixture
def labels() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    filled = rng.random(300) < 0.6
    r = np.where(filled, np.where(rng.random(300) < 0.4, 2.0, -1.0) + rng.normal(0, 0.1, 300), np.nan)
    return pd.DataFrame(
        {"filled": filled, "label": np.where(filled, (r > 0).astype(float), np.nan), "r_multiple": r, "net": 50 * r}
    )


def _causes(features: pd.DataFrame, labels: pd.DataFrame) -> dict[str, str]:
    return {finding.feature: str(finding.got) for finding in audit_separation(features, labels)}


def test_label_columns_among_features_are_named(labels: pd.DataFrame) -> None:
    features = pd.DataFrame({"net": labels["net"], "label": labels["label"], "candidate_stop_ticks": 8.0})

    assert _causes(features, labels) == {"net": "net", "label": "label"}


def test_copy_of_a_label_under_another_name_is_equal(labels: pd.DataFrame) -> None:
    assert _causes(pd.DataFrame({"hint": labels["label"]}), labels) == {"hint": "equal to label"}


@pytest.mark.parametrize(
    "hint",
    [
        lambda labels, noise: labels["r_multiple"] + 0.3 * noise,
        lambda labels, noise: -np.exp(labels["net"] / 100),
        lambda labels, noise: 7 - 3 * labels["label"],
    ],
    ids=["noisy", "monotone", "affine"],
)
def test_function_of_a_label_is_found(labels: pd.DataFrame, hint) -> None:
    noise = np.random.default_rng(1).normal(size=len(labels))

    assert "hint" in _causes(pd.DataFrame({"hint": hint(labels, noise), "honest": noise}), labels)
    assert "honest" not in _causes(pd.DataFrame({"hint": hint(labels, noise), "honest": noise}), labels)


def test_missing_where_not_filled_tells_the_fill(labels: pd.DataFrame) -> None:
    hint = pd.Series(np.random.default_rng(2).normal(size=len(labels))).where(labels["filled"])

    assert _causes(pd.DataFrame({"hint": hint}), labels) == {"hint": "missing where it was (not) filled"}


def test_label_of_one_side_only_is_found_among_its_rows(labels: pd.DataFrame) -> None:
    sides = pd.Series(np.where(np.arange(len(labels)) % 2, 1, -1))
    hint = labels["r_multiple"].fillna(0).where(sides > 0, np.random.default_rng(3).normal(size=len(labels)))

    assert audit_separation(pd.DataFrame({"hint": hint}), labels) == []
    assert [each.feature for each in audit_separation(pd.DataFrame({"hint": hint}), labels, sides)] == ["hint"]


def test_real_but_weak_feature_raises_no_alarm(labels: pd.DataFrame) -> None:
    weak = labels["r_multiple"].fillna(0) + np.random.default_rng(5).normal(scale=3, size=len(labels))

    assert _causes(pd.DataFrame({"weak": weak, "constant": 1.0, "never": np.nan}), labels) == {}


def test_few_rows_prove_nothing(labels: pd.DataFrame) -> None:
    few = labels[labels["filled"]].head(20)

    assert _causes(pd.DataFrame({"hint": few["net"] + 1}), few) == {}


def test_other_rows_than_labels_are_refused(labels: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="300 rows of features and 299 of labels"):
        audit_separation(pd.DataFrame({"x": np.zeros(300)}), labels.iloc[1:])


def test_label_times_are_held_against_the_decision(es) -> None:
    candidates = pd.DataFrame({"decided_on": pd.to_datetime(["2021-03-01", "2021-03-02", "2021-03-03"])})
    close = pd.to_datetime(["2021-03-01T22:00Z", "2021-03-02T22:00Z", "2021-03-03T22:00Z"])
    good = pd.DataFrame({"start": close, "end": close + pd.Timedelta("20h")})
    early = good.assign(start=close - pd.Timedelta("8h") * np.array([0, 1, 1]))
    backward = good.assign(end=close + pd.Timedelta("1h") * np.array([1, 1, 0]))

    assert audit_labels(good, candidates, es) == []
    assert [(each.row, each.got) for each in audit_labels(early, candidates, es)] == [
        ("1", "starts at 2021-03-02 14:00:00+00:00")
    ]
    assert [(each.row, each.expected) for each in audit_labels(backward, candidates, es)] == [("2", "end after start")]
