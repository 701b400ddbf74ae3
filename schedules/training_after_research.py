"""Models follow the nightly research of a book, studies the last of them, and its judgement the last of all."""

from collections.abc import Iterator

import dagster as dg

from assets.partitions import of_book
from jobs import judge, research, train, tune
from pipeline.home import vpoc_home
from pipeline.settings import Settings, load_settings
from schedules.nightly import BOOK_TAG, RETRY_TAGS, THEN_TAG

__all__ = ["judgement_after_failed_training", "judgement_after_training", "training_after_research"]

BATCH_TAG = "vpoc/batch"
WILL_RETRY_TAG = "dagster/will_retry"  # set by Dagster when a run fails
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
    request_jobs=[train, tune, judge],
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Trains every model family that the settings name once a book's nightly research has succeeded.",
)
def training_after_research(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a training a family; where there is none, what comes after them."""
    run = context.dagster_run
    if run.tags.get(THEN_TAG) != "train":
        yield dg.SkipReason(f"Research {run.run_id[:8]} was not a nightly one, so no training follows it.")
        return
    book = run.tags[BOOK_TAG]
    families = _settings_of(book).models.families
    for family in families:
        yield dg.RunRequest(
            run_key=f"{run.run_id} {family}",
            job_name=train.name,
            partition_key=of_book(family, book),
            tags={THEN_TAG: JUDGE, BOOK_TAG: book, BATCH_TAG: run.run_id, **RETRY_TAGS},
        )
    if not families:
        yield from _after_trainings(context, book, run.run_id, run.run_id)


def _settings_of(book: str) -> Settings:
    return load_settings(vpoc_home()).for_book(book)


def _after_trainings(context: dg.RunStatusSensorContext, book: str, batch: str, ended: str) -> Iterator[dg.RunRequest]:
    """A run a study that the settings name, then the judgement; studies come late, for they may trade by new scores."""
    targets = _settings_of(book).tuning.targets
    begun = context.instance.get_runs(dg.RunsFilter(job_name=tune.name, tags={BATCH_TAG: batch}), limit=1)
    if targets and not begun:
        for target in targets:
            yield dg.RunRequest(
                run_key=f"{batch} {target}",
                job_name=tune.name,
                partition_key=of_book(target, book),
                tags={THEN_TAG: JUDGE, BOOK_TAG: book, BATCH_TAG: batch, **RETRY_TAGS},
            )
        return
    tags = {BATCH_TAG: batch, **RETRY_TAGS}
    yield dg.RunRequest(run_key=ended, job_name=judge.name, partition_key=book, tags=tags)


def _judgement(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request what follows the last run of a book's night."""
    run = context.dagster_run
    if run.tags.get(THEN_TAG) != JUDGE:
        yield dg.SkipReason(f"{run.job_name} {run.run_id[:8]} was not a nightly run, so no judgement follows it.")
        return
    batch, book = run.tags[BATCH_TAG], run.tags[BOOK_TAG]
    record = context.instance.get_run_record_by_id(run.run_id)
    if record is not None and record.dagster_run.tags.get(WILL_RETRY_TAG) == "true":
        yield dg.SkipReason(
            f"The process of {run.job_name} {run.run_id[:8]} was killed: the run is repeated, and judged after that."
        )
        return
    going = [
        other
        for other in context.instance.get_runs(dg.RunsFilter(tags={BATCH_TAG: batch}, statuses=GOING))
        if other.job_name in (train.name, tune.name)
    ]
    if going:
        yield dg.SkipReason(f"Waiting for {len(going)} more of {book}'s trainings and studies.")
        return
    ended = (record.end_time if record is not None else None) or 0.0
    judged = context.instance.get_run_records(dg.RunsFilter(job_name=judge.name, tags={BATCH_TAG: batch}), limit=1)
    if judged and judged[0].create_timestamp.timestamp() >= ended:
        yield dg.SkipReason(f"{book} was already judged after the last of these runs.")  # by the other sensor
        return
    # By its own key: one that was executed again from the page, after the batch was judged, is judged as well.
    yield from _after_trainings(context, book, batch, run.run_id)


def _judgement_sensor(status: dg.DagsterRunStatus, name: str, description: str) -> dg.SensorDefinition:
    return dg.run_status_sensor(
        run_status=status,
        name=name,
        monitored_jobs=[train, tune],
        request_jobs=[tune, judge],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )(_judgement)


judgement_after_training = _judgement_sensor(
    dg.DagsterRunStatus.SUCCESS,
    "judgement_after_training",
    "Runs the studies that the settings name once the last of a book's nightly trainings has ended, and judges the "
    "book after the last of them.",
)
judgement_after_failed_training = _judgement_sensor(
    dg.DagsterRunStatus.FAILURE,
    "judgement_after_failed_training",
    "The same where the last nightly training or study failed: the report shows what there is.",
)
