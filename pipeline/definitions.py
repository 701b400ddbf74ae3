"""Everything Dagster knows of this project: assets, jobs, schedules and resources, gathered here."""

import dagster as dg

from assets import all_assets
from jobs import desk, ingest, judge, prepare, research, train, tune
from jobs.processes import one_process
from pipeline.environment import prepare_environment
from pipeline.home import vpoc_home
from resources import BacktestStore, BarSource, ComputeDevice, MLflowTracking, ParquetStore, ResearchSettings
from schedules import (
    dead_runs,
    desk_after_judgement,
    judgement_after_failed_training,
    judgement_after_training,
    nightly_schedules,
    preparation_after_ingest,
    research_after_preparation,
    training_after_research,
)

__all__ = ["defs"]

# Dagster loads this module in processes of its own (code server, runs): each needs the home's variables.
prepare_environment(vpoc_home())

defs = dg.Definitions(
    assets=all_assets(),
    jobs=[ingest, prepare, research, tune, train, judge, desk],
    schedules=nightly_schedules(),
    sensors=[
        preparation_after_ingest,
        research_after_preparation,
        training_after_research,
        judgement_after_training,
        judgement_after_failed_training,
        desk_after_judgement,
        dead_runs,
    ],
    executor=one_process,  # of runs from the page and of backfills too
    resources={
        "io_manager": ParquetStore(),
        "backtests": BacktestStore(),
        "bar_source": BarSource(),
        "settings": ResearchSettings(),
        "compute_device": ComputeDevice(),
        "mlflow_tracking": MLflowTracking(),
    },
)
