"""A new study begins with what the one before it, on other data, had found to be best."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.search_space import Choice, Real, SearchSpace
from pipeline.tuning.campaign import Subject
from pipeline.tuning.storage import StudyStorage, open_storage
from pipeline.tuning.study import StudySettings, run_study
from pipeline.tuning.warm_start import previous_best

SPACE = SearchSpace({"x": Real(-1.0, 1.0), "layers": Choice([[64], [64, 32]])})


@pytest.fixture
def storage(tmp_path: Path) -> StudyStorage:
    return open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")


def subject(version: str, target: str = "mlp", symbol: str = "ES") -> Subject:
    return Subject(symbol, target, version, pd.Timestamp("2020-01-02"), pd.Timestamp("2021-01-04"), 100_000.0)


def searched(storage: StudyStorage, of: Subject, aim: float, *, objective: str = "log_loss", trials: int = 6) -> dict:
    def evaluate(params: dict, report: object) -> float:
        return abs(params["x"] - aim)

    settings = StudySettings(objectives=(objective,), trials=trials, seed=3, pruner="none", sampler="random")
    return run_study(of.study, SPACE, evaluate, settings, storage).best.params


def test_previous_best_is_of_the_latest_other_study_of_the_same_target_and_objective(storage: StudyStorage) -> None:
    searched(storage, subject("one"), -0.9)
    latest = searched(storage, subject("two"), 0.7)
    searched(storage, subject("two", target="mlp nested"), 0.0)
    searched(storage, subject("two", symbol="ES-SIM"), 0.0)
    searched(storage, subject("two"), 0.0, objective="sharpe_low")

    assert previous_best(storage, subject("three"), SPACE, ("log_loss",)) == latest
    assert previous_best(storage, subject("two"), SPACE, ("log_loss",)) != latest  # not the study itself


def test_previous_best_of_an_objective_that_is_maximized_is_the_highest(storage: StudyStorage) -> None:
    searched(storage, subject("one"), 0.0, objective="net")

    (study,) = storage.optuna.get_all_studies()
    trials = storage.optuna.get_all_trials(study._study_id)
    assert previous_best(storage, subject("two"), SPACE, ("net",)) == SPACE.read(
        max(trials, key=lambda trial: trial.value).params
    )


def test_previous_best_that_no_longer_lies_in_the_space_is_left_out(storage: StudyStorage) -> None:
    searched(storage, subject("one"), 0.9)

    assert previous_best(storage, subject("two"), SPACE.narrowed({"x": {"high": -0.99}}), ("log_loss",)) is None
    assert previous_best(storage, subject("two"), SearchSpace({"y": Real(0.0, 1.0)}), ("log_loss",)) is None


def test_previous_best_with_an_option_that_was_narrowed_away_is_left_out(storage: StudyStorage) -> None:
    best = searched(storage, subject("one"), 0.9)
    other = next(option for option in SPACE["layers"].options if option != best["layers"])  # type: ignore[union-attr]

    assert previous_best(storage, subject("two"), SPACE.narrowed({"layers": [list(other)]}), ("log_loss",)) is None
    assert previous_best(storage, subject("two"), SPACE.narrowed({"x": 0.5}), ("log_loss",)) is None


def test_previous_best_without_an_earlier_study_is_none(storage: StudyStorage) -> None:
    assert previous_best(storage, subject("one"), SPACE, ("log_loss",)) is None
