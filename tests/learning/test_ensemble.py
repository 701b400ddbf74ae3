"""Ensembles: what combines the members was learned from rows that these had not learned from, and survives a folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from pipeline.errors import ConfigurationError, DataError
from pipeline.features.sequences import sequence_timeframes
from pipeline.learning import CombinatorialPurged
from pipeline.learning.calibration import log_odds
from pipeline.learning.combination import Combination, combination_from_json, equal_combination, fit_combination
from pipeline.learning.models import FitOptions, Progress, TrainingRows, load_model, make_model
from pipeline.learning.models.families.ensemble import Ensemble
from tests.learning.trades import market

TREES = {"family": "lightgbm", "settings": {"rounds": 8, "validation_share": 0, "min_data_in_leaf": 10}}
# A tree a row: right about all that it has learned from.
MEMORY = {
    "family": "lightgbm",
    "settings": {
        "rounds": 60,
        "validation_share": 0,
        "min_data_in_leaf": 1,
        "learning_rate": 0.3,
        "num_leaves": 64,
        "max_depth": -1,
        "lambda_l2": 0.0,
        "feature_fraction": 1.0,
        "bagging_fraction": 1.0,
    },
}
PAIR = {"members": ["logistic", TREES], "calibration_folds": 3}


def ensemble(**settings: Any) -> Ensemble:
    model = make_model("ensemble", {**PAIR, **settings}, seed=2)
    assert isinstance(model, Ensemble)
    return model


def scores_of(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three members: one good, one so-so, one noise, the first two surer than they may be."""
    random = np.random.default_rng(seed)
    known = random.normal(size=(rows, 3))
    label = (random.random(rows) < expit(known[:, 0] + 0.4 * known[:, 1] - 0.3)).astype(np.float64)
    return expit(known * [2.0, 1.5, 0.5]), label, random.uniform(0.3, 1.0, rows)


# --- combining


def test_average_is_the_mean_of_the_members() -> None:
    scores, _, _ = scores_of()

    np.testing.assert_allclose(equal_combination(3).apply(scores), scores.mean(axis=1), rtol=1e-15)


def test_weighted_finds_the_mixture_with_the_least_log_loss() -> None:
    scores, label, weight = scores_of()

    found = fit_combination("weighted", scores, label, weight)

    def loss(weights: np.ndarray) -> float:
        chance = (scores * weights).sum(axis=1)
        return float(-(weight * np.where(label > 0, np.log(chance), np.log1p(-chance))).sum())

    steps = np.linspace(0, 1, 51)
    grid = [np.array([a, b, 1 - a - b]) for a in steps for b in steps if a + b <= 1]
    assert sum(found.weights) == pytest.approx(1, abs=1e-12)
    assert min(found.weights) >= 0
    assert found.weights[0] > found.weights[1] > 0.1
    assert loss(np.array(found.weights)) <= min(map(loss, grid)) + 1e-9


def test_weighted_members_that_say_the_same_share_alike() -> None:
    scores, label, weight = scores_of()

    found = fit_combination("weighted", scores[:, [0, 0]], label, weight)

    assert found.weights == (0.5, 0.5)


def test_weighted_members_sure_of_the_wrong_thing_stay_finite() -> None:
    found = fit_combination("weighted", np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([1.0, 0.0]), np.ones(2))

    np.testing.assert_allclose(found.weights, 0.5, rtol=1e-12)


def test_stacked_equals_scikit_learns_logistic_regression() -> None:
    scores, label, weight = scores_of()

    found = fit_combination("stacked", scores[:, :2], label, weight)

    theirs = LogisticRegression(C=1.0, tol=1e-12, solver="newton-cholesky")
    theirs.fit(log_odds(scores[:, :2]), label, sample_weight=weight)
    np.testing.assert_allclose(found.weights, theirs.coef_[0], rtol=1e-5)
    assert found.intercept == pytest.approx(theirs.intercept_[0], rel=1e-5)
    np.testing.assert_allclose(
        found.apply(scores[:, :2]), theirs.predict_proba(log_odds(scores[:, :2]))[:, 1], rtol=1e-5
    )


def test_stacked_member_against_the_labels_gets_no_weight() -> None:
    scores, label, weight = scores_of()

    found = fit_combination("stacked", np.column_stack([scores[:, 0], 1 - scores[:, 1]]), label, weight)

    assert found.weights[0] > 0.5
    assert found.weights[1] == 0


@pytest.mark.parametrize("method", ["average", "weighted", "stacked"])
def test_combination_survives_json_to_the_bit(method) -> None:
    scores, label, weight = scores_of()
    made = equal_combination(3) if method == "average" else fit_combination(method, scores, label, weight)

    again = combination_from_json(json.loads(json.dumps(made.to_json())), 3)

    assert again == made
    assert again.apply(scores).tobytes() == made.apply(scores).tobytes()
    with pytest.raises(ValueError, match="3 weights for 2 members"):
        combination_from_json(made.to_json(), 2)


def test_combination_of_certain_scores_stays_within_zero_and_one() -> None:
    weights = (0.1,) * 10

    assert Combination("weighted", weights).apply(np.ones((1, 10)))[0] <= 1


# --- the ensemble


def test_ensemble_average_without_calibration_is_the_mean_of_models_fitted_alone() -> None:
    data = market(edge=1.0)

    made = ensemble(calibration="none").fit(data.rows)

    alone = [
        make_model("logistic", seed=2).fit(data.rows),
        make_model("lightgbm", TREES["settings"], seed=3).fit(data.rows),
    ]
    mean = sum(model.predict_proba(data.scored) * 0.5 for model in alone)
    assert made.predict_proba(data.scored).tobytes() == mean.tobytes()
    assert made.calibrator is None


@pytest.mark.parametrize("method", ["weighted", "stacked"])
def test_ensemble_weights_come_from_out_of_fold_scores_and_not_from_what_members_remember(method) -> None:
    data = market(300, edge=1.5)
    honest = {"family": "logistic", "settings": {"strength": 0.1}}

    made = ensemble(members=[honest, MEMORY], method=method).fit(data.rows)

    in_sample = np.column_stack([member.predict_proba(data.rows.features) for member in made.members])
    fooled = fit_combination(method, in_sample, data.rows.label, data.rows.weight)
    assert fooled.weights[1] > 2 * fooled.weights[0]
    assert made.combination.weights[0] > 2 * made.combination.weights[1]


@pytest.mark.parametrize("method", ["average", "weighted", "stacked"])
def test_ensemble_evidence_of_a_fold_ignores_its_labels_in_both_storeys(method) -> None:
    rows = market(150, edge=1.0).rows
    settings = {"method": method, "calibration_folds": 4}
    train, test = list(CombinatorialPurged(4, 1).split(rows.outcome))[1]
    hidden = np.setdiff1d(np.arange(len(rows)), train)
    outcome = rows.outcome.copy()
    outcome.iloc[hidden, outcome.columns.get_loc("label")] = 1 - rows.label[hidden]

    before = ensemble(**settings)._inner_evidence(rows, FitOptions())
    after = ensemble(**settings)._inner_evidence(TrainingRows(rows.features, outcome), FitOptions())

    assert np.isfinite(before).all()
    assert before[test].tobytes() == after[test].tobytes()
    assert before.tobytes() != after.tobytes()


@pytest.mark.parametrize("calibration", ["none", "platt", "isotonic"])
@pytest.mark.parametrize("method", ["average", "weighted", "stacked"])
def test_ensemble_saved_and_loaded_gives_the_same_bits(method, calibration, tmp_path) -> None:
    data = market(edge=1.0)
    made = ensemble(method=method, calibration=calibration).fit(data.rows)

    made.save(tmp_path)
    again = load_model(tmp_path)

    assert isinstance(again, Ensemble)
    assert again.predict_proba(data.scored).tobytes() == made.predict_proba(data.scored).tobytes()
    assert again.combination == made.combination
    assert again.settings == made.settings
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "member_00_logistic",
        "member_01_lightgbm",
        "model.json",
    ]


def test_ensemble_of_calibrated_members_and_a_calibrated_whole_saved_and_loaded_gives_the_same_bits(tmp_path) -> None:
    data = market(edge=1.0)
    member = {"family": "lightgbm_dollars", "settings": {**TREES["settings"], "calibration": "isotonic"}}
    made = ensemble(members=["constant", member]).fit(data.rows)

    made.save(tmp_path)

    assert load_model(tmp_path).predict_proba(data.scored).tobytes() == made.predict_proba(data.scored).tobytes()


def test_ensemble_fitted_again_has_the_same_bits() -> None:
    data = market(edge=1.0)
    made = ensemble(method="stacked")

    first = made.fit(data.rows).predict_proba(data.scored)
    again = made.fit(data.rows).predict_proba(data.scored)

    assert first.tobytes() == again.tobytes()
    assert ensemble(method="stacked").fit(data.rows).predict_proba(data.scored).tobytes() == first.tobytes()


def test_ensemble_of_one_family_twice_is_two_models() -> None:
    data = market(edge=1.0)
    bagged = {"family": "lightgbm", "settings": {**TREES["settings"], "feature_fraction": 0.5}}

    made = ensemble(members=[bagged, bagged], calibration="none").fit(data.rows)

    first, second = made.members
    assert made.member_names == ("lightgbm 1", "lightgbm 2")
    assert (first.predict_proba(data.scored) != second.predict_proba(data.scored)).any()


def test_ensemble_is_calibrated_by_default_and_gives_probabilities() -> None:
    data = market(400, edge=2.0)

    made = ensemble(members=["logistic", "lightgbm_r"], method="stacked").fit(data.rows)

    chance = made.predict_proba(data.rows.features)
    assert made.settings.calibration == "platt"
    assert made.probabilistic
    assert chance.mean() == pytest.approx(data.rows.label.mean(), abs=0.03)


def test_ensemble_broken_member_is_one_sentence(tmp_path) -> None:
    made = ensemble(calibration="none").fit(market(60).rows)
    made.save(tmp_path)
    (tmp_path / "member_01_lightgbm" / "model.json").unlink()

    with pytest.raises(DataError, match=r"the ensemble model in .* is broken .*no model\.json"):
        load_model(tmp_path)


def test_ensemble_members_of_another_order_are_noticed(tmp_path) -> None:
    ensemble(calibration="none").fit(market(60).rows).save(tmp_path)
    manifest = json.loads((tmp_path / "model.json").read_text())
    manifest["extra"]["members"].reverse()
    (tmp_path / "model.json").write_text(json.dumps(manifest))

    with pytest.raises(DataError, match="the members are lightgbm, logistic, not logistic, lightgbm"):
        load_model(tmp_path)


def test_ensemble_tells_which_member_of_which_fold_is_being_fitted(tmp_path: Path) -> None:
    told: list[Progress] = []

    ensemble(members=[TREES, TREES], method="weighted").fit(
        market(60).rows, FitOptions(observe=told.append, checkpoint=tmp_path / "final.ckpt")
    )

    stages = list(dict.fromkeys(progress.stage for progress in told))
    members = ["lightgbm 1", "lightgbm 2"]
    folds = [f"inner fold {number} of 3" for number in (1, 2, 3)]
    pairs = [f"inner folds {pair} of 3" for pair in ("1 and 2", "1 and 3", "2 and 3")]
    assert stages == [*members, *(f"{fold} / {member}" for fold in [*folds, *pairs] for member in members)]


def test_ensemble_log_holds_the_members_logs_side_by_side() -> None:
    made = ensemble(calibration="none").fit(market(60).rows)

    assert len(made.training_log) == 8
    assert made.training_log.index.name == "step"
    assert all(column.startswith("lightgbm ") for column in made.training_log.columns)


# --- members that read different things


def both_kinds(days: int = 60) -> tuple[TrainingRows, pd.DataFrame]:
    """Features and short sequences side by side."""
    data = market(days, edge=1.0)
    names = [name for frame in sequence_timeframes(3, 2) for name in frame.columns]
    random = np.random.default_rng(1)
    sequences = pd.DataFrame(random.normal(size=(len(data.scored), len(names))), data.scored.index, names)
    scored = pd.concat([data.scored, sequences], axis=1)
    return TrainingRows(scored.loc[data.rows.features.index], data.rows.outcome), scored


def test_ensemble_of_features_and_sequences_gives_each_member_its_own_columns(tmp_path) -> None:
    rows, scored = both_kinds()
    reader = {"family": "lstm", "settings": {"width": 32, "epochs": 1, "validation_share": 0}}

    made = ensemble(members=["logistic", reader], calibration="none").fit(rows)

    assert made.inputs == "both"
    assert made.uses_device
    assert made.packages == ("torch",)
    assert made.members[0].columns == ("x0", "x1", "x2", "x3")
    assert made.members[1].columns == tuple(name for name in rows.features.columns if not name.startswith("x"))
    assert made.columns == tuple(rows.features.columns)
    made.save(tmp_path)
    again = load_model(tmp_path)
    assert again.inputs == "both"
    mixed = scored[np.random.default_rng(0).permutation(scored.columns)]
    assert again.predict_proba(mixed).tobytes() == made.predict_proba(scored).tobytes()


def test_ensemble_of_features_and_sequences_without_the_sequences_is_one_sentence() -> None:
    rows = market(60).rows

    with pytest.raises(DataError, match="member lstm reads sequences, and the rows hold none"):
        ensemble(members=["logistic", "lstm"], calibration="none").fit(rows)


@pytest.mark.parametrize(
    ("members", "inputs"), [(["logistic", "mlp"], "features"), (["lstm", "attention"], "sequences")]
)
def test_ensemble_of_one_kind_reads_that_kind(members, inputs) -> None:
    assert ensemble(members=members).inputs == inputs


# --- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": ["logistic"]}, "at least 2 items"),
        ({"members": ["logistic", "oracle"]}, "no model family 'oracle'"),
        ({"members": ["logistic", {"family": "mlp", "settings": {"layer": 3}}]}, "mlp: setting layer is unknown"),
        ({"members": ["logistic", {"family": "mlp", "seed": 3}]}, "seed"),
        ({"members": ["logistic", "ensemble"]}, "can't be a member of one"),
        ({"method": "median"}, "method is 'median'"),
        ({"method": "stacked", "calibration_folds": 2}, "3 or more"),
        (
            {"members": ["logistic", "lightgbm_r"]},
            "of its member lightgbm_r are not probabilities and can't be averaged",
        ),
        ({"members": ["lightgbm_r", "lightgbm_dollars"], "method": "weighted"}, "can't be weighted"),
        ({"weights": [1, 2]}, "ensemble: setting weights is unknown"),
    ],
)
def test_ensemble_impossible_settings_are_one_sentence(settings, message) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        make_model("ensemble", settings)

    assert str(caught.value).startswith("ensemble")


def test_ensemble_of_uncalibrated_scores_gives_no_probabilities_until_it_is_calibrated() -> None:
    members = ["lightgbm_r", "lightgbm_dollars"]

    assert not make_model("ensemble", {"members": members, "calibration": "none"}).probabilistic
    assert make_model("ensemble", {"members": members}).probabilistic
    assert make_model("ensemble", {"members": members, "calibration": "none", "method": "stacked"}).probabilistic
