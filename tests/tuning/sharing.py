"""A process that takes part in a study: ``python -m tests.tuning.sharing URL TRIALS``."""

import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.search_space import Real, SearchSpace
from pipeline.tuning.campaign import run_campaign
from pipeline.tuning.objectives import Evidence, Judged
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.subject import Subject
from pipeline.tuning.trial_store import open_trials

DAYS = pd.bdate_range("2024-01-01", periods=60, name="session")
SUBJECT = Subject("ES", "strategy", "data", DAYS[0], DAYS[-1], 100_000.0)


class Target:
    space = SearchSpace({"x": Real(0.0, 1.0)})

    def judge(self, params: Mapping[str, Any], report: object) -> Judged:
        return Judged.of(("net",), Evidence(pd.Series([0.0, params["x"]] * 30, DAYS)))


if __name__ == "__main__":
    url, trials = sys.argv[1:]
    settings = StudySettings(objectives=("net",), trials=int(trials), sampler="random", pruner="none")
    run_campaign(SUBJECT, Target(), settings, open_trials(url))
