"""Progress of a chain of runs: its steps with what each is expected to take, and what they do, as events."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import dagster as dg
from dagster import DagsterEventType, DagsterInstance
from sqlalchemy.exc import SQLAlchemyError

from assets.progress import progress_to

__all__ = ["Observer", "StepEvent", "expected_seconds", "observed", "step_name"]

POLL_SECONDS = 0.1
# Dagster's own words for a step that waits for its place in a pool.
BLOCKED = "Step blocked by limit for pool "
# Checks reported even when they pass: what became of the rows, and what a model learned from.
TELLING_CHECKS = ("accounting", "out_of_fold")
# Seconds of the steps that take long, on five years of 5-minute bars, until a home has runs of its own to go by.
FIRST_RUN = {
    "market_data": 6,
    "volume_profiles": 4,
    "features": 24,
    "models": 25,
    "studies": 60,
    "backtest_summary": 3,
    "model_comparison": 10,
    "report": 10,
}
SHORTEST = 1.0


@dataclass(frozen=True)
class StepEvent:
    """Something a chain did.

    Attributes
    ----------
    step
        The step's name, of models and studies with the family or target.
    kind
        ``planned`` (the steps of the whole chain; a later plan takes the place of an earlier one), ``started``,
        ``going`` (how far a training is), ``finished``, ``check`` (an asset check that did not pass), ``warned`` (what
        went otherwise than it should), or ``told`` (what became of the rows, or of the models).
    text
        What a check or a warning says, or how far it is.
    plan
        The steps in order, with the seconds each is expected to take.
    """

    step: str
    kind: Literal["planned", "started", "going", "finished", "check", "warned", "told"]
    text: str = ""
    plan: Mapping[str, float] = field(default_factory=dict)


Observer = Callable[[StepEvent], None]


def step_name(step: str, of: str = "") -> str:
    """Name a step as a chain does: with the family or target it is for."""
    return f"{step} {of}".rstrip()


def expected_seconds(
    definitions: dg.Definitions, job: str, partition_key: str | None, instance: DagsterInstance, of: str = ""
) -> dict[str, float]:
    """Seconds of each step of a job, in order: as the last run of the partition took, or as a first run takes.

    Parameters
    ----------
    job, partition_key
        Which job, and for which partition.
    of
        The family or target that stands in the steps' names.
    """
    steps = [node.name for node in definitions.resolve_job_def(job).nodes_in_topological_order]
    tags = {"dagster/partition": partition_key} if partition_key is not None else {}
    ended = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS], tags=tags)
    took: dict[str, float] = {}
    for run in instance.get_runs(ended, limit=1):
        for stats in instance.get_run_step_stats(run.run_id):
            if stats.start_time is not None and stats.end_time is not None:
                took[stats.step_key] = stats.end_time - stats.start_time
    return {step_name(step, of): max(SHORTEST, took.get(step, FIRST_RUN.get(step, SHORTEST))) for step in steps}


@contextmanager
def observed(instance: DagsterInstance, run_id: str, observe: Observer, of: str = "") -> Iterator[None]:
    """Tell an observer what a run does that this process executes meanwhile.

    It is called from another thread as steps start and finish, and from the run's own while a training goes on.
    """
    done = threading.Event()

    def named(event: StepEvent) -> None:
        observe(replace(event, step=step_name(event.step, of)))

    watcher = threading.Thread(target=_watch, args=(instance, run_id, named, done), daemon=True)
    watcher.start()
    try:
        with progress_to(lambda step, text: named(StepEvent(step, "going", text))):
            yield
    finally:
        done.set()
        watcher.join()


def _watch(instance: DagsterInstance, run_id: str, observe: Observer, done: threading.Event) -> None:
    cursor: str | None = None
    last_look = False
    while not last_look:
        last_look = done.wait(POLL_SECONDS)
        while True:
            try:
                page = instance.get_records_for_run(run_id, cursor=cursor, limit=1000)
            except (SQLAlchemyError, OSError):  # whoever does the run meets it too, and tells
                return
            cursor = page.cursor
            for record in page.records:
                if (event := _step_event(record.event_log_entry)) is not None:
                    observe(event)
            if not page.has_more:
                break


def _step_event(entry: dg.EventLogEntry) -> StepEvent | None:
    event = entry.dagster_event
    if event is None:
        # Errors, and what they prevent, are reported when the run has failed.
        warned = entry.step_key is not None and entry.level == logging.WARNING
        return StepEvent(str(entry.step_key), "warned", entry.user_message) if warned else None
    if event.step_key is None:
        return None
    if event.event_type == DagsterEventType.ENGINE_EVENT and (event.message or "").startswith(BLOCKED):
        pool = str(event.message).removeprefix(BLOCKED)
        return StepEvent(event.step_key, "warned", f"waiting for what runs in the pool {pool}")
    if event.event_type == DagsterEventType.STEP_START:
        return StepEvent(event.step_key, "started")
    if event.event_type == DagsterEventType.STEP_SUCCESS:
        return StepEvent(event.step_key, "finished")
    if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed and check.blocking and check.severity == dg.AssetCheckSeverity.ERROR:
            return None  # why the run has failed, which is told then
        if not check.passed:
            name = f"{check.asset_key.to_user_string()}.{check.check_name}"
            return StepEvent(event.step_key, "check", f"{name}: {check.description or 'did not pass'}")
        if check.check_name in TELLING_CHECKS:
            return StepEvent(event.step_key, "told", check.description or "")
    return None
