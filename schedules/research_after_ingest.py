"""A symbol's history follows its nightly ingest, and the research of each of its books follows that."""

from collections.abc import Iterator

import dagster as dg

from jobs import ingest, prepare, research
from pipeline.books import books_of
from pipeline.home import vpoc_home
from pipeline.settings import load_settings
from schedules.nightly import BOOK_TAG, RETRY_TAGS, SYMBOL_TAG, THEN_TAG

__all__ = ["preparation_after_ingest", "research_after_preparation"]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[ingest],
    request_job=prepare,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes a symbol's history and features once its nightly ingest has succeeded.",
)
def preparation_after_ingest(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Request the preparation of the symbol whose ingest asked for it."""
    run = context.dagster_run
    if run.tags.get(THEN_TAG) != "research":
        return dg.SkipReason(f"Ingest {run.run_id[:8]} was not a nightly one, so no research follows it.")
    symbol = run.tags[SYMBOL_TAG]
    tags = {SYMBOL_TAG: symbol, THEN_TAG: "research", **RETRY_TAGS}
    return dg.RunRequest(run_key=run.run_id, partition_key=symbol, tags=tags)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[prepare],
    request_job=research,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs the research of each book of a symbol once its nightly preparation has succeeded.",
)
def research_after_preparation(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request the research of every book of the symbol that was prepared; a book that fails stops no other."""
    run = context.dagster_run
    if run.tags.get(THEN_TAG) != "research":
        yield dg.SkipReason(f"Preparation {run.run_id[:8]} was not a nightly one, so no research follows it.")
        return
    symbol = run.tags[SYMBOL_TAG]
    for book in books_of(symbol, load_settings(vpoc_home())):
        yield dg.RunRequest(
            run_key=f"{run.run_id} {book}",
            partition_key=book,
            tags={SYMBOL_TAG: symbol, BOOK_TAG: book, THEN_TAG: "train", **RETRY_TAGS},
        )
