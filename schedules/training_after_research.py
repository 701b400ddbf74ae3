"""Models follow the nightly research of a symbol, and its judgement follows the last of them."""

from collections.abc import Iterator

import dagster as dg

from assets.partitions import model_key
from jobs import judge, research, train
from pipeline.home import vpoc_home
from pipeline.settings import load_settings
from schedules.nightly import SYMBOL_TAG, THEN_TAG

__all__ = ["judgement_after_failed_training", "judgement_after_training", "training_after_research"]

BATCH_TAG = "vpoc/batch"
JUDGE = "judge"
GOING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[research],
    request_jobs=[train, judge],
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Trains every model family that the settings name once a symbol's nightly research has succeeded.",
)
def training_after_research(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a training a family; the judgement at once where there is none."""
    run = context.dagster_run
    if run.tags.get(THEN_TAG) != "train":
        yield dg.SkipReason("the research did not ask for training")
        return
    symbol = run.tags[SYMBOL_TAG]
    families = load_settings(vpoc_home()).models.families
    for family in families:
        yield dg.RunRequest(
            run_key=f"{run.run_id} {family}",
            job_name=train.name,
            partition_key=model_key(family, symbol),
            tags={THEN_TAG: JUDGE, SYMBOL_TAG: symbol, BATCH_TAG: run.run_id},
        )
    if not families:
        yield dg.RunRequest(run_key=run.run_id, job_name=judge.name, partition_key=symbol)


def _judgement(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    run = context.dagster_run
    if run.tags.get(THEN_TAG) != JUDGE:
        return dg.SkipReason("the training did not ask for judgement")
    batch = run.tags[BATCH_TAG]
    symbol = run.tags[SYMBOL_TAG]
    going = context.instance.get_runs(dg.RunsFilter(job_name=train.name, tags={BATCH_TAG: batch}, statuses=GOING))
    if going:
        return dg.SkipReason(f"{len(going)} more trainings of {symbol} are going on")
    record = context.instance.get_run_record_by_id(run.run_id)
    ended = (record.end_time if record is not None else None) or 0.0
    judged = context.instance.get_run_records(dg.RunsFilter(job_name=judge.name, tags={BATCH_TAG: batch}), limit=1)
    if judged and judged[0].create_timestamp.timestamp() >= ended:
        return dg.SkipReason(f"{symbol} has been judged after these trainings")  # by the other sensor
    # By its own key: one that was executed again from the page, after the batch was judged, is judged as well.
    return dg.RunRequest(run_key=run.run_id, partition_key=symbol, tags={BATCH_TAG: batch})


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[train],
    request_job=judge,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Judges a symbol once the last of its nightly trainings has ended.",
)
def judgement_after_training(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Request the judgement of the symbol whose models have been trained."""
    return _judgement(context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    monitored_jobs=[train],
    request_job=judge,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Judges a symbol also where its last nightly training failed: the report shows what there is.",
)
def judgement_after_failed_training(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Request the judgement of the symbol whose last training failed."""
    return _judgement(context)
