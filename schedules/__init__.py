"""Schedules and sensors: when jobs run by themselves."""

from schedules.dead_runs import dead_runs
from schedules.desk_after_judgement import desk_after_judgement
from schedules.nightly import nightly_schedules
from schedules.research_after_ingest import preparation_after_ingest, research_after_preparation
from schedules.training_after_research import (
    judgement_after_failed_training,
    judgement_after_training,
    training_after_research,
)

__all__ = [
    "dead_runs",
    "desk_after_judgement",
    "judgement_after_failed_training",
    "judgement_after_training",
    "nightly_schedules",
    "preparation_after_ingest",
    "research_after_preparation",
    "training_after_research",
]
