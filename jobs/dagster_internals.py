"""All that is used of Dagster beyond what it promises to keep; its version is held below the next minor one.

Tests of the orchestration and of the pages fail where these names have moved.
"""

import os
from functools import partial

from dagster import DagsterInstance
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX, RUN_KEY_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

__all__ = [
    "HIDDEN_TAG_PREFIX",
    "RUN_KEY_TAG",
    "ExecutionPlan",
    "InProcessExecutor",
    "LaunchRunContext",
    "PlanOrchestrationContext",
    "RetryMode",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
    "quiet_instance",
    "shown_on_the_page",
]

# As workspace.yaml names it.
_LOCATION = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="pipeline.definitions"), "vpoc")
_NO_CAPTURE = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


def quiet_instance() -> DagsterInstance:
    """Open the instance of ``DAGSTER_HOME``, but for its capture of each step's output.

    That takes four processes a step: seconds over a chain, and on Ctrl-C each of them shows a traceback.
    """
    return DagsterInstance.from_ref(
        InstanceRef.from_dir(os.environ["DAGSTER_HOME"], overrides={"compute_logs": _NO_CAPTURE})
    )


def shown_on_the_page(instance: DagsterInstance, job: str) -> None:
    """Make an instance's next runs those of a job of the code location, so that Timeline and Jobs show them.

    ``execute_in_process`` leaves out where a job is from, which runs that the page launches carry.
    """
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(_LOCATION, "__repository__"), job)
    create = type(instance).create_run_for_job.__get__(instance)
    instance.create_run_for_job = partial(create, remote_job_origin=origin)  # type: ignore[method-assign]
