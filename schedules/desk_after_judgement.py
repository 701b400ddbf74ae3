"""The desk follows the nightly judgement of each of its books."""

import dagster as dg

from jobs import desk, judge
from pipeline.home import vpoc_home
from pipeline.settings import load_settings
from schedules.nightly import RETRY_TAGS
from schedules.training_after_research import BATCH_TAG

__all__ = ["desk_after_judgement"]

PARTITION_TAG = "dagster/partition"


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[judge],
    request_job=desk,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Trades the desk's books together once one of them has been judged in the night.",
)
def desk_after_judgement(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Request the desk where the book that was judged is one of its books."""
    run = context.dagster_run
    if BATCH_TAG not in run.tags:
        return dg.SkipReason(f"Judgement {run.run_id[:8]} was not a nightly one, so no desk follows it.")
    settings, book = load_settings(vpoc_home()), run.tags[PARTITION_TAG]
    if book not in settings.desk_books:
        return dg.SkipReason(f"{book} is no book of the desk.")
    return dg.RunRequest(run_key=run.run_id, tags=RETRY_TAGS)
