import pickle

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning import (
    DropUninformative,
    MadScaler,
    MissingValues,
    PurgedWalkForward,
    SignedLog,
    Winsorizer,
    feature_transforms,
)

NAN = float("nan")
ALL = [
    DropUninformative(),
    MadScaler(),
    MissingValues("median"),
    MissingValues("impute"),
    MissingValues("keep"),
    MissingValues("keep_known"),
    SignedLog(),
    Winsorizer(0.1, 0.8),
]


def frame(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(columns)


def some(rows: int = 40, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.standard_t(2, size=(rows, 3))
    values[rng.random(values.shape) < 0.1] = NAN
    index = pd.date_range("2024-01-01", periods=rows, name="session")
    return pd.DataFrame(values, index, ["a", "b", "c"]).assign(
        flag=rng.random(rows) < 0.5, count=rng.integers(0, 9, rows)
    )


# --- each transform, exactly


def test_mad_scaler_known_values_are_exact() -> None:
    scaler = MadScaler().fit(frame(x=[1.0, 2.0, 3.0, 4.0, 100.0, NAN]))

    scaled = scaler.transform(frame(x=[3.0, 4.0, NAN]))

    assert scaler.center_.tolist() == [3.0]
    assert scaled["x"].tolist() == pytest.approx([0.0, 1 / 1.482602218505602, NAN], nan_ok=True, abs=0)


def test_mad_scaler_on_normal_values_gives_unit_deviation() -> None:
    values = pd.DataFrame({"x": np.random.default_rng(0).normal(5, 3, 200_000)})

    assert MadScaler().fit_transform(values)["x"].std() == pytest.approx(1, abs=0.01)


def test_mad_scaler_column_with_zero_mad_takes_the_mean_deviation() -> None:
    scaler = MadScaler().fit(frame(rare=[0.0] * 9 + [10.0], constant=[7.0] * 10))

    assert scaler.scale_.tolist() == pytest.approx([1.2533141373155001, 1.0], abs=1e-15)
    assert scaler.transform(frame(rare=[10.0], constant=[8.0])).to_numpy().tolist() == [[10 / 1.2533141373155001, 1.0]]


def test_mad_scaler_column_never_known_stays_missing() -> None:
    assert MadScaler().fit(frame(x=[NAN, NAN])).transform(frame(x=[3.0, NAN]))["x"].isna().all()


def test_winsorizer_moves_what_lies_beyond_the_fitted_quantiles() -> None:
    winsorizer = Winsorizer(0.1, 0.9).fit(frame(x=[float(v) for v in range(11)] + [NAN]))

    assert winsorizer.transform(frame(x=[-5.0, 0.5, 5.0, 1e9, NAN]))["x"].tolist() == pytest.approx(
        [1.0, 1.0, 5.0, 9.0, NAN], nan_ok=True, abs=1e-12
    )


def test_signed_log_keeps_sign_zero_and_gaps() -> None:
    logged = SignedLog().fit_transform(frame(x=[-np.expm1(2.0), 0.0, np.expm1(1.0), NAN]))

    assert logged["x"].tolist() == pytest.approx([-2.0, 0.0, 1.0, NAN], nan_ok=True, abs=1e-15)


def test_drop_uninformative_remembers_constants_and_copies() -> None:
    train = frame(a=[1.0, 2.0, NAN], one=[5.0, 5.0, 5.0], copy=[1.0, 2.0, NAN], gaps=[5.0, NAN, 5.0], none=[NAN] * 3)
    drop = DropUninformative().fit(train)

    later = drop.transform(frame(a=[9.0], one=[6.0], copy=[8.0], gaps=[7.0], none=[4.0]))

    assert drop.dropped_ == {"one": "constant", "copy": "copy of a", "none": "all missing"}
    assert later.columns.tolist() == drop.get_feature_names_out().tolist() == ["a", "gaps"]
    assert later.to_numpy().tolist() == [[9.0, 7.0]]


def test_drop_uninformative_zeros_of_either_sign_are_equal() -> None:
    assert DropUninformative().fit(frame(a=[0.0, 1.0], b=[-0.0, 1.0], c=[0.0, -0.0])).dropped_ == {
        "b": "copy of a",
        "c": "constant",
    }


def test_missing_values_error_names_feature_and_row() -> None:
    train, gap = frame(a=[1.0, 2.0], b=[3.0, 4.0]), pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, NAN]}, ["x", "y"])

    policy = MissingValues("error").fit(train)

    assert policy.transform(train).equals(train)
    message = "feature b, is missing in 1 of 2 rows, first in y; leave such rows out, or choose another policy"
    for call in (policy.transform, MissingValues().fit):
        with pytest.raises(DataError, match=message):
            call(gap)


def test_missing_values_keep_leaves_gaps_and_never_makes_zeros() -> None:
    gap = frame(a=[1.0, NAN])

    assert MissingValues("keep").fit(frame(a=[1.0, 2.0])).transform(gap).equals(gap)


def test_missing_values_median_fills_and_tells_where() -> None:
    policy = MissingValues("median").fit(frame(a=[1.0, NAN, 2.0, 9.0], b=[1.0, 2.0, 3.0, 4.0]))

    filled = policy.transform(frame(a=[NAN, 5.0], b=[6.0, 7.0]))

    assert filled.columns.tolist() == policy.get_feature_names_out().tolist() == ["a", "b", "a_missing"]
    assert filled.to_numpy().tolist() == [[2.0, 6.0, 1.0], [5.0, 7.0, 0.0]]


def test_missing_values_median_gap_in_a_column_without_any_in_training_is_an_error() -> None:
    policy = MissingValues("median").fit(frame(a=[1.0, NAN], b=[1.0, 2.0]))

    with pytest.raises(DataError, match="feature b, which had no missing values in training, is missing in 1 of 1"):
        policy.transform(frame(a=[1.0], b=[NAN]))


def test_missing_values_impute_gap_in_a_column_without_any_in_training_takes_the_median_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = MissingValues("impute").fit(frame(a=[1.0, NAN, 3.0], b=[1.0, 2.0, 6.0], c=[1.0, 2.0, 3.0]))

    filled = policy.transform(frame(a=[NAN, 5.0], b=[NAN, NAN], c=[1.0, NAN]))

    assert filled.columns.tolist() == policy.get_feature_names_out().tolist() == ["a", "b", "c", "a_missing"]
    assert filled.to_numpy().tolist() == [[2.0, 2.0, 1.0, 1.0], [5.0, 2.0, 2.0, 0.0]]
    assert caplog.messages == [
        "b, c had no missing values in training and now has some (3 in 2 rows): the median stands in"
    ]


def test_missing_values_impute_known_gaps_are_those_of_median_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    train, later = some(), some(9, seed=1)

    imputed = MissingValues("impute").fit(train).transform(later)

    assert imputed.equals(MissingValues("median").fit(train).transform(later))
    assert not caplog.messages


def test_missing_values_keep_known_leaves_known_gaps_and_fills_new_ones(caplog: pytest.LogCaptureFixture) -> None:
    policy = MissingValues("keep_known").fit(frame(a=[1.0, NAN, 3.0], b=[1.0, 2.0, 6.0], never=[NAN, NAN, NAN]))

    kept = policy.transform(frame(a=[NAN, 5.0], b=[NAN, 4.0], never=[NAN, 1.0]))

    assert kept.equals(frame(a=[NAN, 5.0], b=[2.0, 4.0], never=[NAN, 1.0]))
    assert caplog.messages == [
        "b had no missing values in training and now has some (1 in 2 rows): the median stands in"
    ]


def test_missing_values_of_hundreds_of_columns_are_reported_at_once() -> None:
    # pandas warns, and the tests fail, where so many columns are put in one by one.
    wide = pd.DataFrame({f"f{number}": [1.0, NAN, 3.0] for number in range(300)})

    told = MissingValues("median").fit(wide).transform(wide)

    assert told.shape == (3, 600)
    assert told["f7_missing"].tolist() == [0.0, 1.0, 0.0]


# --- what all have in common


@pytest.mark.parametrize("transform", ALL, ids=str)
def test_transforms_clone_pickle_and_set_output(transform: object) -> None:
    train, later = some(), some(7, seed=1)
    later.index = pd.Index(list("gfedcba"))
    fitted = clone(transform).fit(train)

    out = fitted.transform(later)

    assert clone(fitted).get_params() == transform.get_params()
    assert not hasattr(clone(fitted), "feature_names_in_")
    assert pickle.loads(pickle.dumps(fitted)).transform(later).equals(out)  # noqa: S301
    assert fitted.set_output(transform="pandas").transform(later).equals(out)
    assert out.index.equals(later.index)
    assert out.columns.tolist() == fitted.get_feature_names_out().tolist()
    assert (out.dtypes == np.float64).all()
    assert fitted.fit_index_.equals(train.index)
    assert fitted.n_features_in_ == 5


@pytest.mark.parametrize("transform", ALL, ids=str)
def test_transforms_leave_the_frames_given_as_they_are(transform: object) -> None:
    train, later = some(), some(7, seed=1)
    before = train.copy(), later.copy()

    clone(transform).fit(train).transform(later)

    assert train.equals(before[0])
    assert later.equals(before[1])


@pytest.mark.parametrize("transform", ALL, ids=str)
def test_transforms_row_does_not_depend_on_the_rows_beside_it(transform: object) -> None:
    # What a live system computes for one session is what was computed for all.
    fitted, later = clone(transform).fit(some()), some(20, seed=1)

    whole = fitted.transform(later)

    assert all(fitted.transform(later.iloc[[row]]).equals(whole.iloc[[row]]) for row in range(20))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: f[["b", "a", "c", "flag", "count"]],
            "was fitted on columns in another order: column 0 is b and was a;",
        ),
        (lambda f: f.drop(columns="b"), "was fitted on the column b, which is missing; compute the features as for"),
        (lambda f: f.assign(z=1.0), "was fitted on 5 columns without z; leave it out or train again"),
        (lambda f: pd.concat([f, f[["a"]]], axis=1), "was fitted on the column a once, but it comes twice"),
        (lambda f: f.astype({"count": float}), "was fitted on count as int64, and it is float64 now; convert it"),
        (lambda f: f.astype({"a": "float32"}), "was fitted on a as float64, and it is float32 now; convert it"),
        (lambda f: f.to_numpy(), "takes a pandas DataFrame, not ndarray"),
    ],
)
@pytest.mark.parametrize("transform", ALL, ids=str)
def test_transforms_other_columns_later_are_one_sentence(transform: object, spoil: object, message: str) -> None:
    fitted = clone(transform).fit(some())

    with pytest.raises(DataError) as caught:
        fitted.transform(spoil(some(7)))

    assert str(caught.value).startswith(f"{type(transform).__name__} {message}")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (np.zeros((3, 2)), "features must be a pandas DataFrame with named columns, not ndarray"),
        (pd.DataFrame({0: [1.0]}), "feature columns need names, and 0 is none; name them as text"),
        (pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]), "the features have the column a more than once"),
        (frame(a=["x", "y"]), "feature a holds str, not numbers; convert it or leave it out"),
        (pd.DataFrame({"a": [1.0, np.inf]}, ["p", "q"]), "feature a is infinite in row q; fix the feature, or make"),
        (pd.DataFrame({"a": np.empty(0)}), "cannot be fitted"),
        (pd.DataFrame(index=[0]), "the features have no columns; give one or more"),
    ],
)
@pytest.mark.parametrize("transform", ALL, ids=str)
def test_transforms_unusable_training_frame_is_one_sentence(transform: object, train: object, message: str) -> None:
    if message == "cannot be fitted":
        message = f"{type(transform).__name__} can't be fitted on a frame without rows"

    with pytest.raises(DataError) as caught:
        clone(transform).fit(train)

    assert str(caught.value).startswith(message)


def test_transforms_unfitted_say_so() -> None:
    with pytest.raises(NotFittedError, match="MadScaler is not fitted yet"):
        MadScaler().transform(some())


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (
            lambda: Winsorizer(0.9, 0.1).fit(some()),
            "Winsorizer has lower 0.9 and upper 0.1; give 0 ≤ lower < upper ≤ 1",
        ),
        (
            lambda: MissingValues("zero").fit(some()),
            "the policy for missing values is 'zero'; it must be error, keep, keep_known, median or impute",
        ),
        (
            lambda: MissingValues("median").fit(frame(a=[NAN])),
            "feature a is missing in all 1 training rows and has no med",
        ),
        (
            lambda: MissingValues("median").fit(frame(a=[NAN, 1.0], a_missing=[1.0, 2.0])),
            "there is a feature a_missing already, the name of the indicator; rename it",
        ),
        (lambda: DropUninformative().fit(frame(a=[1.0, 1.0])), "none of 1 features varies over the 2 training rows"),
    ],
)
def test_transforms_impossible_settings_are_one_sentence(fit: object, message: str) -> None:
    with pytest.raises((ConfigurationError, DataError)) as caught:
        fit()

    assert str(caught.value).startswith(message)


# --- in a model's pipeline


def test_feature_transforms_learn_from_training_rows_only() -> None:
    features = some(200)
    future = features.copy()
    future.iloc[100:, :3] *= 1e6

    fitted = [feature_transforms("median", signed_log=True).fit(f.iloc[:100]) for f in (features, future)]

    assert fitted[0].transform(features).equals(fitted[1].transform(features))
    assert all(step.fit_index_.equals(features.index[:100]) for step in fitted[0].named_steps.values())


def test_feature_transforms_in_front_of_models_follow_the_folds() -> None:
    features = some(300, seed=5)
    target = (features["a"].fillna(0) + np.random.default_rng(1).normal(size=300) > 0).astype(int)
    labels = pd.DataFrame({"start": features.index, "end": features.index + pd.Timedelta("2D")}, features.index)
    trees = make_pipeline(feature_transforms("keep", scale=False), LGBMClassifier(n_estimators=5, verbose=-1))
    line = make_pipeline(feature_transforms("median"), LogisticRegression())

    for model in (trees, line):
        for train, test in PurgedWalkForward(3).split(labels):
            fitted = clone(model).fit(features.iloc[train], target.iloc[train])
            steps = fitted[0].named_steps.values()
            assert all(step.fit_index_.equals(features.index[train]) for step in steps)
            assert np.isfinite(fitted.predict_proba(features.iloc[test])).all()
    with pytest.raises(ValueError, match="only works for partitions"):  # walk-forward leaves rows untested
        cross_val_predict(line, features, target, groups=labels, cv=PurgedWalkForward(3))
