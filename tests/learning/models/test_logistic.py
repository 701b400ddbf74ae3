import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logit
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning import PurgedWalkForward
from pipeline.learning.models import TrainingRows, load_model, make_model
from tests.learning.models.made_rows import made_rows, noise, planted, random_features

PLAIN = {"winsorize": None}


def with_features(rows: TrainingRows, **columns: object) -> TrainingRows:
    return TrainingRows(rows.features.assign(**columns), rows.outcome)


def test_logistic_is_the_minimum_of_the_penalised_weighted_loss() -> None:
    rows = planted(200, 3, seed=1)
    features = rows.features.fillna(0.0)  # without gaps there are no indicators
    rows = TrainingRows(features, rows.outcome)
    median = features.median()
    scaled = ((features - median) / ((features - median).abs().median() * 1.482602218505602)).to_numpy()
    sign = 2 * rows.label - 1

    def loss(at: np.ndarray) -> float:
        return np.sum(rows.weight * np.logaddexp(0, -sign * (scaled @ at[1:] + at[0]))) + at[1:] @ at[1:] / (2 * 0.05)

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9})

    model = make_model("logistic", {**PLAIN, "strength": 0.05}).fit(rows)

    assert logit(model.predict_proba(features)) == pytest.approx(scaled @ best.x[1:] + best.x[0], abs=1e-6)


def test_logistic_of_two_groups_is_exact_by_hand() -> None:
    # Hardly penalised, it gives each group its weighted share above zero: 3 of 4, and 1 of 5.
    features = pd.DataFrame({"group": [0.0, 0.0, 1.0, 1.0]})
    rows = made_rows(features, np.array([1.0, -1.0, 1.0, -1.0]), weight=np.array([3.0, 1.0, 1.0, 4.0]))

    model = make_model("logistic", {**PLAIN, "strength": 1e9}).fit(rows)

    assert model.predict_proba(pd.DataFrame({"group": [0.0, 1.0]})) == pytest.approx([3 / 4, 1 / 5], abs=1e-6)


def test_logistic_whole_weights_are_rows_again() -> None:
    rows = planted(120, 4, seed=2)
    times = np.random.default_rng(0).integers(1, 4, len(rows))
    repeated = rows.take(np.repeat(np.arange(len(rows)), times))
    # Medians of repeated rows differ, so what comes before the model is taken out: features without gaps, and
    # of a scale that repeating keeps.
    flags = (rows.features > 0).astype(np.float64)
    one = TrainingRows(flags, rows.outcome.assign(weight=times.astype(float)))
    other = TrainingRows(flags.iloc[np.repeat(np.arange(len(rows)), times)], repeated.outcome.assign(weight=1.0))

    chances = [make_model("logistic", {**PLAIN, "strength": 1e6}).fit(r).predict_proba(flags) for r in (one, other)]

    assert chances[0] == pytest.approx(chances[1], abs=1e-5)


def test_logistic_finds_a_planted_signal_out_of_fold_and_none_in_noise() -> None:
    found = {}
    for name, rows in (("planted", planted(500)), ("noise", noise(500))):
        ((train, test),) = PurgedWalkForward(1, test_size=250).split(rows.outcome)
        model = make_model("logistic").fit(rows.take(train))
        found[name] = roc_auc_score(rows.label[test], model.predict_proba(rows.features.iloc[test]))

    assert found["planted"] > 0.7
    assert abs(found["noise"] - 0.5) < 0.11  # three standard errors of 250 rows


def test_logistic_new_gap_is_the_median_and_a_known_one_tells(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    features = pd.DataFrame({"whole": rng.normal(size=400), "gaps": rng.normal(size=400)})
    lost = rng.random(400) < 0.5
    features.loc[lost, "gaps"] = np.nan  # trades lose where it is missing
    rows = made_rows(features, np.where(lost, -100.0, 100.0))
    model = make_model("logistic", {"strength": 1.0}).fit(rows)
    assert not caplog.messages

    median = features["whole"].median()
    new, known, full = model.predict_proba(
        pd.DataFrame({"whole": [np.nan, median, median], "gaps": [0.1, np.nan, 0.1]})
    )

    assert new == full
    assert known < 0.1 < 0.9 < full
    assert caplog.messages == [
        "whole had no missing values in training and now has some (1 in 3 rows): the median stands in"
    ]


def test_logistic_columns_that_tell_nothing_change_nothing() -> None:
    rows = planted(200, 4)
    more = with_features(rows, none=np.nan, one=3.0, copy=rows.features["f01"])

    plain, model = make_model("logistic").fit(rows), make_model("logistic").fit(more)

    later = more.features.assign(none=1.0, one=-7.0, copy=0.0)
    assert model.predict_proba(later).tobytes() == plain.predict_proba(rows.features).tobytes()
    assert model.contributions(later)[["none", "one", "copy"]].eq(0).all(axis=None)


def test_logistic_of_equal_indicators_one_stays() -> None:
    # Twelve features that lack the same rows: twelve indicators would be shrunk a twelfth as much.
    rows = planted(300, 12)
    together = rows.features.fillna(0.0)
    together.iloc[:60] = np.nan
    model = make_model("logistic").fit(TrainingRows(together, rows.outcome))

    names = model._transforms.get_feature_names_out().tolist()

    assert [name for name in names if name.endswith("_missing")] == ["f00_missing"]


def test_logistic_contributions_add_up_to_the_log_odds() -> None:
    rows = planted(300, 5)
    model = make_model("logistic").fit(rows)

    shares = model.contributions(rows.features)

    assert shares.columns.tolist() == list(model.columns)
    assert shares.index.equals(rows.features.index)
    base = logit(model.predict_proba(rows.features)) - shares.sum(axis=1)
    assert np.ptp(base) < 1e-12
    # The weighted mean of each is zero: they are deviations from the training mean.
    assert np.average(shares, axis=0, weights=rows.weight) == pytest.approx(np.zeros(5), abs=1e-12)


def test_logistic_gain_is_the_mean_size_of_contributions() -> None:
    rows = planted(300, 5)
    rows = TrainingRows(rows.features.fillna(0.0), rows.outcome)
    model = make_model("logistic").fit(rows)

    gain = model.gain()

    expected = np.average(model.contributions(rows.features).abs(), axis=0, weights=rows.weight)
    assert gain.to_numpy() == pytest.approx(expected, abs=1e-14)
    assert gain.idxmax() == "f00"


@given(st.lists(st.integers(0, 39), min_size=1, max_size=40))
def test_logistic_row_does_not_depend_on_the_rows_beside_it(places: list[int]) -> None:
    model, later = _fitted(), random_features(40, seed=9)

    whole = model.predict_proba(later)

    assert model.predict_proba(later.iloc[places]).tobytes() == whole[places].tobytes()


def _fitted(cache: list = []) -> object:  # noqa: B006 (one fit for all examples)
    if not cache:
        cache.append(make_model("logistic").fit(planted(200)))
    return cache[0]


def test_logistic_columns_are_found_by_name_and_dtypes_do_not_matter() -> None:
    rows = planted(200, 4)
    whole = TrainingRows((rows.features.fillna(0.0) * 4).round().astype(np.int64), rows.outcome)
    model = make_model("logistic").fit(whole)

    expected = model.predict_proba(whole.features)

    mixed = whole.features[["f03", "f01", "f00", "f02"]].astype(np.float32).assign(extra="x")
    assert model.predict_proba(mixed).tobytes() == expected.tobytes()
    assert model.predict_proba(whole.features[:0]).shape == (0,)


def test_logistic_read_back_says_the_same_bits(tmp_path: Path) -> None:
    rows = planted(300)
    model = make_model("logistic", {"signed_log": True, "strength": 0.01}).fit(rows)

    model.save(tmp_path)
    back = load_model(tmp_path)

    assert back.predict_proba(rows.features).tobytes() == model.predict_proba(rows.features).tobytes()
    assert back.contributions(rows.features).equals(model.contributions(rows.features))
    assert back.gain().equals(model.gain())
    assert back.settings == model.settings
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logistic.json", "model.json"]


def test_logistic_fit_leaves_its_rows_as_they_are() -> None:
    rows = planted(100)
    before = rows.features.copy(), rows.outcome.copy()

    make_model("logistic").fit(rows).contributions(rows.features)

    assert rows.features.equals(before[0])
    assert rows.outcome.equals(before[1])


def test_logistic_two_fits_are_the_same_bytes_whatever_the_number_of_threads(tmp_path: Path) -> None:
    rows = planted(600, 120)
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            make_model("logistic").fit(rows).save(tmp_path / str(threads))

    assert len({(tmp_path / str(threads) / "logistic.json").read_bytes() for threads in (1, 2, 4)}) == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "FileNotFoundError"),
        (
            lambda path: path.write_text(path.read_text()[:200]),
            "logistic.json is not the file that was saved: its SHA-256",
        ),
        (lambda path: path.write_text(path.read_text().replace('"intercept": ', '"intercept": 1')), "is not the file"),
    ],
)
def test_logistic_broken_file_is_one_sentence(tmp_path: Path, spoil: object, message: str) -> None:
    make_model("logistic").fit(planted(100)).save(tmp_path)
    spoil(tmp_path / "logistic.json")  # type: ignore[operator]

    with pytest.raises(DataError, match=r"the logistic model in .* is broken \(.*train it again") as caught:
        load_model(tmp_path)

    assert message in str(caught.value)


def test_logistic_manifest_without_its_digest_is_one_sentence(tmp_path: Path) -> None:
    make_model("logistic").fit(planted(100)).save(tmp_path)
    manifest = json.loads((tmp_path / "model.json").read_text())
    del manifest["extra"]["sha256"]
    (tmp_path / "model.json").write_text(json.dumps(manifest))

    with pytest.raises(DataError, match=r"is broken \(KeyError: 'sha256'\); train it again"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 0}, "logistic: strength is 0: Input should be greater than 0"),
        ({"strength": float("inf")}, "logistic: strength is inf: Input should be a finite number"),
        ({"winsorize": (0.9, 0.1)}, "logistic: winsorize is (0.9, 0.1): give 0 ≤ lower < upper ≤ 1"),
        (
            {"c": 1},
            "logistic: setting c is unknown; choose from calibration, calibration_folds, strength",
        ),
    ],
)
def test_logistic_impossible_setting_is_one_sentence(settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_model("logistic", settings)

    assert str(caught.value).startswith(message)
