"""MLflow: one tracked run for each Dagster run and symbol, found again by its tags.

``dagster-mlflow`` holds pandas below 3 and keeps its run in the process; here a run is looked up by tags
(Dagster run, symbol), so that another step, a retry or another process reopens the same one.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from pipeline.environment import make_tracking_store
from pipeline.home import Home, vpoc_home

__all__ = ["MLflowTracking", "TrackedRun"]

DAGSTER_RUN_TAG = "dagster.run_id"
SYMBOL_TAG = "vpoc.symbol"


@dataclass(frozen=True)
class TrackedRun:
    """An open MLflow run.

    Attributes
    ----------
    client
        MLflow's client on the tracking store.
    run_id
        The run's identifier.
    experiment_id
        The experiment it belongs to.
    """

    client: Any
    run_id: str
    experiment_id: str

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Record settings; one logged before with the same value is left alone."""
        from mlflow.entities import Param

        self.client.log_batch(self.run_id, params=[Param(name, str(value)) for name, value in parameters.items()])

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record figures; those that are not finite are left out, since MLflow's stores differ in them."""
        from mlflow.entities import Metric

        timestamp = self.client.get_run(self.run_id).info.start_time
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self.client.log_batch(
            self.run_id, metrics=[Metric(name, value, timestamp, 0) for name, value in finite.items()]
        )

    def log_file(self, path: Path) -> None:
        """Record a file as an artifact."""
        self.client.log_artifact(self.run_id, str(path))


class MLflowTracking(dg.ConfigurableResource):
    """MLflow's tracking store: SQLite in the home, or the URL in ``MLFLOW_TRACKING_URI``."""

    @contextmanager
    def run(
        self, context: dg.AssetExecutionContext, symbol: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrackedRun]:
        """Open the MLflow run of this Dagster run and symbol: made at first, reopened afterwards.

        It ends ``FINISHED``, or ``FAILED`` where the body raises.
        """
        home = vpoc_home()
        client = _client(make_tracking_store(home))
        experiment_id = _experiment(client, symbol, home)
        run_id = _find_run(client, experiment_id, context.run.run_id, symbol)
        if run_id is None:
            made = client.create_run(
                experiment_id,
                run_name=f"{context.job_name} {context.run.run_id[:8]}",
                tags={DAGSTER_RUN_TAG: context.run.run_id, SYMBOL_TAG: symbol},
            )
            run_id = made.info.run_id
        client.update_run(run_id, status="RUNNING")
        for name, value in (tags or {}).items():
            client.set_tag(run_id, name, value)
        try:
            yield TrackedRun(client, run_id, experiment_id)
        except BaseException:
            client.set_terminated(run_id, status="FAILED")
            raise
        client.set_terminated(run_id, status="FINISHED")


def _client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)  # after the import, which sets levels
    return MlflowClient(tracking_uri=uri)


def _experiment(client: Any, symbol: str, home: Home) -> str:
    name = f"vpoc-{symbol}"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    if client.tracking_uri.startswith(("http://", "https://")):
        return str(client.create_experiment(name))  # the server knows where its artifacts lie
    return str(client.create_experiment(name, artifact_location=(home.mlflow / "artifacts" / name).as_uri()))


def _find_run(client: Any, experiment_id: str, dagster_run_id: str, symbol: str) -> str | None:
    found = client.search_runs(
        [experiment_id],
        filter_string=f"tags.`{DAGSTER_RUN_TAG}` = '{dagster_run_id}' and tags.`{SYMBOL_TAG}` = '{symbol}'",
        max_results=1,
    )
    return str(found[0].info.run_id) if found else None
