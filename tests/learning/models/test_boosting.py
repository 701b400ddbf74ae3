import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from pipeline.errors import ConfigurationError, DataError
from pipeline.home import PROJECT
from pipeline.learning import PurgedWalkForward
from pipeline.learning.compute import Compute
from pipeline.learning.models import FitOptions, Model, Progress, TrainingRows, boosting, load_model, make_model
from pipeline.learning.models.files import write_sealed
from pipeline.learning.models.trees_text import require_sound_trees
from pipeline.learning.validation import validation_slice
from tests.learning.models.made_rows import made_rows, noise, planted, random_features

FAMILIES = ("lightgbm", "lightgbm_dollars", "lightgbm_r")

# One tree of one split on all rows, its answer taken whole.
ONE_SPLIT = {
    "rounds": 1,
    "validation_share": 0,
    "learning_rate": 1.0,
    "num_leaves": 2,
    "min_data_in_leaf": 1,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
    "lambda_l2": 0.0,
}
SHORT = {"rounds": 60, "patience": 15}


def out_of_fold(model: Model, rows: TrainingRows, splits: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Positions tested, and their scores."""
    tested, scores = [], []
    for train, test in PurgedWalkForward(splits).split(rows.outcome):
        tested.append(test)
        scores.append(model.fresh().fit(rows.take(train)).predict_proba(rows.features.iloc[test]))
    return np.concatenate(tested), np.concatenate(scores)


def raw_score(model: Model, features: pd.DataFrame) -> np.ndarray:
    return model.predict_r(features) if model.family == "lightgbm_r" else logit(model.predict_proba(features))


# --- what is learned, by hand

GROUPS = pd.DataFrame({"group": [0.0] * 4 + [1.0] * 4})
NET = np.array([200.0, -100.0, 100.0, -50.0, -100.0, -100.0, 50.0, -100.0])
WEIGHT = np.array([1.0, 0.5, 0.5, 1.0, 1.0, 1.0, 0.5, 0.5])


def test_classifier_one_split_is_exact_by_hand() -> None:
    model = make_model("lightgbm", ONE_SPLIT).fit(made_rows(GROUPS, NET, weight=WEIGHT))

    chances = model.predict_proba(GROUPS.iloc[[0, 7]])

    # Weighted share above zero: 2 of 6. A leaf's Newton step is Σ w (y − p) / Σ w p (1 − p).
    steps = np.array([(1.5 * 2 / 3 - 1.5 / 3), (0.5 * 2 / 3 - 2.5 / 3)]) / (3 * 2 / 9)
    assert chances == pytest.approx(expit(logit(1 / 3) + steps), abs=1e-6)


def test_dollars_one_split_is_exact_by_hand() -> None:
    model = make_model("lightgbm_dollars", ONE_SPLIT).fit(made_rows(GROUPS, NET, weight=WEIGHT))

    scores = model.predict_proba(GROUPS.iloc[[0, 7]])

    # Won 275 and lost 350 in all, by weight; the groups' net over gross is (250 − 100) / 350 and (25 − 250) / 275.
    assert scores == pytest.approx(expit(np.log(275 / 350) + np.array([150 / 350, -225 / 275])), abs=1e-6)
    assert scores[0] > 0.5 > scores[1]


def test_regressor_one_split_is_exact_by_hand() -> None:
    model = make_model("lightgbm_r", ONE_SPLIT | {"scale": 0.5}).fit(made_rows(GROUPS, NET, weight=WEIGHT))

    # Weighted mean R of each group.
    expected = np.array([1.5 / 3, -2.25 / 3])
    assert model.predict_r(GROUPS.iloc[[0, 7]]) == pytest.approx(expected, abs=1e-6)
    assert model.predict_proba(GROUPS.iloc[[0, 7]]) == pytest.approx(expit(expected / 0.5), abs=1e-6)


def test_regressor_score_is_a_half_where_no_profit_is_expected() -> None:
    flat = made_rows(GROUPS, np.array([100.0, -100.0, 50.0, -50.0] * 2))

    model = make_model("lightgbm_r", ONE_SPLIT).fit(flat)

    assert model.predict_r(GROUPS).tolist() == [0.0] * 8
    assert model.predict_proba(GROUPS).tolist() == [0.5] * 8


@pytest.mark.parametrize("family", FAMILIES)
def test_boosting_whole_weights_are_rows_again(family: str) -> None:
    flags = (random_features(150, 4, gaps=0) > 0).astype(np.float64)
    net = np.random.default_rng(0).normal(0, 100, 150)
    times = np.random.default_rng(1).integers(1, 4, 150)
    again = np.repeat(np.arange(150), times)
    settings = ONE_SPLIT | {"rounds": 20, "num_leaves": 4, "learning_rate": 0.3, "lambda_l2": 1.0}
    weighted = make_model(family, settings).fit(made_rows(flags, net, weight=times.astype(float)))

    repeated = make_model(family, settings).fit(made_rows(flags.iloc[again].reset_index(drop=True), net[again]))

    assert weighted.predict_proba(flags) == pytest.approx(repeated.predict_proba(flags), abs=1e-5)


# --- signal and noise


@pytest.mark.parametrize("family", FAMILIES)
def test_boosting_finds_a_planted_signal_out_of_fold(family: str) -> None:
    rows = planted(700, 20)

    tested, scores = out_of_fold(make_model(family), rows)

    assert roc_auc_score(rows.label[tested], scores) > 0.72
    assert rows.net[tested][scores > 0.5].sum() > rows.net[tested].sum() + 5000
    assert make_model(family).fit(rows).gain().idxmax() == "f00"


@pytest.mark.parametrize("family", FAMILIES)
def test_boosting_finds_nothing_in_noise(family: str) -> None:
    curve = []
    for seed in range(4):
        rows = noise(500, 30, seed=seed)
        tested, scores = out_of_fold(make_model(family, seed=seed), rows)
        curve.append(roc_auc_score(rows.label[tested], scores))

    # 375 rows tested four times: the standard error of the mean is about 0.016.
    assert abs(np.mean(curve) - 0.5) < 0.05


def test_classifier_on_noise_is_hardly_worse_than_the_constant() -> None:
    worse = []
    for seed in range(4):
        rows = noise(500, 30, seed=seed)
        losses = []
        for family in ("lightgbm", "constant"):
            tested, chances = out_of_fold(make_model(family, seed=seed), rows)
            truth = rows.label[tested]
            losses.append(-np.mean(np.log(np.where(truth == 1, chances, 1 - chances))))
        worse.append(losses[0] - losses[1])

    assert np.mean(worse) < 0.01


def steady_losers_and_rare_winners(rows: int, seed: int) -> tuple[TrainingRows, np.ndarray]:
    """Rows where a high ``steady`` wins 50 three times of four and loses 300 once; else 900 once, −100 three times.

    With the rows comes what each is worth: 37.5 lost, or 150 won.
    """
    rng = np.random.default_rng(seed)
    features = random_features(rows, 8, seed).assign(steady=rng.normal(size=rows))
    steady, luck = (features["steady"] > 0).to_numpy(), rng.random(rows)
    net = np.where(steady, np.where(luck < 0.75, 50.0, -300.0), np.where(luck < 0.25, 900.0, -100.0))
    return made_rows(features, net), np.where(steady, -37.5, 150.0)


@pytest.mark.parametrize("seed", range(3))
def test_dollars_make_more_money_than_log_loss_where_frequent_winners_lose_it(seed: int) -> None:
    rows, worth = steady_losers_and_rare_winners(800, seed)
    made, expected, ranked = {}, {}, {}
    for family in ("lightgbm", "lightgbm_dollars"):
        tested, scores = out_of_fold(make_model(family), rows)
        taken = scores > 0.5
        made[family], expected[family] = rows.net[tested][taken].sum(), worth[tested][taken].sum()
        ranked[family] = roc_auc_score(worth[tested] > 0, scores)

    # Log loss takes the trades that win most often and ranks those that make money last; no threshold fixes that.
    assert expected["lightgbm"] < 0
    assert ranked["lightgbm"] < 0.2
    assert ranked["lightgbm_dollars"] > 0.8
    assert expected["lightgbm_dollars"] > 0.7 * worth[tested].clip(0).sum()
    assert expected["lightgbm_dollars"] > worth[tested].sum()  # and than taking all
    assert made["lightgbm_dollars"] > made["lightgbm"] + 15_000


@pytest.mark.parametrize("rate", [0.1, 0.85])
def test_dollars_every_tree_lowers_the_training_loss(rate: float) -> None:
    rows = noise(300, 10, seed=1)
    rng = np.random.default_rng(0)
    rows = made_rows(rows.features, rng.standard_t(3, 300) * 100, weight=rng.uniform(0.2, 1, 300))
    settings = {"rounds": 150, "validation_share": 0, "bagging_fraction": 1.0, "learning_rate": rate, "lambda_l2": 0.0}

    log = make_model("lightgbm_dollars", settings).fit(rows).training_log

    assert len(log) == 150
    assert (log["train_loss"].diff().dropna() <= 1e-9).all()


def test_dollars_model_is_the_same_in_another_currency() -> None:
    rows = planted(300)
    rich = TrainingRows(rows.features, rows.outcome.assign(net=rows.net * 1024))

    one, other = (make_model("lightgbm_dollars", SHORT).fit(r) for r in (rows, rich))

    assert one._text == other._text
    assert one.predict_proba(rows.features).tobytes() == other.predict_proba(rows.features).tobytes()


def test_dollars_and_regressor_are_not_probabilities_until_calibrated() -> None:
    assert make_model("lightgbm").probabilistic
    assert not make_model("lightgbm_dollars").probabilistic
    assert not make_model("lightgbm_r").probabilistic
    assert make_model("lightgbm_r", {"calibration": "platt"}).probabilistic


# --- early stopping


@pytest.mark.parametrize("family", FAMILIES)
def test_early_stopping_takes_the_best_round_of_the_purged_slice_and_refits_on_all_rows(family: str) -> None:
    rows = planted(400)
    model = make_model(family, {"rounds": 200, "patience": 20}).fit(rows)
    log = model.training_log

    assert log["validation_loss"].idxmin() == model.rounds
    assert len(log) == min(200, model.rounds + 20)
    assert log["refit_train_loss"].notna().sum() == model.rounds
    # All it took from the slice is the number of rounds.
    plain = make_model(family, {"rounds": model.rounds, "validation_share": 0}).fit(rows)
    assert plain._text == model._text
    assert plain.predict_proba(rows.features).tobytes() == model.predict_proba(rows.features).tobytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_early_stopping_without_refit_keeps_the_trees_that_never_saw_the_slice(family: str) -> None:
    rows = planted(400)
    model = make_model(family, {"rounds": 200, "patience": 20, "refit": False}).fit(rows)

    train, _ = validation_slice(rows.outcome, 0.2)
    plain = make_model(family, {"rounds": model.rounds, "validation_share": 0}).fit(rows.take(train))

    assert plain.predict_proba(rows.features).tobytes() == model.predict_proba(rows.features).tobytes()
    assert "refit_train_loss" not in model.training_log


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_logged_are_those_of_the_predictions(family: str) -> None:
    rows = planted(400)
    model = make_model(family, {"rounds": 30, "validation_share": 0}).fit(rows)
    score, weight = model.predict_proba(rows.features), rows.weight / rows.weight.sum()

    expected = {
        "lightgbm": lambda: -np.sum(weight * np.log(np.where(rows.label == 1, score, 1 - score))),
        "lightgbm_dollars": lambda: -np.sum(weight * rows.net * score) / np.sum(weight * np.abs(rows.net)),
        "lightgbm_r": lambda: np.sum(weight * (model.predict_r(rows.features) - rows.r_multiple) ** 2),
    }[family]()

    assert model.training_log["train_loss"].iloc[-1] == pytest.approx(expected, rel=1e-9)


def test_observer_hears_each_round_of_both_fits() -> None:
    heard: list[Progress] = []
    model = make_model("lightgbm", {"rounds": 40, "patience": 5})

    model.fit(planted(300), FitOptions(observe=heard.append))

    search = [progress for progress in heard if "validation_loss" in progress.figures]
    refit = [progress for progress in heard if "refit_train_loss" in progress.figures]
    assert [progress.step for progress in search] == model.training_log.index.tolist()
    assert [progress.step for progress in refit] == list(range(1, model.rounds + 1))
    assert {progress.steps for progress in search} == {40}
    assert search[2].figures == model.training_log.loc[3, ["train_loss", "validation_loss"]].to_dict()
    assert len(search) + len(refit) == len(heard)


def test_one_class_before_the_slice_is_one_sentence() -> None:
    net = np.where(np.arange(100) < 80, -100.0, 100.0)

    with pytest.raises(DataError) as caught:
        make_model("lightgbm").fit(made_rows(random_features(100), net))

    assert str(caught.value) == (
        "all 79 rows before the validation slice have the label 0: lightgbm can't learn to tell trades apart; add "
        "earlier bars, or set validation_share to 0"
    )


def test_too_few_rows_for_a_slice_is_one_sentence() -> None:
    rows = planted(2)
    rows.outcome["label"] = [0.0, 1.0]

    with pytest.raises(DataError, match="2 training rows are too few to hold 20% of them back for validation"):
        make_model("lightgbm").fit(rows)


# --- determinism


def saved_bytes(model: Model, folder: Path) -> dict[str, bytes]:
    model.save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("family", FAMILIES)
def test_two_fits_are_the_same_bytes_and_another_seed_gives_others(family: str, tmp_path: Path) -> None:
    rows = planted(400)

    one, again, other = (make_model(family, SHORT, seed=seed).fit(rows) for seed in (7, 7, 8))

    assert saved_bytes(one, tmp_path / "one") == saved_bytes(again, tmp_path / "again")
    assert one._text != other._text
    assert one.training_log.equals(again.training_log)


@pytest.mark.parametrize("family", FAMILIES)
def test_number_of_threads_changes_no_byte(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So many rows that LightGBM cuts them into blocks, each a thread's.
    rows = planted(5000, 8)
    settings = {"rounds": 12, "patience": 12}
    monkeypatch.setattr(boosting, "WORTH_THREADS", 0)

    saved = [
        saved_bytes(
            make_model(family, settings).fit(rows, FitOptions(compute=Compute(threads=threads))),
            tmp_path / str(threads),
        )
        for threads in (1, 3)
    ]

    assert saved[0] == saved[1]


@pytest.mark.parametrize("seed", [-1, 2**31, 2**63])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    model = make_model("lightgbm", SHORT, seed=seed).fit(planted(100))

    assert 0 < model.predict_proba(planted(3).features)[0] < 1


def test_device_that_is_not_there_is_left_for_the_processor(caplog: pytest.LogCaptureFixture) -> None:
    rows = planted(200)
    asked = FitOptions(compute=Compute(lightgbm_device="cuda"))
    model = make_model("lightgbm", SHORT).fit(rows, asked)
    if not caplog.messages:
        pytest.skip("this LightGBM trains on CUDA")

    assert caplog.messages[0].startswith("LightGBM can't train on cuda (")
    assert model._text == make_model("lightgbm", SHORT).fit(rows)._text


# --- missing and useless columns


@pytest.mark.parametrize("family", FAMILIES)
def test_columns_that_tell_nothing_change_nothing(family: str) -> None:
    rows = planted(300, 5)
    features = rows.features.assign(none=np.nan, one=3.0, copy=rows.features["f01"])
    plain = make_model(family, SHORT).fit(rows)

    model = make_model(family, SHORT).fit(TrainingRows(features, rows.outcome))

    later = features.assign(none=1.0, one=-7.0, copy=np.nan)
    assert model.predict_proba(later).tobytes() == plain.predict_proba(rows.features).tobytes()
    assert model.gain()[["none", "one", "copy"]].eq(0).all()
    assert model.contributions(later)[["none", "one", "copy"]].eq(0).all(axis=None)


@pytest.mark.parametrize("family", FAMILIES)
def test_new_gap_is_the_median_not_zero_and_known_gaps_tell(family: str, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    # Far from zero, so that a gap taken for zero would be a losing value.
    features = pd.DataFrame({"whole": rng.normal(100, 10, 400), "gaps": rng.normal(size=400)})
    lost = rng.random(400) < 0.5
    features.loc[lost, "gaps"] = np.nan
    net = np.where(lost | (features["whole"] < 85), -100.0, 100.0)
    model = make_model(family, SHORT).fit(made_rows(features, net))
    caplog.clear()

    median = features["whole"].median()
    new, zero, known, full = model.predict_proba(
        pd.DataFrame({"whole": [np.nan, 0.0, median, median], "gaps": [0.1, 0.1, np.nan, 0.1]})
    )

    assert new == full
    assert zero < full
    assert known < 0.5 < full
    assert caplog.messages == [
        "whole had no missing values in training and now has some (1 in 4 rows): the median stands in"
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_too_few_for_a_split_give_all_the_same_score(family: str) -> None:
    rows = planted(40)

    model = make_model(family).fit(rows)  # thirty rows a leaf

    scores = model.predict_proba(rows.features)
    assert np.ptp(scores) == 0
    assert model.contributions(rows.features).eq(0).all(axis=None)
    assert model.gain().eq(0).all()
    if family == "lightgbm":
        assert scores[0] == pytest.approx(np.average(rows.label, weights=rows.weight), abs=1e-6)
    if family == "lightgbm_r":
        assert model.predict_r(rows.features)[0] == pytest.approx(np.average(rows.r_multiple, weights=rows.weight))


def test_no_column_that_tells_rows_apart_is_one_sentence() -> None:
    rows = TrainingRows(pd.DataFrame({"a": np.ones(50), "b": np.zeros(50)}), planted(50).outcome)

    with pytest.raises(DataError, match="none of 2 features varies over the 39 training rows"):
        make_model("lightgbm").fit(rows)


@pytest.mark.parametrize(
    ("family", "column"), [("lightgbm_dollars", "net"), ("lightgbm_r", "r_multiple"), ("lightgbm_r", "weight")]
)
def test_outcome_that_is_not_known_is_one_sentence(family: str, column: str) -> None:
    rows = planted(60)
    rows.outcome.loc[5, column] = np.nan

    with pytest.raises(DataError, match=f"{column} is nan in training row 5, and it must be a number"):
        make_model(family).fit(rows)


# --- prediction


@given(places=st.lists(st.integers(0, 39), min_size=1, max_size=40), family=st.sampled_from(FAMILIES))
def test_row_does_not_depend_on_the_rows_beside_it(places: list[int], family: str) -> None:
    model, later = _fitted(family), random_features(40, seed=9)

    whole = model.predict_proba(later)

    assert model.predict_proba(later.iloc[places]).tobytes() == whole[places].tobytes()


def _fitted(family: str, cache: dict[str, Model] = {}) -> Model:  # noqa: B006 (one fit for all examples)
    if family not in cache:
        cache[family] = make_model(family, SHORT).fit(planted(200))
    return cache[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_columns_are_found_by_name_and_dtypes_do_not_matter(family: str) -> None:
    rows = planted(300, 4)
    whole = TrainingRows((rows.features.fillna(0.0) * 4).round().astype(np.int64), rows.outcome)
    model = make_model(family, SHORT).fit(whole)
    expected = model.predict_proba(whole.features)

    mixed = whole.features[["f03", "f01", "f00", "f02"]].astype(np.float32).assign(extra="x")

    assert model.predict_proba(mixed).tobytes() == expected.tobytes()
    assert model.predict_proba(whole.features[:0]).shape == (0,)
    assert model.contributions(whole.features[:0]).shape == (0, 4)
    with pytest.raises(DataError, match="was trained on 4 features, and f02 is missing"):
        model.predict_proba(whole.features.drop(columns="f02"))


@pytest.mark.parametrize("family", FAMILIES)
def test_fit_leaves_its_rows_as_they_are(family: str) -> None:
    rows = planted(100)
    before = rows.features.copy(), rows.outcome.copy()

    make_model(family, SHORT).fit(rows).contributions(rows.features)

    assert rows.features.equals(before[0])
    assert rows.outcome.equals(before[1])


# --- importance


@pytest.mark.parametrize("family", FAMILIES)
def test_contributions_add_up_to_the_raw_score(family: str) -> None:
    rows = planted(300)
    model = make_model(family, SHORT).fit(rows)

    shares = model.contributions(rows.features)

    assert shares.columns.tolist() == list(model.columns)
    assert shares.index.equals(rows.features.index)
    assert np.ptp(raw_score(model, rows.features) - shares.sum(axis=1)) < 1e-12
    assert shares.abs().mean().idxmax() == "f00"


def test_contributions_of_one_split_are_exact_by_hand() -> None:
    model = make_model("lightgbm_r", ONE_SPLIT).fit(made_rows(GROUPS, NET))

    shares = model.contributions(GROUPS)["group"]

    # Means 0.375 and −0.625 R, four rows each: from the mean of all, half a unit each way.
    assert shares.to_numpy() == pytest.approx([0.5] * 4 + [-0.5] * 4, abs=1e-6)


def test_gain_is_the_sum_of_the_splits_gains() -> None:
    model = make_model("lightgbm", SHORT).fit(planted(300).take(np.arange(300)))
    sums = dict.fromkeys(model.columns, 0.0)

    def walk(node: dict) -> None:
        if "split_gain" in node:
            sums[model.columns[node["split_feature"]]] += node["split_gain"]
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in model._booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"])

    assert model.gain().to_dict() == pytest.approx(sums, rel=1e-5)
    assert model.gain().sum() > 0


# --- saving


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("refit", [True, False])
def test_model_read_back_says_the_same_bits(family: str, refit: bool, tmp_path: Path) -> None:
    rows = planted(300)
    model = make_model(family, SHORT | {"refit": refit}, seed=5).fit(rows)
    later = random_features(50, seed=4)

    model.save(tmp_path)
    back = load_model(tmp_path)

    assert back.predict_proba(later).tobytes() == model.predict_proba(later).tobytes()
    assert back.contributions(later).equals(model.contributions(later))
    assert back.gain().equals(model.gain())
    assert (back.seed, back.settings, back.rounds) == (5, model.settings, model.rounds)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lightgbm.txt", "model.json"]
    assert "lightgbm" in json.loads((tmp_path / "model.json").read_text())["libraries"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "FileNotFoundError"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "lightgbm.txt is not the file that was saved"),
        (lambda path: path.write_bytes(b""), "lightgbm.txt is not the file that was saved"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"leaf_value=", b"leaf_value=9", 1)), "not the file"),
    ],
    ids=["absent", "cut off", "empty", "changed"],
)
def test_broken_file_is_one_sentence(tmp_path: Path, spoil: object, message: str) -> None:
    make_model("lightgbm", SHORT).fit(planted(100)).save(tmp_path)
    spoil(tmp_path / "lightgbm.txt")  # type: ignore[operator]

    with pytest.raises(DataError, match=r"the lightgbm model in .* is broken \(.*train it again") as caught:
        load_model(tmp_path)

    assert message in str(caught.value)


@pytest.mark.parametrize("family", ["lightgbm", "lightgbm_r", "lightgbm_dollars"])
def test_text_of_a_model_that_lightgbm_wrote_is_sound(family: str) -> None:
    stump = make_model(family, SHORT | {"min_gain_to_split": 1e9}).fit(planted(200))
    for model in (make_model(family, SHORT).fit(planted(200)), stump):
        require_sound_trees(model._text, len(model._transforms.get_feature_names_out()))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"tree_sizes=\d+", "tree_sizes=99999999", "its tree 0"),
        (r"tree_sizes=[^\n]*", "tree_sizes=-1", "its header"),
        (r"max_feature_idx=\d+", "max_feature_idx=999999", "it is not of"),
        (r"left_child=\S+", "left_child=7777", "is not a tree"),
        (r"left_child=\S+", "left_child=0", "is not a tree"),
        (r"split_feature=\d+", "split_feature=7777", "splits on no feature"),
        (r"num_leaves=\d+", "num_leaves=999999", "are not 999998 numbers"),
        (r"num_cat=0", "num_cat=1", "is of another kind"),
        (r"decision_type=\d+", "decision_type=1", "other decisions"),
        (r"threshold=\S+", "threshold=x", "threshold that are not"),
        (r"end of trees[\s\S]*", "", "what follows its trees"),
        (r"Tree=0", "Tree=1", "another kind"),
    ],
)
def test_changed_text_with_a_hash_to_match_is_refused_before_lightgbm_reads_it(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    make_model("lightgbm", SHORT).fit(planted(100)).save(tmp_path)
    changed = re.sub(old, new, (tmp_path / "lightgbm.txt").read_text(), count=1)
    if not old.startswith(("tree_sizes", "end")):
        changed = _sized(changed)
    _reseal(tmp_path, changed)

    with pytest.raises(
        DataError, match=r"is broken \(ValueError: the text is not a model that LightGBM wrote"
    ) as caught:
        load_model(tmp_path)

    assert message in str(caught.value)


def test_text_changed_anywhere_with_a_hash_to_match_never_ends_the_process(tmp_path: Path) -> None:
    make_model("lightgbm", SHORT).fit(planted(100)).save(tmp_path)
    script = """
import random, sys
from pathlib import Path
from pipeline.errors import DataError
from pipeline.learning.models import load_model
from tests.learning.models.test_boosting import _reseal, _sized, planted
folder, draw = Path(sys.argv[1]), random.Random(5)
text, rows, refused = (folder / "lightgbm.txt").read_text(), planted(100), 0
for number in range(400):
    at = draw.randrange(len(text) if number % 2 else 2000)
    part = draw.choice(["", "-", "9", "0", "99999999999", "\\n", " ", "nan", "=", "é", text[:200]])
    changed = text[:at] + part + text[at + draw.choice([0, 1, 1, 5, 300]):]
    _reseal(folder, _sized(changed) if number % 4 < 3 else changed)
    try:
        load_model(folder).predict_proba(rows.features)
    except DataError:
        refused += 1
print(refused)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)

    assert ended.returncode == 0, ended.stderr[-2000:]
    assert int(ended.stdout.splitlines()[-1]) > 200


def _sized(text: str) -> str:
    """The text with the sizes of its trees as they are: LightGBM cuts it by them."""
    trees = re.findall(r"Tree=\d+\n.*?\n\n\n", text, re.DOTALL)
    return re.sub(r"tree_sizes=[^\n]*", "tree_sizes=" + " ".join(str(len(tree.encode())) for tree in trees), text)


def _reseal(folder: Path, text: str) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    manifest["extra"]["sha256"] = write_sealed(folder / "lightgbm.txt", text)
    (folder / "model.json").write_text(json.dumps(manifest))


# --- settings


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("lightgbm", {"num_leaves": 1}, "lightgbm: num_leaves is 1: Input should be greater than or equal to 2"),
        ("lightgbm", {"learning_rate": 0}, "lightgbm: learning_rate is 0: Input should be greater than 0"),
        ("lightgbm", {"validation_share": 1}, "lightgbm: validation_share is 1: Input should be less than 1"),
        ("lightgbm_r", {"scale": 0}, "lightgbm_r: scale is 0: Input should be greater than 0"),
        (
            "lightgbm",
            {"scale": 1},
            "lightgbm: setting scale is unknown; choose from calibration, ",
        ),
        (
            "lightgbm_dollars",
            {"n_estimators": 9},
            "lightgbm_dollars: setting n_estimators is unknown; choose from calib",
        ),
    ],
)
def test_impossible_setting_is_one_sentence(family: str, settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_model(family, settings)

    assert str(caught.value).startswith(message)


def test_every_setting_of_the_trees_reaches_lightgbm() -> None:
    given = {
        "learning_rate": 0.2,
        "num_leaves": 5,
        "max_depth": 2,
        "min_data_in_leaf": 11,
        "feature_fraction": 0.55,
        "bagging_fraction": 0.65,
        "lambda_l1": 0.25,
        "lambda_l2": 3.5,
        "min_gain_to_split": 0.125,
        "max_bin": 31,
    }
    model = make_model("lightgbm", SHORT | given, seed=17).fit(planted(200))

    held = dict(line[1:-1].split(": ", 1) for line in model._text.splitlines() if line.startswith("[") and ": " in line)

    assert {name: float(held[name]) for name in given} == given
    assert (held["seed"], held["deterministic"], held["bagging_freq"]) == ("17", "1", "1")
    assert "num_threads" not in held
    unused = {"rounds", "patience", "validation_share", "refit", "calibration", "calibration_folds"}
    assert set(type(model.settings).model_fields) == set(given) | unused


def test_fit_is_the_same_with_frozen_options() -> None:
    rows = planted(150)
    options = FitOptions()

    one = make_model("lightgbm", SHORT).fit(rows, replace(options, checkpoint=Path("never-written")))

    assert one._text == make_model("lightgbm", SHORT).fit(rows)._text
    assert not Path("never-written").exists()
