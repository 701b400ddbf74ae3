"""Records that a campaign keeps of each trial."""

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.search_space import Real, SearchSpace
from pipeline.tuning.campaign import KeptMoney, Subject, run_campaign
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.objectives import Evidence
from pipeline.tuning.storage import StudyStorage
from pipeline.tuning.study import StudySettings, TrialRecord

DAYS = pd.bdate_range("2024-01-01", periods=800, name="session")


def test_money_of_parameters_that_two_workers_draw_at_once_is_always_whole(tmp_path: Path) -> None:
    kept, params = KeptMoney(tmp_path / "money"), {"hours": "rth"}
    evidence = Evidence(pd.Series(range(800), DAYS, dtype=float))
    trial = TrialRecord(0, 0, "complete", params, (1.0,), {}, 0.1)
    kept(params, evidence)

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(kept, params, evidence) for _ in range(300)]
        while not all(each.done() for each in writing):
            returns = kept.returns(trial, 100.0)
            assert returns is not None
            assert returns.sum() == 799 * 4

    assert len(list((tmp_path / "money").iterdir())) == 1


def test_money_that_the_ledger_has_is_dropped_and_that_of_a_trial_at_work_stays(tmp_path: Path) -> None:
    kept = KeptMoney(tmp_path / "money")
    evidence = Evidence(pd.Series(range(800), DAYS, dtype=float))
    settled = TrialRecord(0, 0, "complete", {"hours": "rth"}, (1.0,), {}, 0.1)
    kept(settled.params, evidence)
    kept({"hours": "eth"}, evidence)

    kept.drop([settled, settled])
    assert kept.returns(settled, 100.0) is None
    assert len(list(kept.folder.iterdir())) == 1

    kept.drop([TrialRecord(1, 1, "complete", {"hours": "eth"}, (1.0,), {}, 0.1)])
    assert not kept.folder.exists()
    kept.drop([settled])


def test_money_that_another_process_drops_meanwhile_is_whole_or_gone(tmp_path: Path) -> None:
    kept, params = KeptMoney(tmp_path / "study" / "money"), {"hours": "rth"}
    evidence = Evidence(pd.Series(range(800), DAYS, dtype=float))
    trial = TrialRecord(0, 0, "complete", params, (1.0,), {}, 0.1)
    other = multiprocessing.get_context("fork").Process(
        target=lambda: [(kept(params, evidence), kept.drop([trial])) for _ in range(200)]
    )

    other.start()
    while other.is_alive():
        returns = kept.returns(trial, 100.0)
        assert returns is None or returns.sum() == 799 * 4
        kept({"hours": "eth"}, evidence)  # the folder goes with the last of it
        kept.drop([TrialRecord(1, 1, "complete", {"hours": "eth"}, (1.0,), {}, 0.1)])
    other.join()

    assert other.exitcode == 0


@pytest.mark.parametrize(("made", "idle"), [(0.0, True), (5.0, False)])
def test_campaign_says_whether_its_best_traded_nothing(tmp_path: Path, made: float, idle: bool) -> None:
    kept = KeptMoney(tmp_path / "money")

    class Target:
        space = SearchSpace({"x": Real(0.0, 1.0)})

        def __call__(self, params: Mapping[str, Any], report: object) -> float:
            money = pd.Series([0.0, made] * 400, DAYS)
            kept(params, Evidence(money))
            return float(money.sum())

    subject = Subject("ES", "strategy", "data", DAYS[0], DAYS[-1], 100_000.0)
    settings = StudySettings(objectives=("net",), trials=2, sampler="random", pruner="none")
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    found = run_campaign(subject, Target(), kept, settings, StudyStorage.in_memory(), ledger)

    assert found.idle is idle
    assert found.looks.count == 2
    assert not kept.folder.exists()
