"""Settings of one training that the launchpad lets a user change."""

from typing import Any

import dagster as dg
import pandas as pd
import pytest

from assets.training_overrides import TrainingOverrides, with_changes
from assets.tuning import StudyOverrides
from pipeline.choices import model_choices
from pipeline.definitions import defs
from pipeline.errors import ConfigurationError
from pipeline.home import Home
from pipeline.market import load_instruments
from pipeline.settings import Settings, load_settings
from resources.mlflow_store import open_store
from tests.orchestration.conftest import backtests


def test_configuration_as_it_is_shown_changes_nothing() -> None:
    assert TrainingOverrides().changes("lightgbm") == {}
    assert TrainingOverrides().changes("lstm") == {}  # one that is not shown


def test_shown_defaults_are_every_hyperparameter_of_the_families_that_are_trained() -> None:
    shown = TrainingOverrides().hyperparameters

    assert set(shown) == set(Settings().models.families)
    assert (shown["lightgbm"]["num_leaves"], shown["mlp"]["layers"]) == (6, [128, 64])


def test_changed_hyperparameter_is_added_to_those_of_the_settings_and_is_another_trial() -> None:
    settings = Settings(models={"parameters": {"lightgbm": {"max_depth": 2}}})
    given = TrainingOverrides(hyperparameters={"lightgbm": {"rounds": 30}, "mlp": {"epochs": 1}}, threshold="0.4")

    changes = given.changes("lightgbm")

    assert changes == {"threshold": 0.4, "parameters": {"lightgbm": {"rounds": 30}}}
    models = with_changes(settings, changes).models
    assert models.parameters == {"lightgbm": {"max_depth": 2, "rounds": 30}}
    assert models.threshold == 0.4
    es = load_instruments()["ES"]
    before, after = (model_choices(each, es, "lightgbm") for each in (settings, with_changes(settings, changes)))
    assert {name for name in before if before[name] != after[name]} == {"model.rounds", "threshold"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"threshold": "1.5"}, "threshold is 1.5"),
        ({"threshold": "high"}, "give 'tuned' or a number between 0 and 1"),
        ({"weights": "none"}, "weights is 'none'.*'equal' or 'uniqueness'"),
        ({"hyperparameters": {"lightgbm": {"rounds": -1}}}, "lightgbm: rounds is -1"),
        ({"hyperparameters": {"lightgbm": {"num_leafs": 3}}}, "lightgbm: setting num_leafs is unknown; choose from"),
        ({"hyperparameters": {"lightbm": {"rounds": 3}}}, "no model family 'lightbm'"),
    ],
)
def test_wrong_value_is_refused_in_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        with_changes(Settings(), TrainingOverrides(**given).changes("lightgbm"))

    assert "\n" not in str(refused.value)


def test_study_as_it_is_shown_changes_nothing_and_its_trials_can_be_changed() -> None:
    assert StudyOverrides().changes() == {}
    assert StudyOverrides(trials=7, objectives=["net"]).changes() == {"trials": 7, "objectives": ["net"]}
    assert StudyOverrides().trials == Settings().tuning.trials


@pytest.mark.slow
def test_training_with_changes_uses_them_and_keeps_them_with_its_scores(
    copied: Home, instance: dg.DagsterInstance
) -> None:
    config = {"ops": {"models": {"config": {"hyperparameters": {"lightgbm": {"rounds": 7}}}}}}

    result = defs.resolve_job_def("train").execute_in_process(
        instance=instance, partition_key="lightgbm|ES-SIM", run_config=config
    )

    assert result.success
    scores = pd.read_parquet(copied.assets / "models" / "ES-SIM" / "lightgbm.parquet")
    assert scores.attrs["changes"] == {"parameters": {"lightgbm": {"rounds": 7}}}
    assert backtests(copied, "model_backtest/ES-SIM/lightgbm").attrs["changes"] == scores.attrs["changes"]
    store = open_store(copied)
    (run,) = store.client.search_runs([store.experiment("ES-SIM")])
    assert run.data.params["model.rounds"] == "7"
    assert run.data.params["model.patience"] == str(load_settings(copied).models.parameters["lightgbm"]["patience"])
