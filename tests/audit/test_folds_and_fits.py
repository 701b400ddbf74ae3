"""Splitters that leak, and transformers fitted on more than the training rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from pipeline.audit import FitLog, audit_fit_rows, audit_folds, spied
from pipeline.learning import CombinatorialPurged, PurgedWalkForward, feature_transforms


@pytest.fixture
def frame() -> pd.DataFrame:
    """A label a day that is known after three days."""
    days = pd.date_range("2021-01-01", periods=120, tz="UTC")
    return pd.DataFrame({"start": days, "end": days + pd.Timedelta("3D")})


@pytest.fixture
def learned() -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "c"], index=pd.RangeIndex(1000, 1120))
    return features, pd.Series((features["a"] + rng.normal(size=120) > 0).astype(int))


SPLITS = [(np.arange(60), np.arange(60, 90)), (np.arange(90), np.arange(90, 120))]


def test_purged_splitters_are_clean(frame: pd.DataFrame) -> None:
    for splitter in (PurgedWalkForward(4, embargo="2D"), CombinatorialPurged(6, 2, embargo="2D")):
        assert audit_folds(splitter, frame) == []


@pytest.mark.parametrize("splitter", [KFold(4), KFold(4, shuffle=True, random_state=0), TimeSeriesSplit(4)])
def test_splitter_by_rows_is_caught_in_every_split(frame: pd.DataFrame, splitter) -> None:
    findings = audit_folds(splitter, frame)

    assert [finding.feature for finding in findings] == [f"{type(splitter).__name__} split {n}" for n in range(4)]
    assert all("purge by label times" in finding.likely_cause for finding in findings)


def test_first_leaking_row_is_named_with_its_interval(frame: pd.DataFrame) -> None:
    finding = audit_folds(TimeSeriesSplit(2, test_size=20), frame)[1]

    assert finding.row == "97"  # known on the day the test begins
    assert finding.got == (
        "3 of 100 training rows leak, the first from 2021-04-08 00:00:00+00:00 to 2021-04-11 00:00:00+00:00"
    )


def test_embargo_not_kept_is_told_from_overlap(frame: pd.DataFrame) -> None:
    findings = audit_folds(CombinatorialPurged(4, 1), frame, embargo="5D")

    assert findings
    assert {finding.likely_cause for finding in findings} == {
        "training rows begin within the embargo of 5D after a test label's end"
    }


def test_row_in_both_parts_is_caught(frame: pd.DataFrame) -> None:
    class Careless:
        def split(self, frame: pd.DataFrame):
            yield np.arange(50), np.arange(49, 80)

    assert audit_folds(Careless(), frame)[0].likely_cause == "rows are trained on and tested on"


def test_pipeline_fitted_on_training_rows_is_clean(learned: tuple) -> None:
    model = make_pipeline(feature_transforms(), StandardScaler(), LogisticRegression())

    assert audit_fit_rows(model, *learned, SPLITS) == []


def test_scaler_fitted_on_all_rows_in_a_pipeline_is_named(learned: tuple) -> None:
    def careless(model, features, target, train):
        scaled = model[:-1].fit_transform(features)  # all rows
        return model[-1].fit(scaled[train], target.iloc[train])

    findings = audit_fit_rows(
        make_pipeline(StandardScaler(), LogisticRegression()), *learned, SPLITS, fit=careless, poison=False
    )

    assert [(each.feature, each.row) for each in findings] == [
        ("standardscaler", "split 0: row 1060"),
        ("standardscaler", "split 1: row 1090"),
    ]
    assert "fitted on all rows before the split" in findings[0].likely_cause
    assert findings[0].got == "fitted on 120 rows, 60 of them not for training"


def test_second_step_is_named_though_frames_became_arrays(learned: tuple) -> None:
    def careless(model, features, target, train):
        first = model.named_steps["first"].fit(features.iloc[train])
        model.named_steps["second"].fit(first.transform(features))
        return model

    model = Pipeline([("first", MinMaxScaler()), ("second", StandardScaler()), ("model", LogisticRegression())])
    findings = audit_fit_rows(model, *learned, SPLITS[:1], fit=careless, poison=False)

    assert [(each.feature, each.row) for each in findings] == [("second", "split 0: row 1060")]


def test_scaling_outside_the_pipeline_is_caught_by_poison(learned: tuple) -> None:
    def careless(model, features, target, train):
        scaled = (features - features.mean()) / features.std()
        return model.fit(scaled.iloc[train], target.iloc[train])

    findings = audit_fit_rows(make_pipeline(LogisticRegression()), *learned, SPLITS[:1], fit=careless)

    assert [(each.feature, each.row) for each in findings] == [("Pipeline", "split 0:")]
    assert "outside the pipeline" in findings[0].likely_cause


def test_nested_transformers_are_spied_on_by_path(learned: tuple) -> None:
    inner = Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())])
    columns = ColumnTransformer([("some", inner, ["a", "b"]), ("rest", "passthrough", ["c"])])
    both = FeatureUnion([("wide", MinMaxScaler()), ("drop", "drop")])
    log = FitLog()

    spied(make_pipeline(columns, both, LogisticRegression()), log).fit(*learned)

    assert [(name, count) for name, _, count in log.fits] == [
        ("columntransformer.some.fill", 120),
        ("columntransformer.some.scale", 120),
        ("featureunion.wide", 120),
    ]


def test_clones_report_to_the_same_log(learned: tuple) -> None:
    log = FitLog()
    model = spied(make_pipeline(StandardScaler(), LogisticRegression()), log)

    cross_val_score(model, *learned, cv=KFold(3))

    assert [count for _, _, count in log.fits] == [80, 80, 80]
    assert log.fits[0][1].equals(pd.RangeIndex(1040, 1120))


def test_spied_pipeline_says_what_the_model_says(learned: tuple) -> None:
    model = make_pipeline(feature_transforms(), LogisticRegression())

    expected = model.fit(*learned).predict_proba(learned[0])
    got = spied(model, FitLog()).fit(*learned).predict_proba(learned[0])

    np.testing.assert_array_equal(got, expected)
