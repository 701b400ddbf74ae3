"""Shuffled labels: nothing is found where nothing is, and what knows its labels stands out."""

from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from pipeline.audit.permutation import FALSE_ALARMS, Permutation, _mann_whitney, check_permutation, shuffled_outcomes
from pipeline.modelling import LearningInputs
from pipeline.settings import ModelSelection
from tests.audit.chain_plants import PLANTS
from tests.audit.test_chain_replay import SELECTION, whole_run

# Trees that tell all rows apart.
MEMORISING = {
    "rounds": 20,
    "validation_share": 0,
    "learning_rate": 0.3,
    "num_leaves": 1024,
    "max_depth": -1,
    "min_data_in_leaf": 1,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
    "lambda_l2": 0.0,
}


@cache
def inputs() -> LearningInputs:
    return whole_run().inputs


def test_mann_whitney_mean_and_variance_are_those_of_all_orders_of_the_labels() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.4, 0.7, 0.9, 0.9])
    label = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0])

    every = [_mann_whitney(scores, np.array(order)) for order in set(permutations(label.tolist()))]

    excesses = np.array([excess for excess, _, _ in every])
    assert excesses.mean() == pytest.approx(0.0, abs=1e-12)
    assert excesses.var() == pytest.approx(every[0][1], rel=1e-12)
    assert {pairs for _, _, pairs in every} == {12}


def test_shuffled_outcomes_stay_in_their_block_and_keep_times_weights_and_features() -> None:
    splitter = SELECTION.splitter()
    before, after = inputs().training_set, shuffled_outcomes(inputs(), splitter, 5).training_set

    roles = splitter.roles(before)
    moved = ["label", "r_multiple", "net"]
    kept = [name for name in before.columns if name not in moved]
    pd.testing.assert_frame_equal(after[kept], before[kept], check_exact=True)
    for name in roles:
        block = (roles[name] == "test").to_numpy()
        assert sorted(map(tuple, after.loc[block, moved].to_numpy())) == sorted(
            map(tuple, before.loc[block, moved].to_numpy())
        )
        assert not after.loc[block, "net"].equals(before.loc[block, "net"])
    pd.testing.assert_frame_equal(shuffled_outcomes(inputs(), splitter, 5).training_set, after)


@pytest.mark.parametrize("family", ["logistic", "lightgbm"])
def test_training_without_a_fault_finds_nothing_in_shuffled_labels(family: str) -> None:
    found = [check_permutation(inputs(), SELECTION, family, seed=seed) for seed in range(6)]

    deviations = np.array([each.deviations for each in found])
    assert all(each.findings(family) == [] for each in found)
    # Six standard normal values: their mean square is beyond 3.7 once in a thousand.
    assert (deviations**2).mean() < 3.7
    assert all(abs(each.area - 0.5) < 0.25 for each in found)


def test_scores_alike_in_each_fold_say_nothing() -> None:
    found = check_permutation(inputs(), SELECTION, "constant", seed=0)

    assert np.isnan(found.area)
    assert found.probability == 1.0
    assert found.findings("constant") == []


@pytest.mark.parametrize("plant", ["in_sample_scores", "label_among_the_inputs"])
def test_scores_that_know_their_labels_are_caught(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that know all labels are caught on any market with some thirty trades.

    Both plants rank a block's trades by their shuffled labels without an error: trees deep enough to tell all rows
    apart hold the rows that they are asked about, or are given a column that is the label. So the area is 1, and of n
    trades of one fold, n1 of them winners, it lies sqrt(3 n1 n0 / (n + 1)) deviations from one half: with a quarter of
    winners beyond the limit of 3.9 from 28 trades on, and 7.5 deviations (p = 8e-14) away with a hundred.
    """
    known = inputs()
    selection = SELECTION.model_copy(update={"parameters": {"lightgbm": MEMORISING}})
    PLANTS[plant](monkeypatch.setattr)

    found = check_permutation(known, selection, "lightgbm", seed=0)

    (finding,) = found.findings("lightgbm")
    assert (finding.check, finding.feature) == ("permutation", "lightgbm")
    assert "know the labels" in finding.likely_cause
    assert found.area == 1.0
    assert found.rows > 50


def test_calibration_and_tuned_threshold_of_the_settings_are_left_out() -> None:
    costly = ModelSelection(
        splits=2, threshold="tuned", parameters={"logistic": {"calibration": "platt", "calibration_folds": 3}}
    )

    assert check_permutation(inputs(), costly, "logistic", seed=1) == check_permutation(
        inputs(), SELECTION, "logistic", seed=1
    )


def test_limit_is_a_probability_of_both_sides() -> None:
    limit = float(norm.isf(FALSE_ALARMS / 2))

    assert Permutation(0.6, limit - 0.001, 100).findings("it") == []
    assert len(Permutation(0.6, limit + 0.001, 100).findings("it")) == 1
    assert len(Permutation(0.4, -limit - 0.001, 100).findings("it")) == 1
