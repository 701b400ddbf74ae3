"""Research follows the nightly ingest of a symbol as soon as it has succeeded."""

import dagster as dg
from dagster import MultiPartitionKey

from assets.partitions import GRID
from jobs import ingest, research
from schedules.nightly import THEN_TAG

__all__ = ["research_after_ingest"]

PARTITION_TAG = "dagster/partition"  # as Dagster names it; it exports no constant


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
        return dg.SkipReason("the ingest did not ask for research")
    key = GRID.get_partition_key_from_str(run.tags[PARTITION_TAG])
    if not isinstance(key, MultiPartitionKey):
        return dg.SkipReason("the ingest was not of one month and symbol")
    return dg.RunRequest(run_key=run.run_id, partition_key=key.keys_by_dimension["symbol"])
