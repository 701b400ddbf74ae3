"""A process that takes part in a study: ``python -m tests.tuning.sharing URL FOLDER TRIALS``."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.search_space import Real, SearchSpace
from pipeline.tuning.campaign import KeptMoney, Subject, run_campaign
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.objectives import Evidence
from pipeline.tuning.storage import open_storage
from pipeline.tuning.study import StudySettings

DAYS = pd.bdate_range("2024-01-01", periods=60, name="session")
SUBJECT = Subject("ES", "strategy", "data", DAYS[0], DAYS[-1], 100_000.0)


class Target:
    space = SearchSpace({"x": Real(0.0, 1.0)})

    def __init__(self, kept: KeptMoney) -> None:
        self._kept = kept

    def __call__(self, params: Mapping[str, Any], report: object) -> float:
        money = pd.Series([0.0, params["x"]] * 30, DAYS)
        self._kept(params, Evidence(money))
        return float(money.sum())


if __name__ == "__main__":
    url, folder, trials = sys.argv[1:]
    kept = KeptMoney(Path(folder) / "money")
    settings = StudySettings(objectives=("net",), trials=int(trials), sampler="random", pruner="none")
    run_campaign(SUBJECT, Target(kept), kept, settings, open_storage(url), Ledger(url))
