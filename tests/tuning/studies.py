"""Studies as the tests make them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.search_space import SearchSpace
from pipeline.tuning.objectives import Judged
from pipeline.tuning.settings import StudySettings
from pipeline.tuning.study import run_study
from pipeline.tuning.subject import Subject
from pipeline.tuning.trial_store import TrialStore
from pipeline.tuning.trials import Report, StudyResult

STUDY = Subject("NQ", "strategy", "data", pd.Timestamp("2024-01-01"), pd.Timestamp("2024-12-31"), 100_000.0)


@dataclass(frozen=True)
class Judge:
    """A target whose values a function gives."""

    space: SearchSpace
    evaluate: Callable[[dict[str, Any], Report], Any]

    def judge(self, params: Mapping[str, Any], report: Report) -> Judged:
        made = self.evaluate(dict(params), report)
        return Judged(made if isinstance(made, tuple) else (made,))


def run(
    space: SearchSpace,
    evaluate: Callable[[dict[str, Any], Report], Any],
    settings: StudySettings,
    store: TrialStore | None = None,
    *,
    subject: Subject = STUDY,
    **more: Any,
) -> StudyResult:
    return run_study(subject, Judge(space, evaluate), settings, store, **more)
