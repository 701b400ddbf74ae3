"""Schedules and sensors: when jobs run by themselves."""

from schedules.dead_runs import dead_runs
from schedules.nightly import nightly_schedules
from schedules.research_after_ingest import research_after_ingest
from schedules.training_after_research import (
    judgement_after_failed_training,
    judgement_after_training,
    training_after_research,
)

__all__ = [
    "dead_runs",
    "judgement_after_failed_training",
    "judgement_after_training",
    "nightly_schedules",
    "research_after_ingest",
    "training_after_research",
]
