import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.importance import (
    fold_importance,
    importance_stability,
    importance_table,
    sequence_groups,
    walk_forward_importance,
)
from pipeline.learning.models import TrainingRows, make_model

QUICK = {"rounds": 40, "validation_share": 0.0, "learning_rate": 0.1}


def _rows(count: int = 400, seed: int = 0) -> TrainingRows:
    """Five features: the first tells winners well, the second a little, the others nothing."""
    random = np.random.default_rng(seed)
    features = pd.DataFrame(random.standard_normal((count, 5)), columns=["strong", "weak", "a", "b", "c"])
    drift = 1.5 * features["strong"] + 0.4 * features["weak"]
    label = (drift + random.logistic(size=count) > 0).astype(float)
    start = pd.date_range("2020-01-01", periods=count, freq="D", tz="UTC")
    outcome = pd.DataFrame(
        {
            "start": start,
            "end": start + pd.Timedelta("12h"),
            "label": label,
            "r_multiple": np.where(label > 0, 2.0, -1.0),
            "net": np.where(label > 0, 500.0, -250.0),
            "weight": 1.0,
        }
    )
    return TrainingRows(features, outcome)


def _halves(family: str, settings: dict | None = None):
    rows = _rows()
    model = make_model(family, settings or {}).fit(rows.take(np.arange(200)))
    return model, rows.take(np.arange(200, 400))


def _values(frame: pd.DataFrame, method: str) -> pd.Series:
    return frame[frame["method"] == method].set_index("feature")["value"]


@pytest.mark.parametrize(("family", "settings"), [("logistic", {"strength": 1.0}), ("lightgbm", QUICK)])
def test_fold_importance_of_a_planted_feature_comes_first_by_every_measure(family, settings):
    model, test = _halves(family, settings)
    found = fold_importance(model, test)
    assert found["method"].unique().tolist() == ["gain", "permutation", "shap"]
    for method in ("gain", "permutation", "shap"):
        values = _values(found, method)
        assert values.index.tolist() == ["strong", "weak", "a", "b", "c"]
        assert values.idxmax() == "strong"
        assert values["strong"] > 3 * values[["a", "b", "c"]].max()


def test_permutation_importance_is_the_rise_of_the_log_loss_when_a_column_is_shuffled():
    model, test = _halves("logistic", {"strength": 1.0})
    order = np.random.default_rng(7).permutation(200)
    found = _values(fold_importance(model, test, seed=7, repeats=1), "permutation")
    before = log_loss(test.label, model.predict_proba(test.features))
    for name in ("strong", "c"):
        shuffled = test.features.copy()
        shuffled[name] = shuffled[name].to_numpy()[order]
        expected = log_loss(test.label, model.predict_proba(shuffled)) - before
        assert found[name] == pytest.approx(expected, abs=1e-12)


def test_permutation_importance_of_scores_that_are_not_probabilities_is_the_fall_of_the_auc():
    model, test = _halves("lightgbm_r", QUICK)
    order = np.random.default_rng(7).permutation(200)
    found = _values(fold_importance(model, test, seed=7, repeats=1), "permutation")
    shuffled = test.features.assign(strong=test.features["strong"].to_numpy()[order])
    before, after = (roc_auc_score(test.label, model.predict_proba(frame)) for frame in (test.features, shuffled))
    assert found["strong"] == pytest.approx(before - after, abs=1e-12)
    won = test.take(np.flatnonzero(test.label == 1))
    assert _values(fold_importance(model, won), "permutation").isna().all()


def test_permutation_importance_is_the_same_in_small_batches(monkeypatch):
    model, test = _halves("lightgbm", QUICK)
    whole = fold_importance(model, test)
    monkeypatch.setattr("pipeline.learning.importance._BATCH_CELLS", 1)
    pd.testing.assert_frame_equal(fold_importance(model, test), whole)


def test_fold_importance_of_a_feature_no_tree_uses_is_exactly_zero():
    rows = _rows()
    alike = TrainingRows(rows.features.assign(same=1.0), rows.outcome)
    model = make_model("lightgbm", QUICK).fit(alike.take(np.arange(200)))
    found = fold_importance(model, alike.take(np.arange(200, 400)))
    assert found.loc[found["feature"] == "same", "value"].tolist() == [0.0, 0.0, 0.0]


def test_shap_importance_is_the_mean_size_of_the_contributions():
    model, test = _halves("lightgbm", QUICK)
    expected = model.contributions(test.features).abs().mean()
    assert _values(fold_importance(model, test), "shap").to_dict() == pytest.approx(expected.to_dict(), rel=1e-12)


def test_fold_importance_of_a_group_shuffles_its_features_together():
    rows = _rows()
    twins = TrainingRows(rows.features.assign(twin=rows.features["strong"] + 1e-3 * rows.features["c"]), rows.outcome)
    model = make_model("logistic", {"strength": 1.0}).fit(twins.take(np.arange(200)))
    test = twins.take(np.arange(200, 400))
    alone = _values(fold_importance(model, test, repeats=20), "permutation")
    grouped = _values(
        fold_importance(model, test, repeats=20, groups={"strong": "both", "twin": "both"}), "permutation"
    )
    assert grouped.index.tolist() == ["both", "weak", "a", "b", "c"]
    assert grouped["both"] > 1.5 * alone[["strong", "twin"]].sum()


def test_fold_importance_of_a_family_with_permutation_only_has_that_only():
    model, test = _halves("constant")
    found = fold_importance(model, test)
    assert found["method"].unique().tolist() == ["permutation"]
    assert (found["value"] == 0).all()
    assert fold_importance(model, test, repeats=0).empty


def test_fold_importance_with_the_same_seed_repeats_and_leaves_the_rows_alone():
    model, test = _halves("lightgbm", QUICK)
    before = test.features.copy()
    first, again, other = (fold_importance(model, test, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    pd.testing.assert_frame_equal(test.features, before)


def test_walk_forward_importance_measures_each_model_on_the_rows_of_its_fold():
    rows = _rows()
    models = [make_model("logistic", {"strength": 1.0}).fit(rows.take(np.arange(end))) for end in (150, 250)]
    folds = pd.Series(pd.array([-1] * 150 + [1] * 100 + [2] * 150, dtype="Int64"), index=rows.outcome.index)
    found = walk_forward_importance(models, rows, folds, seed=5)
    assert found.columns.tolist() == ["method", "fold", "feature", "value"]
    for number, held in ((1, np.arange(150, 250)), (2, np.arange(250, 400))):
        expected = fold_importance(models[number - 1], rows.take(held), seed=5 + number)
        own = found[found["fold"] == number].drop(columns="fold").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, expected)


def test_walk_forward_importance_without_a_place_for_its_rows_is_refused():
    rows = _rows(40)
    with pytest.raises(DataError, match="40 of 40 rows have no fold"):
        walk_forward_importance([], rows, pd.Series([1], index=[999]))
    assert walk_forward_importance([], rows, pd.Series(1, index=rows.outcome.index)).empty


def _long(*folds: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("gain", number, f"f{place}", value)
            for number, values in enumerate(folds, 1)
            for place, value in enumerate(values)
        ],
        columns=["method", "fold", "feature", "value"],
    )


def test_importance_stability_is_the_mean_over_pairs_of_folds():
    folds = [[5.0, 4, 3, 2, 1], [4.0, 5, 3, 1, 2], [1.0, 2, 3, 4, 5]]
    row = importance_stability(_long(*folds), top=2).loc["gain"]
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert row["rank_correlation"] == pytest.approx(np.mean([spearmanr(folds[a], folds[b])[0] for a, b in pairs]))
    assert row["top_overlap"] == pytest.approx((1 + 0 + 0) / 3)
    assert (row["folds"], row["features"], row["chance_overlap"]) == (3, 5, 0.4)


def test_importance_stability_ties_share_their_rank_and_zeros_are_in_no_list():
    folds = [[1.0, 0, 0, 0], [1.0, 0, 2, 0]]
    row = importance_stability(_long(*folds), top=3).loc["gain"]
    assert row["rank_correlation"] == pytest.approx(spearmanr(*folds)[0])
    assert row["top_overlap"] == 0.5


@pytest.mark.parametrize("folds", [[[1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]])
def test_importance_stability_of_one_fold_or_of_features_all_alike_has_no_correlation(folds):
    assert np.isnan(importance_stability(_long(*folds)).loc["gain", "rank_correlation"])


def test_importance_stability_of_noise_is_about_that_of_chance_and_of_a_strong_feature_above_it():
    random = np.random.default_rng(2)
    noise = importance_stability(_long(*(random.random(200).tolist() for _ in range(5)))).loc["gain"]
    assert abs(noise["rank_correlation"]) < 0.1
    assert abs(noise["top_overlap"] - noise["chance_overlap"]) < 0.1
    with pytest.raises(ConfigurationError, match="top is 0"):
        importance_stability(_long([1.0]), top=0)


def test_importance_table_orders_by_the_mean_over_folds():
    table = importance_table(_long([1.0, 5.0, 0.0], [3.0, 1.0, np.nan])).loc["gain"]
    assert table.index.tolist() == ["f1", "f0", "f2"]
    assert table["mean"].tolist() == [3.0, 2.0, 0.0]
    assert table["lowest"].tolist() == [1.0, 1.0, 0.0]
    assert table["highest"].tolist() == [5.0, 3.0, 0.0]
    assert table["folds"].tolist() == [2, 2, 1]
    assert table["rank"].tolist() == [1, 2, 3]


def test_sequence_groups_join_the_lags_of_what_a_sequence_column_holds():
    names = ["session_00_vpoc_move", "session_19_vpoc_move", "week_00_range", "side"]
    assert sequence_groups(names) == {
        "session_00_vpoc_move": "session vpoc_move",
        "session_19_vpoc_move": "session vpoc_move",
        "week_00_range": "week range",
    }
