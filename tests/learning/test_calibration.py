"""Calibration: against scikit-learn, statsmodels, itself from JSON; and that it sees out-of-fold scores only."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning import CombinatorialPurged, leaking_rows
from pipeline.learning.calibration import Isotonic, Platt, calibrator_from_json, fit_calibrator, log_odds
from pipeline.learning.models import FitOptions, Model, Progress, TrainingRows, load_model, make_model
from pipeline.learning.models.out_of_fold import level_of, out_of_fold_evidence
from tests.learning.trades import Neighbour, area_under_curve, market

FAST = {"rounds": 8, "validation_share": 0, "min_data_in_leaf": 10}


def overconfident(rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    odds = random.normal(size=rows)
    label = (random.random(rows) < expit(0.5 * odds - 0.3)).astype(np.float64)
    return expit(2 * odds), label, random.uniform(0.2, 1.0, rows)


# --- Platt


def test_platt_equals_a_generalised_linear_model_to_the_last_digits() -> None:
    import statsmodels.api as api

    scores, label, weight = overconfident()
    ones, zeros = weight[label > 0].sum(), weight[label == 0].sum()
    target = np.where(label > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    found = fit_calibrator("platt", scores, label, weight)

    design = np.column_stack([log_odds(scores), np.ones(len(scores))])
    # Twice the rows, as ones and as zeros, weighted by the smoothed target: the same likelihood.
    fitted = api.GLM(
        np.repeat([1.0, 0.0], len(scores)),
        np.vstack([design, design]),
        family=api.families.Binomial(),
        freq_weights=np.concatenate([weight * target, weight * (1 - target)]),
    ).fit(tol=1e-14)
    assert isinstance(found, Platt)
    np.testing.assert_allclose([found.slope, found.intercept], fitted.params, rtol=1e-11)


def test_platt_equals_scikit_learns_sigmoid_within_its_tolerance_and_fits_no_worse() -> None:
    from sklearn.calibration import _SigmoidCalibration

    scores, label, weight = overconfident()
    theirs = _SigmoidCalibration().fit(log_odds(scores), label, weight)

    found = fit_calibrator("platt", scores, label, weight)

    np.testing.assert_allclose(found.apply(scores), theirs.predict(log_odds(scores)), atol=2e-6)
    ones, zeros = weight[label > 0].sum(), weight[label == 0].sum()
    target = np.where(label > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    def loss(chance: np.ndarray) -> float:
        return float((weight * -(target * np.log(chance) + (1 - target) * np.log1p(-chance))).sum())

    assert loss(found.apply(scores)) <= loss(theirs.predict(log_odds(scores))) + 1e-12


def test_platt_of_calibrated_scores_changes_little() -> None:
    random = np.random.default_rng(3)
    chance = random.uniform(0.05, 0.95, 20_000)
    label = (random.random(20_000) < chance).astype(np.float64)

    found = fit_calibrator("platt", chance, label, np.ones(20_000))

    assert isinstance(found, Platt)
    assert found.slope == pytest.approx(1, abs=0.05)
    assert found.intercept == pytest.approx(0, abs=0.05)


def test_platt_scores_against_the_labels_say_the_base_rate_and_nothing_else() -> None:
    scores, label, weight = overconfident()

    found = fit_calibrator("platt", 1 - scores, label, weight)

    ones, zeros = weight[label > 0].sum(), weight[label == 0].sum()
    smoothed = (ones * (ones + 1) / (ones + 2) + zeros / (zeros + 2)) / (ones + zeros)
    assert isinstance(found, Platt)
    assert found.slope == 0
    np.testing.assert_allclose(found.apply(scores), smoothed, rtol=1e-14)


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_platt_of_one_score_for_all_is_the_base_rate(score: float) -> None:
    _, label, weight = overconfident()

    found = fit_calibrator("platt", np.full(len(label), score), label, weight)

    assert isinstance(found, Platt)
    assert found.slope == 0
    assert found.apply(np.array([score]))[0] == pytest.approx(np.average(label, weights=weight), abs=0.005)


def test_platt_scores_that_part_the_classes_stay_finite() -> None:
    label = np.repeat([0.0, 1.0], 50)

    found = fit_calibrator("platt", label, label, np.ones(100))

    assert np.isfinite([found.slope, found.intercept]).all()
    np.testing.assert_allclose(found.apply(np.array([0.0, 1.0])), [1 / 52, 51 / 52], rtol=1e-9)


# --- isotonic


def test_isotonic_equals_scikit_learn_on_known_and_on_new_scores() -> None:
    scores, label, weight = overconfident()
    scores = scores.round(2)  # ties
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, label, weight)

    found = fit_calibrator("isotonic", scores, label, weight)

    new = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(found.apply(scores), theirs.predict(scores), rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.apply(new), theirs.predict(new), rtol=0, atol=1e-15)


def test_isotonic_scores_against_the_labels_are_level() -> None:
    label = np.repeat([1.0, 0.0], 50)

    found = fit_calibrator("isotonic", np.linspace(0.1, 0.9, 100), label, np.ones(100))

    np.testing.assert_allclose(found.apply(np.array([0.0, 0.5, 1.0])), 0.5, rtol=1e-15)


# --- both


@given(
    st.sampled_from(["platt", "isotonic"]),
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.01, 1)), min_size=2, max_size=40),
)
def test_calibrators_rise_stay_within_zero_and_one_and_survive_json_to_the_bit(kind, rows) -> None:
    scores, label, weight = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    grid = np.linspace(0, 1, 201)

    found = fit_calibrator(kind, scores, label, weight)

    chances = found.apply(grid)
    again = calibrator_from_json(json.loads(json.dumps(found.to_json())))
    assert again.apply(grid).tobytes() == chances.tobytes()
    assert ((chances >= 0) & (chances <= 1)).all()
    assert all(later >= earlier for earlier, later in pairwise(chances))


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibrators_correct_overconfident_scores(kind) -> None:
    scores, label, weight = overconfident(2_000)
    fresh, happened, _ = overconfident(2_000, seed=1)

    found = fit_calibrator(kind, scores, label, weight)

    assert log_loss(happened, found.apply(fresh)) < log_loss(happened, fresh) - 0.1


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "beta"},
        {"kind": "isotonic", "scores": [0.1], "probabilities": []},
        {"kind": "isotonic", "scores": [], "probabilities": []},
        {"kind": "platt", "slope": 1.0},
    ],
)
def test_calibrator_from_json_of_something_else_is_an_error(raw) -> None:
    with pytest.raises((ValueError, KeyError)):
        calibrator_from_json(raw)


def test_fit_calibrator_score_that_is_not_a_number_is_an_error() -> None:
    with pytest.raises(DataError, match="1 of 2 scores"):
        fit_calibrator("platt", np.array([0.5, np.nan]), np.array([0.0, 1.0]), np.ones(2))


# --- where the scores come from


class Remembering(Neighbour):
    """Keeps what each of its fits was given."""

    fits: list[tuple[pd.Index, pd.Index]] = []  # noqa: RUF012

    def _predict(self, features: pd.DataFrame) -> np.ndarray:
        self.fits.append((self.learned_from, features.index))
        return super()._predict(features)


def test_out_of_fold_scores_come_from_purged_folds_of_the_rows_given() -> None:
    rows = market(120).rows
    Remembering.fits.clear()

    evidence = out_of_fold_evidence(Remembering, rows, 5, FitOptions())

    place = rows.outcome.index
    assert len(Remembering.fits) == 5
    assert sorted(label for _, scored in Remembering.fits for label in scored) == sorted(place)
    for learned, scored in Remembering.fits:
        train, test = place.get_indexer(learned), place.get_indexer(scored)
        assert len(leaking_rows(rows.outcome, train, test)) == 0
    assert np.isfinite(evidence).all()


def test_out_of_fold_scores_of_a_fold_ignore_its_own_labels_and_all_that_meet_them() -> None:
    rows = market(120).rows
    train, test = list(CombinatorialPurged(5, 1).split(rows.outcome))[2]
    hidden = np.setdiff1d(np.arange(len(rows)), train)
    outcome = rows.outcome.copy()
    outcome.iloc[hidden, outcome.columns.get_loc("label")] = 1 - rows.label[hidden]

    for make in (Neighbour, lambda: make_model("lightgbm", FAST), lambda: make_model("logistic")):
        before = out_of_fold_evidence(make, rows, 5, FitOptions())
        after = out_of_fold_evidence(make, TrainingRows(rows.features, outcome), 5, FitOptions())

        assert before[test].tobytes() == after[test].tobytes()
        assert before.tobytes() != after.tobytes()


def walk_rows(seed: int, days: int = 300) -> TrainingRows:
    """A random walk's direction over the next twenty days, and the day as the only feature."""
    walk = np.random.default_rng(seed).normal(size=days + 20).cumsum()
    start = pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(np.arange(days), unit="D")
    outcome = pd.DataFrame({"start": start, "end": start + pd.Timedelta("20D")}).assign(
        label=(walk[20:] > walk[:-20]).astype(np.float64), r_multiple=0.0, net=0.0, weight=1.0
    )
    return TrainingRows(pd.DataFrame({"day": np.arange(days, dtype=np.float64)}), outcome)


def test_out_of_fold_scores_find_nothing_where_labels_overlap_and_without_purging_they_would() -> None:
    # Neighbours in time share most of their labels' lives and agree; what comes after is a coin's fall.
    leaky, purged = [], []
    for seed in range(20):
        rows = walk_rows(seed)
        whole = np.empty(len(rows))
        for fold in np.array_split(np.arange(len(rows)), 15):
            model = Neighbour().fit(rows.take(np.setdiff1d(np.arange(len(rows)), fold)))
            whole[fold] = model.predict_proba(rows.features.iloc[fold])
        leaky.append(area_under_curve(rows.label, whole)[0])
        scores = out_of_fold_evidence(Neighbour, rows, 15, FitOptions())
        purged.append(area_under_curve(rows.label, scores)[0])

    error = np.std(purged, ddof=1) / np.sqrt(len(purged))
    assert np.mean(leaky) > 0.65
    assert abs(np.mean(purged) - 0.5) < 2 * error


def test_out_of_fold_evidence_of_a_model_that_knows_nothing_is_zero_and_its_scores_are_its_level() -> None:
    # As they come, the constant's scores are low where ones are many: of the others there are fewer.
    rows = market(200, seed=2).rows
    raw = np.empty(len(rows))
    for train, test in CombinatorialPurged(5, 1).split(rows.outcome):
        raw[test] = make_model("constant").fit(rows.take(train)).predict_proba(rows.features.iloc[test])
    constant = make_model("constant").fit(rows)

    evidence = out_of_fold_evidence(lambda: make_model("constant"), rows, 5, FitOptions())

    assert area_under_curve(rows.label, raw)[0] < 0.45
    np.testing.assert_allclose(evidence, 0, atol=1e-14)
    np.testing.assert_allclose(constant.score_out_of_fold(rows), constant.predict_proba(rows.features), rtol=1e-14)


def test_out_of_fold_scores_of_a_timid_model_are_as_good_within_all_folds_as_within_one() -> None:
    rows = market(200, edge=4.0).rows
    timid = make_model("logistic", {"strength": 1e-5}).fit(rows)

    scores = timid.score_out_of_fold(rows).to_numpy()

    within = [
        area_under_curve(rows.label[test], scores[test])[0] for _, test in CombinatorialPurged(5, 1).split(rows.outcome)
    ]
    assert area_under_curve(rows.label, scores)[0] == pytest.approx(np.mean(within), abs=0.03)
    assert level_of(scores, rows.weight) == pytest.approx(
        level_of(timid.predict_proba(rows.features), rows.weight), abs=0.01
    )
    calibrated = timid.fresh(calibration="platt").fit(rows)
    assert calibrated.calibrator.slope > 10
    happened, chance = rows.label, calibrated.out_of_fold
    assert log_loss(happened, chance) < log_loss(happened, scores) - 0.1


def test_score_out_of_fold_of_a_model_that_is_not_fitted_is_an_error() -> None:
    with pytest.raises(DataError, match="not fitted"):
        make_model("logistic").score_out_of_fold(market(60).rows)


def test_out_of_fold_scores_too_few_rows_for_the_folds_is_one_sentence() -> None:
    rows = market(60).rows
    few = rows.take(np.array([0, 1, *np.flatnonzero(rows.label != rows.label[0])[:2]]))
    alike = rows.take(np.flatnonzero(rows.label == 1)[:30])
    one = TrainingRows(alike.features, alike.outcome.assign(label=[0.0] + [1.0] * 29))

    with pytest.raises(DataError, match=r"4 training rows can't be cut into 5 inner folds .*too few for 5 folds"):
        make_model("logistic", {"calibration": "platt"}).fit(few)
    with pytest.raises(DataError, match=r"30 training rows can't be cut into 5 inner folds .*have the label 1"):
        make_model("logistic", {"calibration": "platt"}).fit(one)


# --- calibrated models


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibrated_model_is_the_plain_one_and_a_calibrator_of_its_out_of_fold_scores(kind) -> None:
    rows = market(edge=1.0).rows
    plain, calibrated = make_model("lightgbm", FAST), make_model("lightgbm", {**FAST, "calibration": kind})

    calibrated.fit(rows)

    raw = plain.fit(rows).predict_proba(rows.features)
    held_out = plain.score_out_of_fold(rows)
    calibrator = fit_calibrator(kind, held_out.to_numpy(), rows.label, rows.weight)
    assert calibrated.predict_proba(rows.features).tobytes() == calibrator.apply(raw).tobytes()
    assert calibrated.out_of_fold.to_numpy().tobytes() == calibrator.apply(held_out.to_numpy()).tobytes()
    assert calibrated.score_out_of_fold(rows).equals(held_out)
    assert plain.calibrator is None
    assert plain.out_of_fold is None


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
@pytest.mark.parametrize("family", ["constant", "logistic", "lightgbm_r"])
def test_calibrated_model_saved_and_loaded_gives_the_same_bits(kind, family, tmp_path) -> None:
    settings = FAST if family == "lightgbm_r" else {}
    data = market(edge=1.0)
    model = make_model(family, {**settings, "calibration": kind}).fit(data.rows)

    model.save(tmp_path)
    again = load_model(tmp_path)

    assert again.predict_proba(data.scored).tobytes() == model.predict_proba(data.scored).tobytes()
    assert again.calibrator == model.calibrator
    assert isinstance(again.calibrator, Platt if kind == "platt" else Isotonic)
    assert again.settings == model.settings
    assert again.out_of_fold is None


def test_calibrated_model_fitted_twice_has_the_same_bits() -> None:
    data = market()
    settings = {**FAST, "calibration": "isotonic"}

    first, second = (make_model("lightgbm", settings, seed=3).fit(data.rows) for _ in range(2))

    assert first.predict_proba(data.scored).tobytes() == second.predict_proba(data.scored).tobytes()


def test_calibrated_model_gives_probabilities_whatever_its_family_gives() -> None:
    rows = market(400, edge=1.0).rows

    raw = make_model("lightgbm_r", FAST).fit(rows)
    calibrated = make_model("lightgbm_r", {**FAST, "calibration": "platt"}).fit(rows)

    assert not raw.probabilistic
    assert calibrated.probabilistic
    assert not calibrated.fresh(calibration="none").probabilistic
    assert calibrated.predict_proba(rows.features).mean() == pytest.approx(rows.label.mean(), abs=0.02)


def test_calibrated_model_with_a_broken_calibrator_is_one_sentence(tmp_path) -> None:
    make_model("logistic", {"calibration": "platt"}).fit(market(60).rows).save(tmp_path)
    manifest = tmp_path / "model.json"
    manifest.write_text(manifest.read_text().replace('"platt",\n  "slope"', '"platt",\n  "slop"'))

    with pytest.raises(DataError, match=r"logistic model in .* is broken"):
        load_model(tmp_path)


@pytest.mark.parametrize("settings", [{"calibration": "beta"}, {"calibration_folds": 1}, {"calibration_folds": 2.5}])
def test_calibration_impossible_setting_names_family_and_setting(settings) -> None:
    with pytest.raises(ConfigurationError, match=f"logistic: {next(iter(settings))} is"):
        make_model("logistic", settings)


def test_calibrated_model_without_rows_to_score_gives_none() -> None:
    data = market(60)
    model = make_model("logistic", {"calibration": "platt"}).fit(data.rows)

    assert model.predict_proba(data.scored.iloc[:0]).shape == (0,)


def test_calibrated_model_tells_which_inner_fit_it_is_in_and_gives_each_its_checkpoint(tmp_path) -> None:
    told: list[Progress] = []
    paths: list[str] = []

    class Saving(Neighbour):
        def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
            paths.append(options.checkpoint.name)
            super()._fit(rows, options)

    model: Model = Saving({"calibration": "platt", "calibration_folds": 3})
    model.fit(market(60).rows, FitOptions(observe=told.append, checkpoint=tmp_path / "fold_1.ckpt"))

    assert [each.stage for each in told] == ["", "inner fold 1 of 3", "inner fold 2 of 3", "inner fold 3 of 3"]
    assert paths == ["fold_1.ckpt", *(f"fold_1-inner_fold_{number}_of_3.ckpt" for number in (1, 2, 3))]
