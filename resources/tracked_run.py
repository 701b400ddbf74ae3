"""A run of MLflow's that an asset logs to, found again by its tags of the Dagster run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from resources.mlflow_limits import cut_tag, safe_name
from resources.mlflow_store import Store
from resources.mlflow_views import HEADLINE_PREFIX

__all__ = [
    "ASSET_TAG",
    "DAGSTER_ROOT_TAG",
    "DAGSTER_RUN_TAG",
    "PARTITION_TAG",
    "TrackedRun",
    "close_dead",
    "dagster_tags",
    "opened",
]

DAGSTER_RUN_TAG = "dagster.run_id"
DAGSTER_ROOT_TAG = "dagster.root_run_id"
DAGSTER_RETRY_TAG = "dagster.retry"
ASSET_TAG = "dagster.asset"
PARTITION_TAG = "dagster.partition"


@dataclass(frozen=True)
class TrackedRun:
    """An open MLflow run; where MLflow is unreachable, one that records nothing.

    Attributes
    ----------
    store
        The tracking store; None where MLflow is unreachable.
    run_id
        The run's identifier; None there too.
    """

    store: Store | None = None
    run_id: str | None = None

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Record settings; one logged before with the same value is left alone."""
        if self.store is None:
            return
        from mlflow.entities import Param

        self.store.client.log_batch(self.run_id, params=[Param(name, str(value)) for name, value in parameters.items()])

    def log_metrics(self, metrics: Mapping[str, float], when: int | None = None) -> None:
        """Record figures; those that are not finite are left out, since MLflow's stores differ in them.

        Parameters
        ----------
        metrics
            By name.
        when
            Milliseconds since 1970; by default the run's start, so that figures logged again are those that are there.
        """
        if self.store is None:
            return
        from mlflow.entities import Metric

        timestamp = self.store.client.get_run(self.run_id).info.start_time if when is None else when
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self.store.client.log_batch(
            self.run_id, metrics=[Metric(name, value, timestamp, 0) for name, value in finite.items()]
        )

    def log_headline(self, headline: Mapping[str, str]) -> None:
        """Record the few figures to choose by as text, which MLflow's list of runs shows."""
        if self.store is not None:
            for name, text in headline.items():
                self.store.client.set_tag(self.run_id, f"{HEADLINE_PREFIX}{safe_name(name)}", cut_tag(text))

    def log_file(self, path: Path) -> None:
        """Record a file as an artifact."""
        if self.store is not None:
            self.store.client.log_artifact(self.run_id, str(path))


def dagster_tags(context: dg.AssetExecutionContext) -> dict[str, str]:
    """Tags of the Dagster run, job, assets and partition that a run of MLflow's belongs to."""
    assets = sorted(key.to_user_string() for key in context.selected_asset_keys)
    return {
        DAGSTER_RUN_TAG: context.run.run_id,
        DAGSTER_ROOT_TAG: context.run.root_run_id or context.run.run_id,
        DAGSTER_RETRY_TAG: str(context.retry_number),
        "dagster.job": context.job_name,
        ASSET_TAG: ", ".join(assets),
        PARTITION_TAG: context.partition_key if context.has_partition_key else "",
    }


def opened(store: Store, experiment_id: str, found: Any, name: str, tags: Mapping[str, str]) -> str:
    """Return the id of a run that is ``RUNNING``: the one that was found, else a new one."""
    if found is not None:
        return store.reopen(found, tags)
    return str(store.client.create_run(experiment_id, run_name=name, tags=dict(tags)).info.run_id)


def close_dead(store: Store, experiment_id: str, instance: dg.DagsterInstance) -> None:
    """Mark runs ``FAILED`` whose process was killed: those that Dagster knows to have failed."""
    gone = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    for one in store.client.search_runs([experiment_id], filter_string="attributes.status = 'RUNNING'"):
        run = instance.get_run_by_id(one.data.tags.get(DAGSTER_RUN_TAG, ""))
        if run is not None and run.status in gone:
            store.client.set_terminated(one.info.run_id, status="FAILED")
