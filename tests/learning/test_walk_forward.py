"""Walk-forward: each score by a model of what was known before the decision, shown by changing everything after."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning import PurgedWalkForward
from pipeline.learning.folds import PURGED, TRAIN
from pipeline.learning.intervals import Intervals
from pipeline.learning.models import FitOptions, Model, Progress, TrainingRows, make_model
from pipeline.learning.threshold import tune_threshold
from pipeline.learning.walk_forward import (
    FINAL,
    PREDICTION_COLUMNS,
    FitPlan,
    WalkForward,
    out_of_fold_findings,
    require_out_of_fold,
    too_few_rows,
    walk_forward,
)
from tests.learning.trades import Market, Neighbour, area_under_curve, market

FAST = {"rounds": 8, "validation_share": 0.2, "min_data_in_leaf": 10}
FAMILIES: dict[str, tuple[str, Mapping[str, Any], Any]] = {
    "constant": ("constant", {}, 0.5),
    "logistic": ("logistic", {}, 0.5),
    "lightgbm": ("lightgbm", FAST, 0.5),
    "lightgbm, tuned": ("lightgbm_dollars", FAST, "tuned"),
    "lightgbm, isotonic, tuned": ("lightgbm_r", {**FAST, "calibration": "isotonic", "calibration_folds": 3}, "tuned"),
    "mlp, platt": ("mlp", {"layers": [32], "epochs": 2, "calibration": "platt", "calibration_folds": 2}, 0.5),
    "ensemble, stacked, tuned": (
        "ensemble",
        {
            "members": ["logistic", {"family": "lightgbm", "settings": FAST}],
            "method": "stacked",
            "calibration_folds": 3,
        },
        "tuned",
    ),
}


def walk(data: Market, make: Callable[[], Model], splits: int = 3, **options: Any) -> WalkForward:
    asked = {name: options.pop(name) for name in ("threshold", "weigh") if name in options}
    plan = FitPlan(make, options.pop("splitter", PurgedWalkForward(splits)), **asked)
    return walk_forward(plan, data.rows, data.scored, data.starts, pending=data.pending, **options)


def logistic() -> Model:
    return make_model("logistic")


def joined(data: Market, made: WalkForward) -> pd.DataFrame:
    """Trades with a score made out of fold."""
    return data.rows.outcome.join(made.predictions[made.predictions["origin"] == "out_of_fold"], how="inner")


# --- what is scored by whom


def test_walk_forward_constant_scores_are_the_posteriors_of_what_was_known() -> None:
    data = market(120)
    made = walk(data, lambda: make_model("constant"))

    outcome = data.rows.outcome
    tests = [test for _, test in PurgedWalkForward(3).split(outcome)]
    begins = [outcome["start"].iloc[test].min() for test in tests]
    for label, start in data.starts.items():
        told = made.predictions.loc[label]
        block = sum(start >= begin for begin in begins)
        if data.pending[label]:
            known, expected = outcome, (FINAL, -1)
        elif block == 0:
            assert told["origin"] == ""
            assert told["fold"] == -1
            assert told[["score", "threshold", "trained_until"]].isna().all()
            continue
        else:
            known, expected = outcome[outcome["end"] < begins[block - 1]], ("out_of_fold", block)
        ones = (known["weight"] * known["label"]).sum()
        assert told["score"] == pytest.approx((ones + 1) / (known["weight"].sum() + 2), rel=1e-12)
        assert (told["origin"], told["fold"]) == expected
        assert told["trained_until"] == known["end"].max() < start
        assert told["threshold"] == 0.5


@pytest.mark.parametrize("name", ["logistic", "lightgbm", "mlp, platt", "ensemble, stacked, tuned"])
def test_walk_forward_scores_are_those_of_a_model_of_the_rows_known_by_then_to_the_bit(name) -> None:
    family, settings, threshold = FAMILIES[name]
    data = market(150, edge=1.0)

    made = walk(data, lambda: make_model(family, settings, seed=4), splits=2, threshold=threshold)

    for fold, told in made.folds.iterrows():
        known = np.flatnonzero((data.rows.outcome["end"] < told["test_from"]).to_numpy())
        model = make_model(family, settings, seed=4).fit(data.rows.take(known))
        of_fold = made.predictions["fold"] == fold
        assert told["train_rows"] == len(known)
        assert model.predict_proba(data.scored[of_fold]).tobytes() == (
            made.predictions.loc[of_fold, "score"].to_numpy().tobytes()
        )
    final = made.predictions["origin"] == FINAL
    assert (final == data.pending).all()
    assert made.final.predict_proba(data.scored[final]).tobytes() == (
        made.predictions.loc[final, "score"].to_numpy().tobytes()
    )


def test_walk_forward_frames_are_as_described() -> None:
    data = market(120)

    made = walk(data, logistic, splits=3)

    predictions, folds = made.predictions, made.folds
    assert predictions.index.equals(data.scored.index)
    assert tuple(predictions.columns) == PREDICTION_COLUMNS
    assert predictions.dtypes.astype(str).tolist() == ["Int64", "float64", "float64", "datetime64[ns, UTC]", "str"]
    roles = PurgedWalkForward(3).roles(data.rows.outcome)
    assert folds.index.tolist() == [1, 2, 3]
    for column, role in (("train_rows", "train"), ("test_rows", "test"), ("purged", "purged")):
        assert folds[column].tolist() == [(roles[number] == role).sum() for number in roles]
    assert folds["purged"].sum() > 0
    assert folds["embargoed"].tolist() == [0, 0, 0]
    assert folds["scored"].tolist() == [(predictions["fold"] == fold).sum() for fold in folds.index]
    assert (folds["scored"] > folds["test_rows"]).all()
    assert (folds["trained_until"] < folds["test_from"]).all()
    assert (folds["test_until"].to_numpy()[:-1] < folds["test_from"].to_numpy()[1:]).all()
    assert folds["test_until"].iloc[-1] == data.starts[~data.pending].max()
    assert (folds["seconds"] > 0).all()
    assert len(made.models) == 3
    assert len({id(model) for model in (*made.models, made.final)}) == 4
    assert list(made.logs) == ["fold_1", "fold_2", "fold_3", "final"]
    assert made.final_trained_until == data.rows.outcome["end"].max()


def test_walk_forward_order_of_the_candidates_changes_nothing() -> None:
    data = market(120)
    mixed = np.random.default_rng(0).permutation(len(data.scored))

    made = walk(data, logistic)
    again = walk(
        replace(data, scored=data.scored.iloc[mixed], starts=data.starts.iloc[mixed], pending=data.pending.iloc[mixed]),
        logistic,
    )

    pd.testing.assert_frame_equal(again.predictions.loc[made.predictions.index], made.predictions, check_exact=True)


def test_walk_forward_embargo_is_between_the_last_label_and_the_test() -> None:
    data = market(160)

    made = walk(data, logistic, splitter=PurgedWalkForward(3, embargo="7D"))

    assert (made.folds["test_from"] - made.folds["trained_until"] > pd.Timedelta("7D")).all()
    assert (made.folds["embargoed"] > 0).all()


def test_walk_forward_coming_session_is_final_only_where_no_label_was_known_later() -> None:
    # An overnight trade is still open: decided long before the last labels, which the final model has learned from.
    data = market(120)
    pending = data.pending.copy()
    open_still = data.starts.index.difference(data.rows.outcome.index)[-6]
    pending[open_still] = True

    made = walk(replace(data, pending=pending), logistic)

    assert data.starts[open_still] < made.final_trained_until
    assert made.predictions.loc[open_still, ["origin", "fold"]].tolist() == ["out_of_fold", 3]
    assert (made.predictions.loc[data.pending, "origin"] == FINAL).all()


def test_walk_forward_nothing_pending_leaves_the_final_model_without_a_candidate() -> None:
    data = market(120)

    made = walk_forward(FitPlan(logistic, PurgedWalkForward(3)), data.rows, data.scored, data.starts)

    assert FINAL not in set(made.predictions["origin"])
    assert made.final.columns == tuple(data.scored.columns)


# --- nothing later is known


def changed_after(data: Market, when: pd.Timestamp) -> TrainingRows:
    """Rows whose outcome was not known by then have another one; those decided since have other features too."""
    random = np.random.default_rng(99)
    outcome, features = data.rows.outcome.copy(), data.rows.features.copy()
    unknown = (outcome["end"] >= when).to_numpy()
    since = (outcome["start"] >= when).to_numpy()
    count = int(unknown.sum())
    outcome.loc[unknown, "label"] = (random.random(count) < 0.5).astype(np.float64)
    for column in ("r_multiple", "net"):
        outcome.loc[unknown, column] = random.normal(scale=300, size=count)
    outcome.loc[unknown, "weight"] = random.uniform(0.1, 1.0, count)
    later = pd.to_timedelta(random.uniform(0, 3, int(since.sum())), unit="D").round("s")
    outcome.loc[since, "end"] = (outcome.loc[since, "start"] + later).dt.as_unit("ns")
    features.loc[since] = random.normal(scale=50, size=(int(since.sum()), features.shape[1]))
    return TrainingRows(features, outcome)


@pytest.mark.parametrize("name", FAMILIES)
def test_walk_forward_changing_all_after_a_test_start_changes_no_bit_of_that_fold(name) -> None:
    family, settings, threshold = FAMILIES[name]
    data = market(150, edge=1.0)

    def once(rows: TrainingRows, scored: pd.DataFrame) -> WalkForward:
        return walk(replace(data, rows=rows, scored=scored), make, splits=2, threshold=threshold)

    def make() -> Model:
        return make_model(family, settings, seed=1)

    before = once(data.rows, data.scored)
    for fold in (1, 2):
        begins, ends = before.folds.loc[fold, ["test_from", "test_until"]]
        scored = data.scored.copy()
        scored.loc[data.starts > ends] = -9.0

        after = once(changed_after(data, begins), scored)

        same = before.predictions["fold"].between(1, fold)
        assert same.sum() > 80
        left, right = before.predictions[same], after.predictions[same]
        assert left["score"].to_numpy().tobytes() == right["score"].to_numpy().tobytes()
        assert left["threshold"].to_numpy().tobytes() == right["threshold"].to_numpy().tobytes()
        pd.testing.assert_frame_equal(left, right, check_exact=True)
        # It is not that nothing was changed.
        rest = before.predictions["score"].notna() & ~same
        assert before.predictions.loc[rest, "score"].ne(after.predictions.loc[rest, "score"]).any()


class WithoutPurging(PurgedWalkForward):
    """Learns from every label that was not yet known when its test begins."""

    def _roles(self, intervals: Intervals, folds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int8], str]]:
        for row, name in super()._roles(intervals, folds):
            row[row == PURGED] = TRAIN
            yield row, name


def test_walk_forward_planted_leak_of_a_label_not_yet_known_is_caught() -> None:
    data = market(120)

    with pytest.raises(
        DataError, match=r"scores are not out of fold: candidate .* decided .* that learned from labels"
    ):
        walk(data, logistic, splitter=WithoutPurging(3))


class Shuffled(PurgedWalkForward):
    """Learns from rows of any time, as a shuffled k-fold does."""

    def _roles(self, intervals: Intervals, folds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int8], str]]:
        for row, name in super()._roles(intervals, folds):
            row[(row != TRAIN) & (np.arange(len(row)) % 2 == 0)] = TRAIN
            yield row, name


def test_walk_forward_planted_leak_of_rows_from_the_test_block_is_caught() -> None:
    with pytest.raises(DataError, match="are not out of fold"):
        walk(market(120), logistic, splitter=Shuffled(3))


def test_walk_forward_model_that_is_fitted_already_is_refused() -> None:
    data = market(120)
    one = logistic()

    with pytest.raises(ConfigurationError, match="logistic model to walk forward with is fitted already"):
        walk(data, lambda: one)


def test_require_out_of_fold_label_known_at_the_very_decision_is_a_leak() -> None:
    data = market(120)
    predictions = walk(data, logistic).predictions
    victim = predictions.index[predictions["fold"] == 2][5]

    require_out_of_fold(predictions, data.starts)
    assert out_of_fold_findings(predictions, data.starts).empty
    exact = predictions.copy()
    exact.loc[victim, "trained_until"] = data.starts[victim]
    with pytest.raises(DataError, match=f"1 of .* candidate {victim}, decided"):
        require_out_of_fold(exact, data.starts)
    found = out_of_fold_findings(exact, data.starts)
    assert found.index.tolist() == [victim]
    assert found.columns.tolist() == ["start", "trained_until"]
    exact.loc[victim, "trained_until"] -= pd.Timedelta("1ns")
    require_out_of_fold(exact, data.starts)


def test_require_out_of_fold_score_that_does_not_say_what_it_learned_is_a_leak() -> None:
    data = market(120)
    predictions = walk(data, logistic).predictions
    victim = predictions.index[predictions["fold"] == 1][0]
    predictions.loc[victim, "trained_until"] = pd.NaT

    with pytest.raises(DataError, match="a model that doesn't say what it learned"):
        require_out_of_fold(predictions, data.starts)


def test_require_out_of_fold_other_candidates_is_an_error() -> None:
    data = market(120)
    predictions = walk(data, logistic).predictions

    with pytest.raises(DataError, match="not of the same candidates"):
        require_out_of_fold(predictions, data.starts.iloc[1:])


# --- finding nothing where there is nothing, and something where there is


def test_walk_forward_shuffled_labels_are_found_nowhere() -> None:
    # 95 % intervals: of twelve, three or more miss in 2 of 100 such tests.
    missed: dict[str, int] = {"logistic": 0, "lightgbm": 0, "memory": 0}
    for seed in range(12):
        data = market(220, seed=seed, edge=2.0)
        order = np.random.default_rng(seed).permutation(len(data.rows))
        told = data.rows.outcome.assign(
            **{name: data.rows.outcome[name].to_numpy()[order] for name in ("label", "net", "r_multiple")}
        )
        shuffled = replace(data, rows=TrainingRows(data.rows.features, told))
        makers = {"logistic": logistic, "lightgbm": lambda: make_model("lightgbm", FAST), "memory": Neighbour}
        for name, make in makers.items():
            both = joined(shuffled, walk(shuffled, make, splits=3))
            _, low, high = area_under_curve(both["label"].to_numpy(), both["score"].to_numpy())
            missed[name] += not low <= 0.5 <= high

    assert max(missed.values()) <= 2, missed


@pytest.mark.parametrize("name", ["logistic", "lightgbm", "ensemble, stacked, tuned"])
def test_walk_forward_planted_edge_is_found_and_earns(name) -> None:
    family, settings, _ = FAMILIES[name]
    data = market(400, edge=2.0)

    both = joined(data, walk(data, lambda: make_model(family, {**settings, "calibration": "platt"}), threshold="tuned"))

    _, low, _ = area_under_curve(both["label"].to_numpy(), both["score"].to_numpy())
    taken = both["score"] >= both["threshold"]
    assert low > 0.7
    assert both.loc[taken, "net"].sum() > 0 > both.loc[~taken, "net"].sum()
    assert both.loc[taken, "net"].sum() > both["net"].sum()


# --- thresholds, options, logs


def test_walk_forward_tuned_threshold_is_that_of_purged_scores_of_the_folds_own_rows() -> None:
    data = market(200, edge=1.5)
    made = walk(data, logistic, splits=2, threshold="tuned")

    for fold, (train, _) in enumerate(PurgedWalkForward(2).split(data.rows.outcome), 1):
        rows = data.rows.take(train)
        held_out = logistic().fit(rows).score_out_of_fold(rows)
        assert made.folds.loc[fold, "threshold"] == tune_threshold(held_out.to_numpy(), rows.net)
    held_out = logistic().fit(data.rows).score_out_of_fold(data.rows)
    assert made.final_threshold == tune_threshold(held_out.to_numpy(), data.rows.net)
    told = made.predictions["threshold"]
    assert (told[made.predictions["fold"] == 2] == made.folds.loc[2, "threshold"]).all()
    assert (told[data.pending] == made.final_threshold).all()


def test_walk_forward_tuned_threshold_of_a_calibrated_model_is_on_its_calibrated_scores() -> None:
    data = market(200, edge=1.5)
    made = walk(data, lambda: make_model("logistic", {"calibration": "platt"}), splits=2, threshold="tuned")

    for model, threshold in zip(made.models, made.folds["threshold"], strict=True):
        held_out = model.out_of_fold
        net = data.rows.outcome.loc[held_out.index, "net"].to_numpy()
        assert threshold == tune_threshold(held_out.to_numpy(), net)


def test_walk_forward_each_fit_has_options_of_its_own(tmp_path: Path) -> None:
    names: list[str] = []
    told: list[tuple[str, str]] = []
    paths: list[Path | None] = []

    class Saving(Neighbour):
        def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
            paths.append(options.checkpoint)
            super()._fit(rows, options)

    def options_for(name: str) -> FitOptions:
        names.append(name)

        def observe(progress: Progress) -> None:
            told.append((name, progress.stage))

        return FitOptions(observe=observe, checkpoint=tmp_path / f"{name}.ckpt")

    walk(market(120), Saving, splits=2, threshold="tuned", options_for=options_for)

    assert names == ["fold_1", "fold_2", "final"]
    inner = [f"inner fold {number} of 5" for number in range(1, 6)]
    assert told == [(name, stage) for name in names for stage in ["", *inner]]
    assert len(set(paths)) == len(paths) == 18


# --- too little, and wrong


def test_too_few_rows_says_why_in_one_sentence() -> None:
    data = market(60)
    rows = data.rows

    assert too_few_rows(rows, PurgedWalkForward(1)) is None
    assert "too few for 5 test blocks" in str(too_few_rows(rows.take(np.arange(4)), PurgedWalkForward(5)))
    assert "fold 1 of 3 would learn from" in str(too_few_rows(rows, PurgedWalkForward(3)))
    order = np.argsort(-rows.label[:40], kind="stable")
    label = np.concatenate([rows.label[:40][order], rows.label[40:]])
    alike = TrainingRows(rows.features, rows.outcome.assign(label=np.where(np.arange(len(rows)) < 45, 0.0, label)))
    message = str(too_few_rows(alike, PurgedWalkForward(1)))
    assert "0 of them above zero" in message
    assert too_few_rows(rows.take(np.arange(0)), PurgedWalkForward(5)) is not None
    assert too_few_rows(rows, PurgedWalkForward(2, embargo="400D")).startswith("split 0 (test block 1 of 2")
    with pytest.raises(DataError, match="fold 1 of 3 would learn from"):
        walk(data, logistic, splits=3)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, "best", True, float("nan")])
def test_walk_forward_impossible_threshold_is_refused(threshold) -> None:
    with pytest.raises(ConfigurationError, match="the threshold is"):
        walk(market(60), logistic, splits=1, threshold=threshold)


def test_walk_forward_frames_that_do_not_fit_are_one_sentence() -> None:
    data = market(60)
    other = data.starts.copy()
    other[data.rows.outcome.index[3]] += pd.Timedelta("1h")
    twice = pd.concat([data.scored, data.scored.iloc[:1]])

    with pytest.raises(DataError, match="decision times are not of the same candidates"):
        walk(replace(data, starts=data.starts.iloc[1:]), logistic, splits=1)
    with pytest.raises(DataError, match=r"training row \d+ was decided at"):
        walk(replace(data, starts=other), logistic, splits=1)
    with pytest.raises(DataError, match=r"training row \d+ is not among the candidates"):
        walk(replace(data, scored=data.scored.iloc[:9], starts=data.starts.iloc[:9]), logistic, splits=1)
    with pytest.raises(DataError, match="candidate 7 is to be scored more than once"):
        walk(replace(data, scored=twice, starts=pd.concat([data.starts, data.starts.iloc[:1]])), logistic, splits=1)
    with pytest.raises(DataError, match="what is pending are not of the same candidates"):
        walk(replace(data, pending=data.pending.iloc[1:]), logistic, splits=1)
    with pytest.raises(DataError, match="x1 is missing"):
        walk(replace(data, scored=data.scored.drop(columns="x1")), logistic, splits=1)
