"""The chain on bars cut off at a fold's first decision: equal to the bit, and no planted fault is."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.audit import Finding, WholeRun, check_chain, folds_of
from pipeline.audit.chain_replay import fold_of_seed, why_not_judged
from pipeline.chain import make_chain
from pipeline.datasets import Dataset
from pipeline.home import Home
from pipeline.learning.compute import Compute
from pipeline.learning.models import Model, families
from pipeline.market import load_instruments, simulate_market
from pipeline.modelling import walk_family
from pipeline.settings import ModelSelection, Settings, SimulatorSettings
from pipeline.studies import nested_model
from pipeline.tuning.database import tuning_url
from pipeline.tuning.settings import TuningSettings
from pipeline.tuning.trial_store import open_trials
from tests.audit import chain_plants
from tests.audit.chain_plants import planted_everywhere

pytestmark = pytest.mark.slow

# As little training as has every part of it.
SMALL = {
    # Leaves so small that a tree of any fold has some to split: each length of training is another model.
    "lightgbm": {"rounds": 12, "patience": 12, "validation_share": 0, "min_data_in_leaf": 5},
    "mlp": {"epochs": 3, "layers": [8]},
    "lstm": {"epochs": 1},
    "attention": {"epochs": 1},
    "lightgbm_r": {"rounds": 5},
    "lightgbm_dollars": {"rounds": 5},
    "ensemble": {"members": ["logistic", {"family": "lightgbm", "settings": {"rounds": 5}}], "method": "average"},
}
SELECTION = ModelSelection(splits=2, threshold=0.4, parameters=SMALL)
FAULTS = [
    ("join_next_row", "logistic", "features: ", "what the model is given"),
    ("confidence_of_next_session", "logistic", "gates: confidence", "a gate or the confidence"),
    ("scaler_on_all_rows", "logistic", "logistic: score", "a scaler"),
    ("projection_on_all_rows", "logistic", "logistic: score", "a projection"),
    ("selection_by_all_labels", "logistic", "logistic: score", "a selection"),
    ("label_among_the_inputs", "logistic", "logistic: score", "the fold's"),
    ("own_outcome_as_feature", "logistic", "features: win_rate", "what the model is given"),
    ("in_sample_scores", "lightgbm", "lightgbm: score", "the scores are another model's"),
    ("calibration_on_the_test", "lightgbm", "lightgbm: score", "a calibration"),
    ("threshold_on_the_test", "lightgbm", "lightgbm: threshold", "its own test"),
    ("early_stopping_on_the_test", "lightgbm", "lightgbm: score", "early stopping"),
    ("remembered_by_symbol", "logistic", "features: relative_volume_20", "remembered from later bars"),
]


@cache
def bars() -> pd.DataFrame:
    return simulate_market(load_instruments()["ES"], "2021-01-04", 220, 3, bar="30min")


def whole_run(*names: str, settings: Settings | None = None, until: pd.Timestamp | None = None) -> WholeRun:
    """The chain and the training of some families in this process, faults and all."""
    chosen, es = settings or Settings(models=SELECTION), load_instruments()["ES"]
    given = bars() if until is None else bars()[bars()["timestamp"] < until]
    chain = make_chain(given, es, chosen, known_until=until)
    inputs = chain.learning_inputs("test")
    predictions = {name: walk_family(inputs, chosen.models, name, seed=chosen.seed).predictions for name in names}
    return WholeRun(given, es, chosen, chain.signals, inputs, predictions)


@cache
def honest_run(family: str) -> WholeRun:
    """Return what :func:`whole_run` gives where nothing is planted."""
    return whole_run(family)


def differ_in_fold(one: WholeRun, other: WholeRun, family: str, fold: int) -> bool:
    """Return True if anything that is proved of a fold differs between the two."""
    of_fold = other.predictions[family]["fold"] == fold
    pairs = [(each.signals, each.inputs.features, each.predictions[family]) for each in (one, other)]
    return any(not first[of_fold].equals(second[of_fold]) for first, second in zip(*pairs, strict=True))


@pytest.fixture(autouse=True)
def _forget() -> None:
    chain_plants.REMEMBERED.clear()


# --- nothing planted


def test_check_chain_of_every_family_without_a_fault_finds_nothing() -> None:
    whole = whole_run(*families())

    assert check_chain(whole, 2) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"splits": 2, "threshold": "tuned", "embargo": "3D", "weights": "uniqueness"},
        {"splits": 2, "threshold": 0.4, "train_size": 40},
    ],
    ids=["embargo-uniqueness-tuned", "rolling-window"],
)
@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_check_chain_under_other_settings_finds_nothing(changes: dict, hours: str) -> None:
    settings = Settings(
        models=ModelSelection(parameters=SMALL, **changes),
        strategy={"hours": hours},
        account={"hold_overnight": hours == "eth"},
    )
    whole = whole_run("logistic", settings=settings)

    assert [check_chain(whole, fold) for fold in folds_of(whole.predictions["logistic"])] == [[], []]


def test_check_chain_of_a_family_tuned_inside_its_folds_finds_nothing(tmp_path: Path) -> None:
    settings = Settings(models=SELECTION, tuning=TuningSettings(nested=("logistic",), nested_trials=2))
    whole, home = whole_run(settings=settings), Home(tmp_path)
    dataset, store = Dataset("ES-SIM", whole.instrument, SimulatorSettings()), open_trials(tuning_url(home))

    def make() -> Model:
        return nested_model("logistic", dataset, settings, store)

    walk = walk_family(whole.inputs, SELECTION, "logistic", seed=0, make=make)

    assert check_chain(replace(whole, predictions={"logistic": walk.predictions}), 2) == []
    assert len(list((tmp_path / "tuning").glob("optuna.db"))) == 1


def test_check_chain_harness_of_plants_without_a_fault_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    planted_everywhere("nothing", monkeypatch)

    assert check_chain(whole_run("logistic"), 1) == []


# --- something planted


@pytest.mark.parametrize(("plant", "family", "named", "cause"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_check_chain_planted_fault_is_caught_by_name(
    plant: str, family: str, named: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = honest_run(family)
    planted_everywhere(plant, monkeypatch)
    whole = whole_run(family)

    findings = check_chain(whole, 2)

    assert differ_in_fold(whole, honest, family, 2)  # else nothing was there to be caught
    assert [finding.check for finding in findings] == ["chain"]
    assert findings[0].feature.startswith(named)
    assert cause in findings[0].likely_cause
    assert findings[0].row.startswith("fold 2: 2021-")


def test_value_remembered_by_symbol_passes_a_replay_in_the_same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # Why the chain is replayed in a fresh one.
    chain_plants.remembered_by_symbol(monkeypatch.setattr)
    whole = whole_run()
    cut = whole_run(until=pd.Timestamp("2021-08-03 21:00", tz="UTC"))

    early = whole.inputs.features.loc[cut.inputs.features.index]
    pd.testing.assert_frame_equal(cut.inputs.features, early, check_exact=True)


def test_check_chain_score_changed_later_in_the_fold_is_caught() -> None:
    whole = whole_run("logistic")
    predictions = whole.predictions["logistic"]
    row = int(np.flatnonzero(predictions["fold"] == 2)[7])
    predictions.iloc[row, predictions.columns.get_loc("score")] += 1e-16 + np.spacing(predictions["score"].iloc[row])

    (finding,) = check_chain(whole, 2)

    assert isinstance(finding, Finding)
    assert "the fold's other scores" in finding.likely_cause
    assert finding.got > finding.expected


# --- which fold, and what can't be judged


def test_fold_of_seed_is_one_of_the_folds_and_the_same_each_time() -> None:
    predictions = pd.DataFrame({"fold": [-1, 1, 2, 3], "score": [np.nan, 0.5, 0.5, 0.5]})

    drawn = [fold_of_seed(predictions, seed) for seed in range(20)]

    assert drawn == [fold_of_seed(predictions, seed) for seed in range(20)]
    assert set(drawn) == {1, 2, 3}


@pytest.mark.parametrize(
    ("family", "tuning", "compute", "why"),
    [
        ("lightgbm", {}, Compute(lightgbm_device="cuda"), "on a GPU"),
        ("logistic", {}, Compute(lightgbm_device="cuda"), None),
        ("logistic", {"nested": ["logistic"], "seconds": 5}, Compute(), "end by time"),
        ("logistic", {"nested": ["logistic"], "workers": 2}, Compute(), "several processes"),
        ("logistic", {"nested": ["logistic"]}, Compute(), None),
    ],
)
def test_why_not_judged_names_what_makes_two_trainings_differ(
    family: str, tuning: dict, compute: Compute, why: str | None
) -> None:
    message = why_not_judged(family, Settings(tuning=TuningSettings(**tuning)), compute)

    assert message is None if why is None else why in str(message)
