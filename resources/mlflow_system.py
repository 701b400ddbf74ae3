"""System metrics of a training: what MLflow's own monitor samples, logged after the training's own figures."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from resources.mlflow_limits import METRICS_A_BATCH, batches
from resources.mlflow_store import Store, mlflow_errors

__all__ = ["SystemMetrics"]

# A sample a second, ten to a record; MLflow's own ten seconds would miss most trainings whole.
SAMPLING_SECONDS = 1
SAMPLES_A_RECORD = 10


class SystemMetrics:
    """Samples processor, memory, disk, network and GPU while a run goes on.

    They are kept until the end: MLflow's page compares runs by the metric that was logged first, which would be the
    load of the processor.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._run_id, self._kept = run_id, _Kept()
        self._monitor = SystemMetricsMonitor(
            run_id,
            sampling_interval=SAMPLING_SECONDS,
            samples_before_logging=SAMPLES_A_RECORD,
            resume_logging=True,
            tracking_uri=store.uri,
        )
        self._monitor.mlflow_logger = self._kept  # type: ignore[assignment]
        self._monitor.start()

    def end(self, store: Store | None) -> None:
        """Stop sampling and log what was sampled; without a store, for one that is gone meanwhile, drop it."""
        self._monitor.finish()
        if store is None:
            return
        with suppress(*mlflow_errors()):
            self._monitor.collect_metrics()
            self._monitor.publish_metrics(self._monitor.aggregate_metrics())
            for part in batches(self._kept.data, METRICS_A_BATCH):
                store.client.log_batch(self._run_id, metrics=part)


class _Kept:
    """Takes the place of the monitor's logger."""

    total_training_time = total_log_batch_time = 0.0

    def __init__(self) -> None:
        self.data: list[Any] = []

    def record_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        self.data += [Metric(name, value, now, step) for name, value in metrics.items()]

    def flush(self) -> None:
        """Nothing is sent before the end."""
