"""A new study begins with what the one before it, on other data, had found to be best."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.search_space import Choice, Real, SearchSpace
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.subject import Subject
from pipeline.tuning.trial_store import TrialStore, open_trials
from pipeline.tuning.warm_start import previous_best
from tests.tuning.studies import run

SPACE = SearchSpace({"x": Real(-1.0, 1.0), "layers": Choice([[64], [64, 32]])})


@pytest.fixture
def storage(tmp_path: Path) -> TrialStore:
    return open_trials(f"sqlite:///{tmp_path / 'optuna.db'}")


def subject(version: str, target: str = "mlp", symbol: str = "ES", book: str = "") -> Subject:
    return Subject(symbol, target, version, pd.Timestamp("2020-01-02"), pd.Timestamp("2021-01-04"), 100_000.0, book)


def searched(storage: TrialStore, of: Subject, aim: float, *, objective: str = "log_loss", trials: int = 6) -> dict:
    def evaluate(params: dict, report: object) -> float:
        return abs(params["x"] - aim)

    settings = StudySettings(objectives=(objective,), trials=trials, seed=3, pruner="none", sampler="random")
    return run(SPACE, evaluate, settings, storage, subject=of).best.params


def test_previous_best_is_of_the_latest_other_study_of_the_same_target_and_objective(storage: TrialStore) -> None:
    searched(storage, subject("one"), -0.9)
    latest = searched(storage, subject("two"), 0.7)
    searched(storage, subject("two", target="mlp nested"), 0.0)
    searched(storage, subject("two", symbol="ES-SIM"), 0.0)
    searched(storage, subject("two", book="es80"), 0.0)
    searched(storage, subject("two"), 0.0, objective="sharpe_low")

    assert previous_best(storage.ledger, subject("three"), SPACE, ("log_loss",)) == latest
    assert previous_best(storage.ledger, subject("two"), SPACE, ("log_loss",)) != latest  # not the study itself


def test_studies_of_a_book_are_its_own_and_count_on_its_market(storage: TrialStore) -> None:
    own = searched(storage, subject("one", book="es80"), 0.7, trials=4)
    searched(storage, subject("one"), -0.9, trials=3)

    looks = storage.ledger.looks("ES", pd.Timestamp("2020-01-02"), pd.Timestamp("2021-01-04"))

    assert previous_best(storage.ledger, subject("two", book="es80"), SPACE, ("log_loss",)) == own
    counts = looks.by_study()["complete"]
    assert {name.partition("/")[0]: int(count) for name, count in counts.items()} == {"es80": 4, "ES": 3}
    assert looks.count == 7


def test_previous_best_of_an_objective_that_is_maximized_is_the_highest(storage: TrialStore) -> None:
    searched(storage, subject("one"), 0.0, objective="net")

    trials = storage.ledger.trials(storage.ledger.studies("ES", "mlp")[0])
    highest = trials["params"][trials["values"].map(max).idxmax()]
    assert previous_best(storage.ledger, subject("two"), SPACE, ("net",)) == SPACE.chosen_from(highest)


def test_previous_best_that_no_longer_lies_in_the_space_is_left_out(storage: TrialStore) -> None:
    searched(storage, subject("one"), 0.9)

    assert previous_best(storage.ledger, subject("two"), SPACE.narrowed({"x": {"high": -0.99}}), ("log_loss",)) is None
    assert previous_best(storage.ledger, subject("two"), SearchSpace({"y": Real(0.0, 1.0)}), ("log_loss",)) is None


def test_previous_best_with_an_option_that_was_narrowed_away_is_left_out(storage: TrialStore) -> None:
    best = searched(storage, subject("one"), 0.9)
    other = next(option for option in SPACE["layers"].options if option != best["layers"])  # type: ignore[union-attr]

    assert (
        previous_best(storage.ledger, subject("two"), SPACE.narrowed({"layers": [list(other)]}), ("log_loss",)) is None
    )
    assert previous_best(storage.ledger, subject("two"), SPACE.narrowed({"x": 0.5}), ("log_loss",)) is None


def test_previous_best_without_an_earlier_study_is_none(storage: TrialStore) -> None:
    assert previous_best(storage.ledger, subject("one"), SPACE, ("log_loss",)) is None
