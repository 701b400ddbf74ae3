"""The model target: values against slow oracles, nothing of the future in a fold's choice, saving, resuming."""

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.compute import CPU
from pipeline.learning.models import Model, TrainingRows, families, load_model, make_model
from pipeline.learning.models.boosting_rows import PreparedRows
from pipeline.learning.splits import CombinatorialPurged, PurgedWalkForward
from pipeline.learning.threshold import tune_threshold
from pipeline.learning.walk_forward import FitPlan, WalkForward, walk_forward
from pipeline.search_space import Choice, SearchSpace, Whole
from pipeline.tuning.model_target import ModelTarget
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.search import Pruned
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.trial_store import TrialStore, open_trials
from pipeline.tuning.trials import Progress as StudyProgress
from pipeline.tuning.tuned_model import NestedStudies, TunedModel
from tests.learning.models.made_rows import made_rows, noise, planted, random_features

SMALL = {"rounds": 25, "patience": 5}
TWO = CombinatorialPurged(2, 1)
FEW = StudySettings(trials=4, startup_trials=2, pruner="none", seed=3)


def _target(rows: TrainingRows, family: str = "lightgbm", **changes: Any) -> ModelTarget:
    asked = {name: changes.pop(name) for name in StudyRequest.__dataclass_fields__ if name in changes}
    asked.setdefault("hyperparameters", SMALL if family.startswith("lightgbm") else {})
    return ModelTarget(rows, StudyRequest(family, **asked), **changes)


def _single(value: float | tuple[float, ...]) -> float:
    assert isinstance(value, float)
    return value


# --- prepared trees ---


@pytest.mark.parametrize("family", ["lightgbm", "lightgbm_r", "lightgbm_dollars"])
def test_prepared_boosting_gives_the_bits_of_the_family_s_own_fit_trial_after_trial(family: str) -> None:
    rows = planted(400)
    train, test = rows.take(np.arange(300)), rows.take(np.arange(300, 400))
    prepared = PreparedRows(train, test.features)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    settings = [SMALL | families()[family].space.suggest(study.ask()) for _ in range(6)]
    settings += [
        SMALL | {"refit": False},
        SMALL | {"validation_share": 0.0},
        SMALL | {"validation_share": 0.3, "max_bin": 7},
        SMALL | {"min_data_in_leaf": 10_000},
        SMALL,
    ]
    for each in settings:
        own = make_model(family, each, seed=5).fit(train).predict_proba(test.features)
        model = make_model(family, each, seed=5)
        np.testing.assert_array_equal(model.scores_of(prepared, CPU), own, err_msg=str(each))  # type: ignore[attr-defined]


# --- values ---


@pytest.mark.parametrize("family", ["lightgbm", "logistic"])
@pytest.mark.parametrize("splitter", [CombinatorialPurged(4, 1), PurgedWalkForward(3)])
def test_log_loss_is_that_of_all_inner_folds_scores(family: str, splitter: Any) -> None:
    rows = planted(240)
    value = _target(rows, family, splitter=splitter)({})
    label, score, weight = [], [], []
    for train, test in splitter.split(rows.outcome):
        model = make_model(family, SMALL if family == "lightgbm" else None).fit(rows.take(train))
        score.append(model.predict_proba(rows.features.iloc[test]))
        label.append(rows.label[test])
        weight.append(rows.weight[test])
    expected = log_loss(np.concatenate(label), np.concatenate(score), sample_weight=np.concatenate(weight))
    assert _single(value) == pytest.approx(expected, rel=1e-12)


def test_net_counts_the_trades_from_the_threshold_on() -> None:
    rows = planted(240)
    folds = CombinatorialPurged(4, 1)
    target = _target(rows, objectives=("net", "drawdown"), splitter=folds, threshold=0.45)
    judged = target.judge({})
    values, found = judged.values, judged.evidence  # noqa: PD011 (no frame)
    taken = np.zeros(len(rows), bool)
    for train, test in folds.split(rows.outcome):
        model = make_model("lightgbm", SMALL).fit(rows.take(train))
        taken[test] = model.predict_proba(rows.features.iloc[test]) >= 0.45
    assert 0 < taken.sum() < len(rows)
    money = np.where(taken, rows.net, 0.0)  # rows lie in order of time
    made = np.concatenate([[0.0], money.cumsum()])
    assert values == (money.sum(), (np.maximum.accumulate(made) - made).max())
    assert found is not None
    assert found.trades == taken.sum()
    assert found.daily.sum() == money.sum()
    assert found.daily.index[0] == pd.Timestamp("2015-01-01")


def test_net_of_a_tuned_threshold_takes_each_fold_s_from_the_others() -> None:
    rows = planted(400)
    folds = CombinatorialPurged(4, 1)
    value = _target(rows, "logistic", objectives=("net",), splitter=folds)({})
    splits = list(folds.split(rows.outcome))
    shown = []
    for train, test in splits:
        score = make_model("logistic").fit(rows.take(train)).predict_proba(rows.features.iloc[test])
        odds = np.log(score / (1 - score))
        shown.append(1 / (1 + np.exp(np.average(odds, weights=rows.weight[test]) - odds)))
    expected = 0.0
    for number, (_, test) in enumerate(splits):
        others = [other for other in range(4) if other != number]
        limit = tune_threshold(
            np.concatenate([shown[other] for other in others]),
            np.concatenate([rows.net[splits[other][1]] for other in others]),
        )
        expected += rows.net[test][shown[number] >= limit].sum()
    assert expected > 0
    assert value == expected


def test_money_on_given_sessions_is_that_of_the_trades_made_in_each() -> None:
    rows = planted(240)
    folds = CombinatorialPurged(4, 1)
    # Two rows a session, and sessions before, between and after them.
    sessions = pd.date_range("2015-01-01", periods=400, freq="D")
    traded_in = sessions[20 + np.arange(240) // 2 * 2]
    steps: dict[int, float] = {}
    target = _target(rows, objectives=("net",), splitter=folds, threshold=0.45, traded_in=traded_in, sessions=sessions)
    by_day = _target(rows, objectives=("net",), splitter=folds, threshold=0.45)
    taken = np.zeros(len(rows), bool)
    for train, test in folds.split(rows.outcome):
        taken[test] = (
            make_model("lightgbm", SMALL).fit(rows.take(train)).predict_proba(rows.features.iloc[test]) >= 0.45
        )
    expected = pd.Series(np.where(taken, rows.net, 0.0)).groupby(traded_in).sum().reindex(sessions, fill_value=0.0)

    found = target.evidence({}, steps.__setitem__)

    pd.testing.assert_series_equal(found.daily, expected, check_names=False, check_freq=False)
    assert list(steps.values()) == [found.daily.iloc[: 20 + 2 * last].sum() for last in (30, 60, 90)]
    assert found.daily.sum() == by_day.evidence({}).daily.sum()
    with pytest.raises(DataError, match="traded in 2015-01-21, which is none of the sessions"):
        _target(rows, traded_in=traded_in, sessions=sessions[21:])


def test_evidence_with_another_threshold_and_rows_that_may_not_be_taken() -> None:
    rows = planted(240)
    allowed = np.arange(240) % 3 > 0
    target = _target(rows, objectives=("net",), threshold=0.3)
    other = _target(rows, objectives=("net",), threshold=0.5)
    sessions = pd.date_range("2015-01-01", periods=240, freq="D")

    pd.testing.assert_series_equal(target.evidence({}, threshold=0.5).daily, other.evidence({}).daily)
    some, whole = target.evidence({}, allowed=allowed), target.evidence({})
    assert some.trades < whole.trades
    pd.testing.assert_series_equal(some.daily, whole.daily.where(pd.Series(allowed, sessions), 0.0), check_freq=False)


def test_remembered_scores_are_those_of_the_last_hyperparameters_asked_for() -> None:
    rows = planted(240)
    target = _target(rows, "logistic", objectives=("net",), remembered=2)
    points = [{"strength": strength} for strength in (0.01, 0.1, 1.0)]
    values = [target.evidence(point, threshold=0.4).daily.sum() for point in points]
    target._folds = tuple(replace(fold, train=fold.train.take(np.arange(3))) for fold in target._folds)

    assert [target.evidence(point, threshold=0.4).daily.sum() for point in points[1:]] == values[1:]
    with pytest.raises(DataError):
        target.evidence(points[0], threshold=0.4)


# --- reports ---


def test_reports_are_the_values_of_the_folds_so_far() -> None:
    rows = planted(240)
    steps: dict[int, float] = {}
    value = _single(_target(rows)({}, steps.__setitem__))
    assert list(steps) == [1, 2, 3, 4]
    first = _target(rows)
    (train, test), *_ = CombinatorialPurged(5, 1).split(rows.outcome)
    score = make_model("lightgbm", SMALL).fit(rows.take(train)).predict_proba(rows.features.iloc[test])
    assert steps[1] == pytest.approx(log_loss(rows.label[test], score, sample_weight=rows.weight[test]), rel=1e-12)
    assert value == first({})


def test_reports_of_money_begin_once_another_fold_tells_the_threshold() -> None:
    steps: dict[int, float] = {}
    _target(planted(240), "logistic", objectives=("net",))({}, steps.__setitem__)
    assert list(steps) == [2, 3, 4]


def test_reports_of_several_objectives_are_none() -> None:
    steps: dict[int, float] = {}
    values = _target(planted(240), "logistic", objectives=("net", "drawdown"))({}, steps.__setitem__)
    assert steps == {}
    assert isinstance(values, tuple)


def test_pruned_trial_ends_at_once() -> None:
    steps: list[int] = []

    def report(step: int, _: float) -> None:
        steps.append(step)
        if step == 2:
            raise Pruned

    with pytest.raises(Pruned):
        _target(planted(240), "logistic")({}, report)
    assert steps == [1, 2]


def test_reports_of_a_network_come_by_epoch_of_the_first_fold_too() -> None:
    pytest.importorskip("torch")
    steps: dict[int, float] = {}
    settings = {"epochs": 3, "patience": 3, "layers": [32]}
    _target(planted(120, 4), "mlp", hyperparameters=settings, splitter=CombinatorialPurged(3, 1))({}, steps.__setitem__)
    assert list(steps) == [1, 2, 3, 4, 5]  # three epochs, two folds
    assert all(np.isfinite(list(steps.values())))


def test_target_works_on_in_another_process() -> None:
    target = _target(planted(240))
    value = target({"num_leaves": 3})
    assert pickle.loads(pickle.dumps(target))({"num_leaves": 3}) == value  # noqa: S301


# --- what is refused ---


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("lightgbm_dollars", {}, "scores of lightgbm_dollars are not probabilities, so log_loss"),
        ("constant", {}, "constant has nothing to tune"),
        ("forest", {}, "no model family 'forest'"),
        ("logistic", {"objectives": ("profit",)}, "no objective 'profit'"),
        ("logistic", {"splitter": CombinatorialPurged(4, 2)}, "test some rows more than once"),
        ("logistic", {"splitter": PurgedWalkForward(1)}, "there is one inner fold only"),
        ("logistic", {"hyperparameters": {"strength": -1}}, "logistic: strength is -1"),
    ],
)
def test_target_impossible_is_refused(family: str, changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _target(planted(120), family, **changes)


def test_target_with_a_fold_that_has_one_class_to_learn_from_is_refused() -> None:
    net = np.where(np.arange(100) < 80, -100.0, 100.0)
    with pytest.raises(DataError, match="inner fold 5 would learn from have the label 0"):
        _target(made_rows(random_features(100), net), "logistic")


# --- the tuned model ---


def _crossed(rows: int, seed: int = 0) -> TrainingRows:
    """The sign of two features' product tells the result: a tree needs a split below a split."""
    features = random_features(rows, 2, seed, gaps=0.0)
    chance = np.where(features["f00"] * features["f01"] > 0, 0.9, 0.1)
    return made_rows(features, np.where(np.random.default_rng([seed, 4]).random(rows) < chance, 100.0, -100.0))


DEPTH = SearchSpace({"max_depth": Whole(1, 3), "lambda_l2": Choice([1.0, 1e6])})
GROWN = {"rounds": 60, "learning_rate": 0.2, "num_leaves": 8, "max_depth": 1, "feature_fraction": 1.0}


def test_tuned_model_finds_the_planted_depth_and_scores_better_for_it() -> None:
    learned, judged = _crossed(500), _crossed(300, 9)
    study = StudySettings(trials=8, startup_trials=4, seed=1)
    tuned = TunedModel(StudyRequest("lightgbm", hyperparameters=GROWN, space=DEPTH), study).fit(learned)
    assert tuned.result is not None
    assert tuned.result.best.params["max_depth"] > 1
    assert tuned.result.best.params["lambda_l2"] == 1.0
    plain = make_model("lightgbm", GROWN).fit(learned)
    losses = [log_loss(judged.label, model.predict_proba(judged.features)) for model in (tuned, plain)]
    assert losses[0] < 0.45 < 0.65 < losses[1]


def test_tuned_model_tries_its_own_settings_first() -> None:
    settings = {**SMALL, "max_depth": 2, "lambda_l2": 1.0}
    tuned = TunedModel(StudyRequest("lightgbm", hyperparameters=settings, space=DEPTH), FEW).fit(planted(200))
    assert tuned.result is not None
    assert tuned.result.trials[0].params == {"max_depth": 2, "lambda_l2": 1.0}


def test_tuned_model_is_the_best_model_and_is_saved_as_its_family(tmp_path: Path) -> None:
    rows, after = planted(240), planted(40, seed=8).features
    settings = {"calibration": "platt", "calibration_folds": 2}
    tuned = TunedModel(StudyRequest("logistic", hyperparameters=settings, splitter=TWO, seed=2), FEW)
    assert (tuned.family, tuned.inputs, tuned.columns, tuned.probabilistic) == ("logistic", "features", (), True)
    with pytest.raises(DataError, match="not fitted"):
        tuned.predict_proba(after)
    tuned.fit(rows)
    assert tuned.result is not None
    twin = make_model(
        "logistic", {"calibration": "platt", "calibration_folds": 2, **tuned.result.best.params}, seed=2
    ).fit(rows)
    np.testing.assert_array_equal(tuned.predict_proba(after), twin.predict_proba(after))
    assert tuned.out_of_fold is not None
    assert twin.out_of_fold is not None
    pd.testing.assert_series_equal(tuned.out_of_fold, twin.out_of_fold)
    pd.testing.assert_series_equal(tuned.score_out_of_fold(rows), twin.score_out_of_fold(rows))
    gains = tuned.gain(), twin.gain()
    assert gains[0] is not None
    assert gains[1] is not None
    pd.testing.assert_series_equal(gains[0], gains[1])
    tuned.save(tmp_path / "tuned")
    twin.save(tmp_path / "twin")
    files = sorted(path.name for path in (tmp_path / "twin").iterdir())
    assert sorted(path.name for path in (tmp_path / "tuned").iterdir()) == files
    for name in files:
        assert (tmp_path / "tuned" / name).read_bytes() == (tmp_path / "twin" / name).read_bytes()
    loaded = load_model(tmp_path / "tuned")
    assert type(loaded) is families()["logistic"]
    np.testing.assert_array_equal(loaded.predict_proba(after), tuned.predict_proba(after))


def test_tuned_model_made_fresh_is_unfitted_and_tunes_again() -> None:
    tuned = TunedModel(StudyRequest("logistic", splitter=TWO), FEW).fit(planted(240))
    fresh = tuned.fresh(max_iterations=50)
    assert (fresh.best, fresh.result, fresh.columns) == (None, None, ())
    assert fresh.settings.model_dump()["max_iterations"] == 50
    assert tuned.best is not None
    with pytest.raises(DataError, match="not fitted"):
        fresh.predict_proba(planted(10).features)


def test_tuned_model_whose_trials_all_fail_says_with_what() -> None:
    rows = planted(240)
    rows.features.iloc[3, 2] = np.inf
    with pytest.raises(DataError, match=r"all 2 trials .* failed, the first with: .*feature f02 is infinite"):
        TunedModel(StudyRequest("logistic"), FEW).fit(rows)


@pytest.fixture
def store(tmp_path: Path) -> TrialStore:
    return open_trials(f"sqlite:///{tmp_path / 'optuna.db'}")


def test_tuned_model_has_every_trial_in_the_ledger_with_the_sessions_of_its_rows(store: TrialStore) -> None:
    study, rows = FEW.model_copy(update={"objectives": ("net",)}), planted(240)
    tuned = TunedModel(StudyRequest("logistic", splitter=TWO), study, nested=NestedStudies(store, "ES", 1000.0)).fit(
        rows
    )
    assert tuned.result is not None
    days = rows.outcome["start"].dt.tz_localize(None).dt.normalize()
    looks = store.ledger.looks("ES", days.min(), days.max())
    assert looks.trials["target"].tolist() == ["logistic nested"] * 4
    made = [sum(trial.values or ()) for trial in tuned.result.trials]  # noqa: PD011 (no frame)
    np.testing.assert_allclose(looks.trial_returns.sum().to_numpy() * 1000, made, rtol=1e-4)
    assert (looks.trial_returns.index[0], looks.trial_returns.index[-1]) == (days.min(), days.max())


def test_tuned_model_interrupted_is_interrupted_and_continues(store: TrialStore) -> None:
    seen: list[StudyProgress] = []

    def observe(progress: StudyProgress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            raise KeyboardInterrupt

    nested, rows = NestedStudies(store, observe=observe), planted(160)
    with pytest.raises(KeyboardInterrupt):
        TunedModel(StudyRequest("logistic", splitter=TWO), FEW, nested=nested).fit(rows)
    model = TunedModel(StudyRequest("logistic", splitter=TWO), FEW, nested=nested).fit(rows)
    assert model.result is not None
    assert len(seen) == 4
    assert len(model.result.complete) == 4


def test_tuned_model_with_a_store_continues_with_the_same_rows_and_not_with_others(store: TrialStore) -> None:
    seen: list[StudyProgress] = []

    def fitted(rows: TrainingRows, count: int, **settings: Any) -> int:
        before = len(seen)
        study = FEW.model_copy(update={"trials": count})
        nested = NestedStudies(store, observe=seen.append)
        TunedModel(StudyRequest("logistic", hyperparameters=settings, splitter=TWO), study, nested=nested).fit(rows)
        return len(seen) - before

    rows = planted(160)
    assert fitted(rows, 3) == 3
    assert fitted(rows, 5) == 2
    assert fitted(rows, 5) == 0
    assert fitted(rows.take(np.arange(159)), 3) == 3
    assert fitted(rows, 3, max_iterations=50) == 3
    changed = rows.outcome.assign(net=rows.net + (np.arange(160) == 7))
    assert fitted(TrainingRows(rows.features, changed), 3) == 3


# --- nested ---


def _walk(rows: TrainingRows, family: str, objective: str) -> tuple[WalkForward, list[Model]]:
    study = FEW.model_copy(update={"objectives": (objective,), "pruner": "median"})

    def make() -> Model:
        settings = {"calibration_folds": 2, **(SMALL if family == "lightgbm" else {})}
        return TunedModel(
            StudyRequest(family, hyperparameters=settings, splitter=CombinatorialPurged(3, 1), seed=1), study
        )

    plan = FitPlan(make, PurgedWalkForward(2), "tuned")
    walk = walk_forward(plan, rows, rows.features, rows.outcome["start"])
    return walk, list(walk.models)


def _choice(model: Model) -> Any:
    assert isinstance(model, TunedModel)
    assert model.result is not None
    trials = [(each.params, each.values, each.steps, each.state) for each in model.result.trials]  # noqa: PD011
    return trials, model.settings


@pytest.mark.parametrize(("family", "objective"), [("logistic", "net"), ("lightgbm", "log_loss")])
def test_nested_tuning_nothing_after_an_outer_test_start_changes_its_choice_or_scores(
    family: str, objective: str
) -> None:
    rows = planted(210, 4)
    walk, models = _walk(rows, family, objective)
    start = rows.outcome["start"]
    generator = np.random.default_rng(0)
    for fold in (1, 2):
        opens, closes = walk.folds["test_from"][fold], walk.folds["test_until"][fold]
        # Outcomes from the test's start on, features from its end on: of the test rows the features are what is scored.
        later, beyond = (start >= opens).to_numpy(), (start > closes).to_numpy()
        outcome, features = rows.outcome.copy(), rows.features.copy()
        net = np.where(generator.random(int(later.sum())) < 0.5, 900.0, -70.0)
        outcome.loc[later, "net"] = net
        outcome.loc[later, "label"] = (net > 0).astype(float)
        outcome.loc[later, "r_multiple"] = net / 100
        outcome.loc[later, "weight"] = 0.25
        outcome.loc[later, "end"] += pd.Timedelta("7h")
        features.loc[beyond] = generator.normal(size=(int(beyond.sum()), features.shape[1])) * 50
        other_walk, other_models = _walk(TrainingRows(features, outcome), family, objective)
        for number in range(fold):
            assert _choice(other_models[number]) == _choice(models[number])
        same = walk.predictions["fold"].between(1, fold)
        assert same.sum() > 0
        pd.testing.assert_frame_equal(other_walk.predictions[same], walk.predictions[same], check_exact=True)
        # The change was one that a study sees where it may: the final model's rows hold it.
        assert _choice(other_walk.final) != _choice(walk.final)


def test_nested_tuning_of_noise_promises_nothing_out_of_fold() -> None:
    rows = noise(300, 5)
    walk, models = _walk(rows, "logistic", "log_loss")
    scored = walk.predictions["score"].notna().to_numpy()
    base = np.average(rows.label[scored], weights=rows.weight[scored])
    found = log_loss(rows.label[scored], walk.predictions["score"][scored])
    entropy = -(base * np.log(base) + (1 - base) * np.log(1 - base))
    assert found > entropy - 0.01
    assert len(models) == 2


def test_base_rate_loss_is_that_of_each_folds_share_of_winners() -> None:
    rows = planted(240)
    target = _target(rows, "logistic", splitter=TWO)

    truth, told, weight = [], [], []
    for train, test in TWO.split(rows.outcome):
        truth += rows.label[test].tolist()
        told += [np.average(rows.label[train], weights=rows.weight[train])] * len(test)
        weight += rows.weight[test].tolist()
    expected = log_loss(truth, told, sample_weight=weight)
    assert target.base_rate_loss() == pytest.approx(expected, rel=1e-12)
