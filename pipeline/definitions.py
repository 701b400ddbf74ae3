"""Everything Dagster knows of this project: assets, jobs, schedules and resources, gathered here."""

import dagster as dg

from assets import all_assets
from jobs import ingest, research
from jobs.chain import ChainError, StepEvent, close_dead_runs, run_chain
from pipeline.environment import prepare_environment
from pipeline.home import vpoc_home
from resources import BarSource, MLflowTracking, ParquetStore, ResearchSettings
from schedules import nightly_schedules, research_after_ingest

__all__ = ["ChainError", "StepEvent", "close_dead_runs", "defs", "run_chain"]

# Dagster loads this module in processes of its own (code server, runs): each needs the home's variables.
prepare_environment(vpoc_home())

defs = dg.Definitions(
    assets=all_assets(),
    jobs=[ingest, research],
    schedules=nightly_schedules(),
    sensors=[research_after_ingest],
    # Steps of milliseconds, also of runs from the page and of backfills: a process each would cost seconds.
    executor=dg.in_process_executor,
    resources={
        "io_manager": ParquetStore(),
        "bar_source": BarSource(),
        "settings": ResearchSettings(),
        "mlflow_tracking": MLflowTracking(),
    },
)
