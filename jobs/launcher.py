"""Dagster's launcher of runs, made to launch each run once, and once what a schedule or sensor asked for.

Two daemons on one home (``dagster dev`` beside ``vpoc ui``) both evaluate each tick, at the same moment: each looks for
a run with the tick's key, finds none and makes one. And both may take the same run from the queue. They meet at the
launch, which is done under a lock of the home.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import dagster as dg

from jobs.dagster_internals import HIDDEN_TAG_PREFIX, RUN_KEY_TAG, LaunchRunContext
from pipeline.locks import locked

__all__ = ["OnceLauncher"]

LAUNCHED_TAG = f"{HIDDEN_TAG_PREFIX}vpoc-launched"
"""With the run's id, for Dagster copies tags to a run that is executed again."""


class OnceLauncher(dg.DefaultRunLauncher):
    """Launches a run on its code server, unless another daemon has done so."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run; one whose twin was launched before is canceled, and says which that was."""
        instance = self._instance
        with _lock():
            run = instance.get_run_by_id(context.dagster_run.run_id)
            if run is None or _was_launched(run):
                return
            twin = _twin(instance, run)
            if twin is not None:
                reason = f"this request was already launched as run {twin.run_id}; to run it again, re-execute that run"
                instance.report_run_canceled(run, message=reason)
                return
            super().launch_run(context)
            instance.add_run_tags(run.run_id, {LAUNCHED_TAG: run.run_id})


def _was_launched(run: dg.DagsterRun) -> bool:
    return run.tags.get(LAUNCHED_TAG) == run.run_id


def _twin(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun | None:
    """The launched run of the same job and key; a run that is executed again is meant to be a second one."""
    key = run.tags.get(RUN_KEY_TAG)
    if key is None or run.parent_run_id is not None:
        return None
    alike = instance.get_runs(dg.RunsFilter(job_name=run.job_name, tags={RUN_KEY_TAG: key}))
    return next(
        (one for one in alike if one.run_id != run.run_id and one.parent_run_id is None and _was_launched(one)), None
    )


def _lock() -> AbstractContextManager[None]:
    return locked(Path(os.environ["VPOC_DAGSTER_STORAGE"]) / "launch.lock")
