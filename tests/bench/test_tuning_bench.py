"""The tuning bench times what it has found to give the same."""

import json
from typing import Any

import pytest

from bench.tuning import bench_tuning
from pipeline.errors import ConfigurationError

pytestmark = pytest.mark.slow

_SMALL: dict[str, Any] = {
    "sessions": 90,
    "trials": 6,
    "naive_trials": 2,
    "rows": 300,
    "columns": 4,
    "model_trials": 2,
    "study_trials": 3,
}


def test_bench_tuning_every_engine_agrees_with_the_naive_loop() -> None:
    rows = json.loads(json.dumps(bench_tuning(**_SMALL)))

    assert {(row["workload"].split(":")[0], row["engine"]): row["agrees"] for row in rows} == {
        ("strategy", "loop of run_research"): None,
        ("strategy", "strategy target, nothing kept yet"): True,
        ("strategy", "strategy target, the same trials again"): True,
        ("strategy", "strategy target, the profile unchanged"): None,
        ("strategy", "study, random, 1 worker"): True,
        ("strategy", "study, tpe, 1 worker"): True,
        ("strategy", "study, tpe, 2 workers"): True,
        ("LightGBM", "loop of fits"): None,
        ("LightGBM", "model target"): True,
        ("LightGBM", "study, random, 1 worker"): True,
        ("LightGBM", "study, random, 2 workers"): True,
        ("LightGBM", "study, tpe, 1 worker"): True,
        ("LightGBM", "study, tpe, 2 workers"): True,
        ("keeping", "Optuna, in memory"): None,
        ("keeping", "Optuna, JournalStorage"): None,
        ("keeping", "Optuna, RDBStorage on SQLite"): None,
        ("keeping", "a study, in SQLite"): None,
    }
    assert all(row["trials_per_second"] > 0 and row["times_naive"] > 0 for row in rows)


@pytest.mark.parametrize("wrong", [{"sessions": 1}, {"naive_trials": 7}, {"rows": 10}, {"model_trials": 0}])
def test_bench_tuning_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="or more"):
        bench_tuning(**{**_SMALL, **wrong})
