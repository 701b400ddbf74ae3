"""A campaign: its trials in the ledger with their returns, and what is said of its best."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from pipeline.home import Home
from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.tuning.campaign import run_campaign
from pipeline.tuning.objectives import Evidence, Judged
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.subject import Subject
from pipeline.tuning.trial_store import TrialStore, open_trials

DAYS = pd.bdate_range("2024-01-01", periods=800, name="session")
SUBJECT = Subject("ES", "strategy", "data", DAYS[0], DAYS[-1], 100_000.0)


@dataclass(frozen=True)
class Target:
    made: float
    space = SearchSpace({"x": Real(0.0, 1.0), "layers": Choice([[64], [64, 32]]), "depth": Whole(1, 5)})

    def judge(self, params: Mapping[str, Any], report: object) -> Judged:
        if params["x"] > 0.9:
            raise RuntimeError("too far")
        return Judged.of(("net",), Evidence(pd.Series([0.0, self.made * params["x"]] * 400, DAYS)))


SETTINGS = StudySettings(objectives=("net",), trials=12, sampler="random", pruner="none")


@pytest.fixture
def store(tmp_path: Path) -> TrialStore:
    return open_trials(f"sqlite:///{tmp_path / 'optuna.db'}")


@pytest.mark.parametrize(("made", "idle"), [(0.0, True), (5.0, False)])
def test_campaign_says_whether_its_best_traded_nothing(store: TrialStore, made: float, idle: bool) -> None:
    found = run_campaign(SUBJECT, Target(made), SETTINGS, store)

    assert found.idle is idle
    assert found.looks.count == len(found.result.complete)


def test_trial_is_one_row_from_which_the_study_and_its_look_are_read(store: TrialStore) -> None:
    result = run_campaign(SUBJECT, Target(5.0), SETTINGS, store).result

    again = run_campaign(SUBJECT, Target(5.0), SETTINGS, store).result
    assert again.trials == result.trials
    assert {trial.state for trial in result.trials} == {"complete", "failed"}
    frame = store.ledger.trials(result.name)
    values = [trial.values or () for trial in result.trials]  # noqa: PD011
    assert frame["values"].tolist() == values
    assert frame["params"].tolist() == [json.loads(json.dumps(trial.params)) for trial in result.trials]
    best = store.ledger.returns(result.name, result.best.position)
    assert best is not None
    expected = np.array([0.0, 5.0 * result.best.params["x"] / 100_000] * 400, np.float32)
    np.testing.assert_array_equal(best.to_numpy(), expected)
    assert list(best.index) == list(DAYS)


def test_study_made_again_after_its_trials_were_lost_counts_each_look_once_and_has_its_returns_again(
    store: TrialStore, tmp_path: Path
) -> None:
    kept = replace(store, home=Home(tmp_path))
    before = run_campaign(SUBJECT, Target(5.0), SETTINGS, kept)
    (tmp_path / "optuna.db").unlink()
    assert kept.ledger.looks("ES", DAYS[0], DAYS[-1]).trial_returns.shape == (0, 0)

    after = run_campaign(SUBJECT, Target(5.0), SETTINGS, kept)

    assert after.looks.count == before.looks.count
    assert after.deflated_sharpe == before.deflated_sharpe
    pd.testing.assert_frame_equal(after.looks.trial_returns, before.looks.trial_returns)


def test_ledger_of_an_earlier_release_keeps_its_looks_and_takes_the_studies_trials(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'optuna.db'}")
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "create table vpoc_trials (study varchar(400), number integer, settings varchar(64),"
                " symbol varchar(40), target varchar(200),"
                " first date, last date, state varchar(16), 'values' text, params text,"
                " finished datetime, seconds double, sessions varchar(64), returns blob,"
                " primary key (study, number, settings))"
            )
        )
        connection.execute(
            sa.text(
                "insert into vpoc_trials values ('ES/strategy/old/net/1', 0, 'a', 'ES', 'strategy', '2024-01-01',"
                " '2024-06-28', 'complete', '[1.0]', '{}', '2024-07-01 00:00:00.000000', 1.0, null, null)"
            )
        )
    engine.dispose()

    found = run_campaign(SUBJECT, Target(5.0), SETTINGS, open_trials(f"sqlite:///{tmp_path / 'optuna.db'}"))

    assert found.looks.count == 1 + len(found.result.complete)
    assert found.looks.by_study()["complete"].sum() == found.looks.count
