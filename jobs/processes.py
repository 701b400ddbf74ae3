"""Process of a run, recorded in a tag of the run; closing runs whose process is gone.

A killed process, or a computer that was switched off, leaves its run as one that is going on: Dagster's queue would
count it, and its place in a pool would stay taken.
"""

import os
import re
from collections.abc import Iterator

import dagster as dg
from dagster import DagsterExecutionInterruptedError

from jobs.dagster_internals import (
    HIDDEN_TAG_PREFIX,
    ExecutionPlan,
    InProcessExecutor,
    PlanOrchestrationContext,
    RetryMode,
)
from pipeline.interruption import interruptions_kept
from pipeline.process_start import process_start

__all__ = ["close_dead_runs", "one_process", "process_tag"]

PROCESS_TAG = f"{HIDDEN_TAG_PREFIX}vpoc-process"
# With its run, for Dagster copies tags to a run that is executed again; with its start, for numbers are given again.
PROCESS = re.compile(r"(?P<run>[^@]+)@(?P<host>.+):(?P<number>\d+):(?P<start>[^:]+)")
GOING = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tag(run_id: str) -> dict[str, str]:
    """The tag that says that a run is done by this very process."""
    return {PROCESS_TAG: f"{run_id}@{os.uname().nodename}:{os.getpid()}:{process_start(os.getpid())}"}


class OneProcess(InProcessExecutor):
    """Dagster's executor of all steps in one process, which first says which process that is."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Do the run's steps."""
        plan_context.instance.add_run_tags(plan_context.run_id, process_tag(plan_context.run_id))
        with interruptions_kept(DagsterExecutionInterruptedError):
            yield from super().execute(plan_context, execution_plan)


@dg.executor(name="one_process")
def one_process(_: dg.InitExecutorContext) -> OneProcess:
    """All steps of a run in one process: they take milliseconds, and a process each would cost seconds."""
    return OneProcess(retries=RetryMode.ENABLED)


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of this machine whose process is gone, and give back the places in pools that ended runs still hold.

    Returns
    -------
    list
        Ids of the runs that were marked.
    """
    closed = []
    for run in instance.get_runs(dg.RunsFilter(statuses=GOING)):
        if _is_gone(run):
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, message="its process is gone")
            else:
                instance.report_run_failed(run, message="its process was killed")
            closed.append(run.run_id)
    storage = instance.event_log_storage
    for run_id in storage.get_concurrency_run_ids() if storage.supports_global_concurrency_limits else ():
        holder = instance.get_run_by_id(run_id)
        # One that Dagster itself has marked, whose process was killed under its page, keeps its place as well.
        if holder is None or holder.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
    return closed


def _is_gone(run: dg.DagsterRun) -> bool:
    tag = PROCESS.fullmatch(run.tags.get(PROCESS_TAG, ""))
    if tag is None or tag["run"] != run.run_id or tag["host"] != os.uname().nodename:
        return False
    try:
        return process_start(int(tag["number"])) != tag["start"]
    except PermissionError:  # another user's, who may well have taken the number over
        return False
