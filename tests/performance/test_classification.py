import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss, precision_score, roc_auc_score

from pipeline.errors import DataError
from pipeline.performance import (
    FEWEST_TRADES,
    NO_EDGE_BY_ITSELF,
    judge_model,
    model_summary,
    model_verdict,
    scored_rows,
)
from pipeline.performance.classification import FEWEST_OF_A_KIND, MODEL_METRICS, model_summary_by_fold
from pipeline.performance.score_samples import RankedScores, ScoreSample
from tests.performance.scored import scored_frame, simulated

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning", "error::UserWarning")


def test_model_summary_of_simulated_scores_equals_scikit_learn_to_full_precision():
    rows = simulated(edge=0.7)
    value = model_summary(rows)["value"]
    label, score = rows["label"], rows["score"]
    assert value["log_loss"] == pytest.approx(log_loss(label, score), rel=1e-14)
    assert value["brier_score"] == pytest.approx(brier_score_loss(label, score), rel=1e-14)
    assert value["auc"] == pytest.approx(roc_auc_score(label, score), rel=1e-14)
    assert value["precision"] == pytest.approx(100 * precision_score(label, score >= 0.5), rel=1e-14)
    assert value["share_above_zero"] == pytest.approx(100 * label.mean(), rel=1e-14)


def test_model_summary_of_tied_scores_and_certain_ones_equals_scikit_learn():
    random = np.random.default_rng(1)
    rows = scored_frame(random.integers(0, 5, 200) / 4, random.random(200) < 0.4)
    table = model_summary(rows)
    assert table.loc["auc", "value"] == pytest.approx(roc_auc_score(rows["label"], rows["score"]), rel=1e-14)
    assert table.loc["log_loss", "value"] == pytest.approx(log_loss(rows["label"], rows["score"]), rel=1e-14)
    certain = int(rows["score"].isin([0.0, 1.0]).sum())
    assert f"{certain} scores of exactly 0 or 1 count as a hair from it" in table.loc["log_loss", "note"]


def test_model_summary_of_five_trades_matches_hand_computation():
    rows = scored_frame(
        [0.9, 0.6, 0.6, 0.2, 0.4], [1, 0, 1, 0, 1], fold=[0, 0, 0, 1, 1], net=[500, -250, 250, -100, 50]
    )
    value = model_summary(rows)["value"]
    # Pairs of winner and loser: 0.9, 0.6 and 0.4 against 0.6 and 0.2; five and a half of six in order less one lost.
    assert value["auc"] == (2 + 1.5 + 1) / 6
    # In fold 0 one and a half of two, in fold 1 one of one.
    assert value["auc_within_folds"] == 2.5 / 3
    assert value["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.6, 0.8, 0.4]).mean())
    assert value["brier_score"] == pytest.approx(np.mean([0.01, 0.36, 0.16, 0.04, 0.36]))
    assert (value["rows"], value["sessions"], value["trades_taken"]) == (5, 5, 3)
    assert value["share_above_zero"] == 60.0
    assert value["mean_score"] == pytest.approx(54.0)
    assert value["precision"] == pytest.approx(200 / 3)
    assert value["precision_gain"] == pytest.approx(200 / 3 - 60)
    assert value["net"] == 500.0
    assert value["net_a_trade"] == pytest.approx(500 / 3)
    assert value["mean_r"] == pytest.approx(2 / 3)
    assert value["mean_r_gain"] == pytest.approx(2 / 3 - 450 / 250 / 5)


def test_model_summary_takes_each_row_at_its_own_threshold_and_a_score_right_at_it():
    rows = scored_frame([0.5, 0.5, 0.4, 0.39], [1, 1, 1, 1], threshold=[0.5, 0.51, 0.4, 0.4], fold=[0, 0, 1, 1])
    table = model_summary(rows)
    assert table.loc["trades_taken", "value"] == 2
    assert table.loc["trades_taken", "note"] == "score at least 0.4 to 0.51, by fold; of 4"


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_model_summary_intervals_hold_the_value_and_every_metric_is_there(edge):
    table = model_summary(simulated(edge=edge, threshold=0.4))
    assert tuple(table.index) == MODEL_METRICS
    inside = table.drop(["rows", "sessions", "trades_taken"])
    assert (inside["low"] < inside["value"]).all()
    assert (inside["value"] < inside["high"]).all()


def test_model_summary_auc_interval_of_no_edge_holds_half_and_of_an_edge_does_not():
    for metric in ("auc", "auc_within_folds"):
        none, some = (model_summary(simulated(edge=edge)).loc[metric] for edge in (0.0, 1.0))
        assert none["low"] < 0.5 < none["high"]
        assert some["low"] > 0.6


@pytest.mark.parametrize("won", [0.0, 1.0])
def test_model_summary_of_one_class_has_no_auc_and_no_interval_of_a_rate(won):
    rows = scored_frame(np.linspace(0.1, 0.9, 60), np.full(60, won))
    table = model_summary(rows)
    assert math.isnan(table.loc["auc", "value"])
    assert math.isnan(table.loc["auc_within_folds", "value"])
    ended = "above zero" if won else "at or below zero"
    assert table.loc["auc", "note"].endswith(f"all 60 trades ended {ended}")
    for metric in ("share_above_zero", "log_loss", "brier_score", "precision"):
        assert math.isnan(table.loc[metric, "low"])
        assert not math.isnan(table.loc[metric, "value"])
    assert "can't be said" in model_verdict(table, "LightGBM")


def test_model_summary_of_folds_of_one_class_each_has_no_auc_within_folds():
    rows = scored_frame(np.linspace(0.1, 0.9, 80), np.arange(80) < 40, fold=np.arange(80) // 40)
    table = model_summary(rows)
    assert table.loc["auc", "value"] == 0.0
    assert math.isnan(table.loc["auc_within_folds", "value"])
    assert table.loc["auc_within_folds", "note"].endswith("every fold holds one class only")


def test_model_summary_under_thirty_trades_has_values_without_intervals():
    table = model_summary(simulated(count=FEWEST_TRADES - 1))
    assert table[["low", "high"]].isna().all(axis=None)
    assert not math.isnan(table.loc["auc", "value"])
    assert table.loc["auc", "note"].endswith("too few trades (29) for an interval")
    assert model_verdict(table, "MLP") == "Too few trades to judge MLP (29): an interval needs at least 30."


def test_model_summary_of_few_trades_taken_has_intervals_of_what_does_not_hang_on_them():
    rows = simulated(edge=0.5)
    rows["threshold"] = np.sort(rows["score"])[-(FEWEST_TRADES - 1)]
    table = model_summary(rows)
    assert table.loc["trades_taken", "value"] == FEWEST_TRADES - 1
    assert not math.isnan(table.loc["auc", "low"])
    for metric in ("precision", "precision_gain", "net", "net_a_trade", "mean_r", "mean_r_gain"):
        assert math.isnan(table.loc[metric, "low"])
        assert not math.isnan(table.loc[metric, "value"])
        assert table.loc[metric, "note"].endswith("too few trades taken (29) for an interval")
    assert "29 of 600 trades, too few to judge by their result" in model_verdict(table, "MLP")


def test_model_summary_of_few_winners_has_an_auc_without_an_interval():
    label = np.zeros(100)
    label[: FEWEST_OF_A_KIND - 1] = 1
    table = model_summary(scored_frame(np.random.default_rng(0).random(100), label))
    assert math.isnan(table.loc["auc", "low"])
    assert table.loc["auc", "note"].endswith("too few winners (9) for an interval")
    assert not math.isnan(table.loc["log_loss", "low"])


def test_model_summary_without_a_trade_taken_has_no_precision_and_no_money():
    table = model_summary(simulated(threshold=0.99))
    assert table.loc["net", "value"] == 0.0
    for metric in ("precision", "net_a_trade", "mean_r"):
        assert math.isnan(table.loc[metric, "value"])
        assert table.loc[metric, "note"].endswith("no trade reached the threshold")
    assert model_verdict(table, "MLP").endswith("At its threshold it took none of 600 trades.")


def test_model_summary_of_a_constant_within_each_fold_is_half_without_an_interval():
    rows = simulated()
    rows["score"] = 0.4 + 0.01 * rows["fold"]
    table = model_summary(rows)
    assert table.loc["auc_within_folds", "value"] == 0.5
    assert math.isnan(table.loc["auc_within_folds", "low"])
    assert model_verdict(table, "Constant").startswith("Constant gives every trade of a fold the same score")


def test_model_summary_of_scores_that_are_not_probabilities_leaves_out_what_takes_them_for_such():
    table = model_summary(simulated(), probabilistic=False)
    for metric in ("log_loss", "brier_score", "mean_score"):
        assert math.isnan(table.loc[metric, "value"])
        assert table.loc[metric, "note"] == "its score is not a probability"
    assert not math.isnan(table.loc["auc", "low"])


def test_model_summary_of_no_rows_says_so():
    table = model_summary(simulated().iloc[:0])
    assert tuple(table.index) == MODEL_METRICS
    assert table.loc["rows", "value"] == 0
    assert table["value"].drop(["rows", "sessions", "trades_taken", "net"]).isna().all()
    assert model_verdict(table, "MLP") == "MLP scored no trade out of fold, so there is nothing to judge."
    assert model_summary_by_fold(simulated().iloc[:0]).empty


def test_model_summary_with_the_same_seed_repeats_and_with_another_differs():
    rows = simulated()
    first, again, other = (model_summary(rows, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert first.loc["auc", "low"] != other.loc["auc", "low"]


def test_model_summary_does_not_hang_on_the_order_of_the_rows():
    rows = simulated()
    shuffled = rows.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(model_summary(rows), model_summary(shuffled), rtol=1e-9)


def test_model_summary_of_candidates_that_come_twice_a_session_learns_nothing_more():
    once = simulated(200, per_session=1, threshold=0.4)
    twice = pd.concat([once, once.set_axis(once.index + 1000)])
    single, double = model_summary(once), model_summary(twice)
    assert double.loc["rows", "value"] == 400
    for metric in ("auc", "log_loss", "precision", "mean_r"):
        assert tuple(double.loc[metric, ["value", "low", "high"]]) == pytest.approx(
            tuple(single.loc[metric, ["value", "low", "high"]]), rel=1e-12
        )
    assert double.loc["net", "low"] == pytest.approx(2 * single.loc["net", "low"])


def test_model_summary_auc_interval_covers_the_truth_as_often_as_it_says():
    edge, hits = 0.8, 0
    truth = stats.norm.cdf(edge / math.sqrt(2))
    for seed in range(200):
        sample = ScoreSample(simulated(240, edge=edge, seed=seed, folds=1))
        auc = sample.resampled(sample.resamples(replications=300, seed=seed))["auc"]
        low, high = np.quantile(auc, [0.025, 0.975])
        hits += low <= truth <= high
    lower, upper = stats.binom.ppf([0.0005, 0.9995], 200, 0.95)
    assert lower <= hits <= upper


def test_ranked_scores_of_weighted_rows_count_pairs_as_repeated_rows_would():
    random = np.random.default_rng(4)
    score, label = random.integers(0, 6, 40) / 5, (random.random(40) < 0.5).astype(float)
    weights = random.integers(0, 4, (3, 40)).astype(float)
    right, pairs = RankedScores(score, label).pairs(weights)
    for row in range(3):
        times = weights[row].astype(int)
        expected = roc_auc_score(np.repeat(label, times), np.repeat(score, times))
        assert right[row] / pairs[row] == pytest.approx(expected, rel=1e-14)


def test_model_summary_by_fold_is_the_summary_of_each_fold():
    rows = simulated(edge=0.5)
    by_fold = model_summary_by_fold(rows)
    assert by_fold.index.get_level_values("fold").unique().tolist() == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(by_fold.loc[2], model_summary(rows[rows["fold"] == 2]))


def test_judge_model_holds_what_its_parts_give():
    rows = simulated(edge=0.5)
    judged = judge_model(rows, seed=3)
    pd.testing.assert_frame_equal(judged.summary, model_summary(rows, seed=3))
    assert len(judged.calibration) == 10
    assert judge_model(rows, probabilistic=False).calibration.empty
    assert judged.thresholds["trades"].iloc[0] == 600


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": -1}, "scored by no fold, so its model may have learned from its outcome"),
        ({"score": np.nan}, "score of candidate 10 is missing"),
        ({"score": 1.5}, "scores lie between 0 and 1"),
        ({"label": 0.5}, "must be 0 or 1"),
        ({"net": np.nan}, "net of candidate 10 is missing"),
    ],
)
def test_model_summary_of_rows_that_cannot_be_judged_names_what_is_wrong(change, message):
    with pytest.raises(DataError, match=message):
        model_summary(simulated(40).assign(**change))


def test_model_summary_of_a_doubled_candidate_or_a_missing_column_is_refused():
    rows = simulated(40)
    with pytest.raises(DataError, match="candidate 10 comes more than once"):
        model_summary(pd.concat([rows, rows.iloc[:1]]))
    with pytest.raises(DataError, match="no column threshold"):
        model_summary(rows.drop(columns="threshold"))


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (0.0, "No evidence that LightGBM tells winners from losers: AUC 0."),
        (1.0, "Some evidence that LightGBM tells winners from losers, before any correction"),
    ],
)
def test_model_verdict_says_what_the_interval_allows(edge, message):
    table = model_summary(simulated(edge=edge, threshold=0.4))
    row = table.loc["auc_within_folds"]
    verdict = model_verdict(table, "LightGBM")
    assert verdict.startswith(message)
    assert f"AUC {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in verdict
    assert (NO_EDGE_BY_ITSELF in verdict) == (edge > 0)


def test_model_verdict_of_scores_the_wrong_way_round_says_so():
    rows = simulated(edge=1.0)
    assert "ranks losers above winners" in model_verdict(model_summary(rows.assign(score=1 - rows["score"])), "MLP")


def test_scored_rows_are_those_with_an_out_of_fold_score_and_an_outcome():
    rows = simulated(6)
    outcomes = rows.drop(columns=["fold", "score", "threshold"]).iloc[[0, 1, 2, 3]]
    predictions = pd.DataFrame(
        {
            "fold": pd.array([-1, 0, 0, 1, 1, -1], dtype="Int64"),
            "score": [np.nan, 0.2, 0.3, 0.4, 0.5, 0.6],
            "threshold": [np.nan, 0.5, 0.5, 0.4, 0.4, 0.4],
            "origin": ["", "out_of_fold", "out_of_fold", "out_of_fold", "out_of_fold", "final"],
        },
        index=[10, 11, 12, 14, 13, 15],
    )
    found = scored_rows(predictions, outcomes)
    assert found.index.tolist() == [11, 12, 13]
    assert found["score"].tolist() == [0.2, 0.3, 0.5]
    assert found["fold"].tolist() == [0, 0, 1]
    assert found["label"].tolist() == rows["label"].iloc[1:4].tolist()


def test_scored_rows_leave_out_a_final_score_even_of_a_known_outcome():
    rows = simulated(3)
    predictions = rows[["fold", "score", "threshold"]].assign(origin=["out_of_fold", "final", ""])
    assert scored_rows(predictions, rows).index.tolist() == [10]
