"""Research follows the nightly ingest of a symbol as soon as it has succeeded."""

import dagster as dg

from jobs import ingest, research
from schedules.nightly import RETRY_TAGS, SYMBOL_TAG, THEN_TAG

__all__ = ["research_after_ingest"]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[ingest],
    request_job=research,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs a symbol's research once its nightly ingest has succeeded.",
)
def research_after_ingest(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Request the research of the symbol whose ingest asked for it."""
    run = context.dagster_run
    if run.tags.get(THEN_TAG) != "research":
        return dg.SkipReason(f"Ingest {run.run_id[:8]} was not a nightly one, so no research follows it.")
    symbol = run.tags[SYMBOL_TAG]
    tags = {SYMBOL_TAG: symbol, THEN_TAG: "train", **RETRY_TAGS}
    return dg.RunRequest(run_key=run.run_id, partition_key=symbol, tags=tags)
