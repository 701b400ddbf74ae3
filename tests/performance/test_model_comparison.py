import math

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.performance import compare_models, model_summary
from tests.performance.scored import simulated

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning")


def _constant(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(score=0.4)


def test_compare_models_values_are_differences_of_the_summaries():
    good = simulated(edge=0.8, threshold=0.4)
    weak = good.assign(score=0.3 + 0.2 * np.random.default_rng(9).random(len(good)))
    compared = compare_models({"mlp": good, "logistic": weak})
    ours, theirs = model_summary(good)["value"], model_summary(weak)["value"]
    for metric in ("log_loss", "brier_score", "auc_within_folds", "net", "mean_r"):
        value = compared.loc[("mlp", "logistic", metric), "value"]
        assert value == pytest.approx(ours[metric] - theirs[metric], rel=1e-12)


def test_compare_models_of_an_edge_is_better_than_both_baselines_and_in_the_right_direction():
    good = simulated(edge=1.0)
    scored = {
        "mlp": good,
        "constant": _constant(good),
        "logistic": simulated(edge=0.0).assign(label=good["label"], net=good["net"], r_multiple=good["r_multiple"]),
    }
    compared = compare_models(scored)
    for baseline in ("constant", "logistic"):
        part = compared.xs("mlp").xs(baseline)
        assert part.loc["log_loss", "high"] < 0 < part.loc["auc_within_folds", "low"]
        assert (part["better"].drop("mean_r") == "better").all()
    assert compared.loc[("logistic", "constant", "log_loss"), "better"] == "worse"
    assert compared.index.droplevel("metric").unique().tolist() == [
        ("mlp", "constant"),
        ("mlp", "logistic"),
        ("logistic", "constant"),
    ]


def test_compare_models_of_two_that_hardly_differ_has_a_narrower_interval_than_either():
    one = simulated(edge=0.5)
    other = one.assign(score=np.clip(one["score"] + 0.001 * np.random.default_rng(0).standard_normal(len(one)), 0, 1))
    row = compare_models({"mlp": one, "logistic": other}).loc[("mlp", "logistic", "auc_within_folds")]
    own = model_summary(one).loc["auc_within_folds"]
    assert row["high"] - row["low"] < 0.05 * (own["high"] - own["low"])


def test_compare_models_of_one_and_the_same_has_nothing_between_them():
    rows = simulated()
    compared = compare_models({"mlp": rows, "logistic": rows.copy()}).loc[("mlp", "logistic")]
    assert (compared["value"] == 0).all()
    assert (compared["better"] == "").all()
    assert compared.loc["net", "note"] == "both took the same trades"


def test_compare_models_leaves_out_what_only_one_of_them_scored():
    rows = simulated(edge=0.5)
    compared = compare_models({"mlp": rows, "constant": _constant(rows).iloc[100:]})
    expected = model_summary(rows.iloc[100:])["value"]["auc_within_folds"] - 0.5
    row = compared.loc[("mlp", "constant", "auc_within_folds")]
    assert row["value"] == pytest.approx(expected)
    assert row["note"].startswith("of the 500 trades that all scored, of 600")


def test_compare_models_of_a_score_that_is_not_a_probability_has_no_difference_in_log_loss():
    rows = simulated(edge=0.5)
    compared = compare_models({"lightgbm_r": rows, "constant": _constant(rows)}, probabilistic={"lightgbm_r": False})
    row = compared.loc[("lightgbm_r", "constant", "log_loss")]
    assert math.isnan(row["value"])
    assert row["note"] == "one of the two scores is not a probability"
    assert not math.isnan(compared.loc[("lightgbm_r", "constant", "auc_within_folds"), "low"])


def test_compare_models_of_few_trades_apart_has_no_interval_of_money():
    rows = simulated(edge=0.5, threshold=0.95)
    rows.loc[rows.index[:12], "score"] = 0.96
    row = compare_models({"mlp": rows, "constant": _constant(rows)}).loc[("mlp", "constant", "net")]
    assert math.isnan(row["low"])
    assert row["note"] == "too few trades (12) that only one of the two took for an interval"


def test_compare_models_of_few_trades_has_values_only():
    rows = simulated(20, edge=0.5)
    compared = compare_models({"mlp": rows, "constant": _constant(rows)})
    assert compared[["low", "high"]].isna().all(axis=None)
    assert compared.loc[("mlp", "constant", "auc_within_folds"), "note"] == "too few trades (20) for an interval"


def test_compare_models_without_a_baseline_is_empty():
    compared = compare_models({"mlp": simulated(40), "lightgbm": simulated(40)})
    assert compared.empty
    assert "better" in compared.columns


def test_compare_models_of_other_outcomes_or_other_trades_is_refused():
    rows = simulated(40)
    with pytest.raises(DataError, match="label of the same candidates differs between mlp and constant"):
        compare_models({"mlp": rows, "constant": rows.assign(label=1 - rows["label"])})
    with pytest.raises(DataError, match="no trade was scored by all of mlp, constant"):
        compare_models({"mlp": rows.iloc[:20], "constant": rows.iloc[20:]})


def test_compare_models_with_the_same_seed_repeats():
    rows = simulated(edge=0.5)
    scored = {"mlp": rows, "constant": _constant(rows)}
    pd.testing.assert_frame_equal(compare_models(scored, seed=4), compare_models(scored, seed=4))
