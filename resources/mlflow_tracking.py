"""MLflow: a tracked run for each Dagster run and symbol, and one for each training, found again by their tags.

``dagster-mlflow`` holds pandas below 3 and keeps its run in the process; here a run is looked up by tags
(Dagster run, symbol), so that another step, a retry or another process reopens the same one. Where MLflow is away
nothing waits for it: the work goes on, and a training's record waits in the home.
"""

import datetime as dt
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg

from pipeline.errors import DataError
from pipeline.home import Home, vpoc_home
from pipeline.learning.record import (
    StoredRecord,
    TrainingIdentity,
    TrainingResult,
    Upload,
    pending_records,
    write_record,
)
from resources.mlflow_limits import cut_tag, milliseconds, safe_name
from resources.mlflow_store import Store, mlflow_errors, open_store, sentence
from resources.mlflow_studies import StudyToLog, TrackedStudy
from resources.mlflow_system import SystemMetrics
from resources.mlflow_views import HEADLINE_PREFIX
from resources.model_registry import FAMILY_TAG, KIND_TAG, TRAINING, identity_tags, upload

__all__ = ["MLflowTracking", "TrackedRun", "TrackedStudy", "TrackedTraining"]

DAGSTER_RUN_TAG = "dagster.run_id"
DAGSTER_ROOT_TAG = "dagster.root_run_id"
DAGSTER_RETRY_TAG = "dagster.retry"
ASSET_TAG = "dagster.asset"
PARTITION_TAG = "dagster.partition"
SYMBOL_TAG = "vpoc.symbol"
RESEARCH = "research"


@dataclass(frozen=True)
class TrackedRun:
    """An open MLflow run; where MLflow is away, one that records nothing.

    Attributes
    ----------
    client
        MLflow's client on the tracking store.
    run_id
        The run's identifier; None where MLflow is away.
    experiment_id
        The experiment it belongs to.
    """

    client: Any = None
    run_id: str | None = None
    experiment_id: str | None = None

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Record settings; one logged before with the same value is left alone."""
        if self.run_id is None:
            return
        from mlflow.entities import Param

        self.client.log_batch(self.run_id, params=[Param(name, str(value)) for name, value in parameters.items()])

    def log_metrics(self, metrics: Mapping[str, float], when: int | None = None) -> None:
        """Record figures; those that are not finite are left out, since MLflow's stores differ in them.

        Parameters
        ----------
        metrics
            By name.
        when
            Milliseconds since 1970; by default the run's start, so that figures logged again are those that are there.
        """
        if self.run_id is None:
            return
        from mlflow.entities import Metric

        timestamp = self.client.get_run(self.run_id).info.start_time if when is None else when
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self.client.log_batch(
            self.run_id, metrics=[Metric(name, value, timestamp, 0) for name, value in finite.items()]
        )

    def log_headline(self, headline: Mapping[str, str]) -> None:
        """Record the few figures to choose by as text, which MLflow's list of runs shows."""
        if self.run_id is not None:
            for name, text in headline.items():
                self.client.set_tag(self.run_id, f"{HEADLINE_PREFIX}{safe_name(name)}", cut_tag(text))

    def log_file(self, path: Path) -> None:
        """Record a file as an artifact."""
        if self.run_id is not None:
            self.client.log_artifact(self.run_id, str(path))


@dataclass
class TrackedTraining:
    """A training while it runs.

    Attributes
    ----------
    identity
        Which training.
    run_id
        MLflow's run; None where MLflow was away when it began.
    record
        What was kept of it; None before.
    uploaded
        Where it was uploaded to; None while it waits.
    """

    identity: TrainingIdentity
    home: Home
    log: logging.Logger
    store: Store | None = None
    run_id: str | None = None
    record: StoredRecord | None = None
    uploaded: Upload | None = None
    waits: str = field(default="", repr=False)

    def keep(self, result: TrainingResult) -> StoredRecord:
        """Write the training's record and upload it; where MLflow is away it waits, with a warning.

        The last thing to do in a training: what fails after it leaves a registered model and a failed run.

        Raises
        ------
        DataError
            If the record can't be written.
        """
        self.record = write_record(self.home, self.identity, result)
        try:
            # Asked again: it may have come back, or gone, while the model was trained.
            store = open_store(self.home)
            self._upload_waiting(store)
            self.uploaded = upload(store, self.record.folder)
            self.store, self.run_id = store, self.uploaded.run
        except mlflow_errors() as error:
            self.store, self.waits = None, sentence(error)
            self.log.warning(
                "%s; the training waits in %s, and 'vpoc models upload' uploads it", self.waits, self.record.folder
            )
        return self.record

    def _upload_waiting(self, store: Store) -> None:
        """Finish what a killed process, or a store that was away, left of earlier trainings of this family."""
        assert self.record is not None  # noqa: S101 (for the type checker)
        for folder in pending_records(self.home):
            if folder.parent == self.record.folder.parent and folder != self.record.folder:
                try:
                    upload(store, folder)
                # It must not keep this one back; 'vpoc models list' shows what waits.
                except (DataError, *mlflow_errors()) as error:  # type: ignore[misc]
                    self.log.warning("%s still waits: %s", folder, sentence(error))

    @property
    def metadata(self) -> dict[str, Any]:
        """For Dagster: MLflow's run, the registered version, the record's folder."""
        if self.record is None:
            return {"mlflow_run": self.run_id or "none: MLflow is away"}
        found: dict[str, Any] = {"training_record": dg.MetadataValue.path(str(self.record.folder))}
        if self.uploaded is None:
            waits = f"not yet, vpoc models upload does it: {self.waits}"
            return found | {"mlflow_run": "none yet", "registered": waits}
        return found | {
            "mlflow_run": self.uploaded.run,
            "registered": f"{self.uploaded.name} version {self.uploaded.version}",
        }


class MLflowTracking(dg.ConfigurableResource):
    """MLflow's tracking store: SQLite in the home, or the URL in ``MLFLOW_TRACKING_URI``."""

    @contextmanager
    def run(
        self, context: dg.AssetExecutionContext, symbol: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrackedRun]:
        """Open the MLflow run of this Dagster run and symbol: made at first, reopened afterwards.

        It ends ``FINISHED``, or ``FAILED`` where the body raises. Where MLflow is away, a warning says so and nothing
        is recorded.
        """
        own = {KIND_TAG: RESEARCH, DAGSTER_RUN_TAG: context.run.run_id, SYMBOL_TAG: symbol}
        try:
            store = open_store(vpoc_home())
            experiment_id = store.experiment(symbol)
            found = store.find_runs(experiment_id, own)
            name = f"{context.job_name} {context.run.run_id[:8]}"
            run_id = _opened(store, experiment_id, found[0] if found else None, name, {**own, **(tags or {})})
        except mlflow_errors() as error:
            context.log.warning(f"{sentence(error)}: this run's figures are not recorded there")
            yield TrackedRun()
            return
        try:
            yield TrackedRun(store.client, run_id, experiment_id)
        except BaseException as error:
            store.end_failed(run_id, error)
            raise
        store.client.set_terminated(run_id, status="FINISHED")

    def add_to_training(
        self,
        context: dg.AssetExecutionContext,
        symbol: str,
        family: str,
        version: str,
        metrics: Mapping[str, float],
        headline: Mapping[str, str],
    ) -> None:
        """Add to a training's run what was found out about its model afterwards: how its backtest went.

        It is the run of the family's newest finished training on data of that version
        (:func:`pipeline.modelling.learning_version`). Where MLflow is away, or the training's record still waits
        for it, nothing is added.
        """
        own = {KIND_TAG: TRAINING, FAMILY_TAG: family, "vpoc.data_version": version}
        try:
            store = open_store(vpoc_home())
            experiment_id = store.experiment(symbol)
            finished = [run for run in store.find_runs(experiment_id, own) if run.info.status == "FINISHED"]
            if finished:
                run = TrackedRun(store.client, str(finished[0].info.run_id), experiment_id)
                # Of two values at one time MLflow would show the larger, not the later.
                run.log_metrics(metrics, milliseconds(dt.datetime.now(tz=dt.UTC)))
                run.log_headline(headline)
        except mlflow_errors() as error:
            context.log.info(f"{sentence(error)}: the training of {family} is shown without its backtest")

    @contextmanager
    def training(
        self,
        context: dg.AssetExecutionContext,
        symbol: str,
        family: str,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator[TrackedTraining]:
        """Open the MLflow run of this training: of this Dagster run, asset and partition.

        A step that Dagster tries again, and a run that it tries again from one that failed, reopen the same run. While
        the body runs, MLflow's system metrics are sampled. The run ends ``FINISHED``, or ``FAILED`` where the body
        raises, with what failed in the tag ``vpoc.failure``. Where MLflow is away the body runs all the same, and
        :meth:`TrackedTraining.keep` keeps what it made and warns.
        """
        identity = _identity(context, symbol, family, tags)
        training = TrackedTraining(identity, vpoc_home(), context.log)
        try:
            _begin(training, context)
        except mlflow_errors() as error:
            training.store = None
            # No warning yet: it may be back when the training ends.
            context.log.info(f"{sentence(error)}: the training goes on, and is kept in {training.home.models}")
        system = SystemMetrics(training.store, training.run_id) if training.store and training.run_id else None
        try:
            yield training
        except BaseException as error:
            if system is not None:
                system.end(training.store)
            if training.store is not None and training.run_id is not None:
                training.store.end_failed(training.run_id, error)
            raise
        if system is not None:
            system.end(training.store)
        if training.record is None and training.store is not None:
            with suppress(*mlflow_errors()):
                training.store.client.set_terminated(training.run_id, status="FINISHED")

    @contextmanager
    def study(self, context: dg.AssetExecutionContext, study: StudyToLog) -> Iterator[TrackedStudy]:
        """Open the MLflow run of a study: made when the study is, reopened each time that it goes on.

        :meth:`TrackedStudy.observe` shows the trials while it runs, :meth:`TrackedStudy.keep` logs it whole. The run
        ends ``FINISHED``, or ``FAILED`` where the body raises, with what failed in the tag ``vpoc.failure``. Where
        MLflow is away the study goes on untouched: it lies in its own database, and its next run logs all of it.
        """
        tags = _dagster_tags(context)
        tracked = TrackedStudy(replace(study, tags={**study.tags, **tags}), vpoc_home(), context.log)
        try:
            store = open_store(tracked.home)
            _close_dead(store, store.experiment(study.symbol, studies=True), context.instance)
            tracked.begin(store)
        except mlflow_errors() as error:
            tracked.store = None
            # No warning yet: it may be back when the study ends.
            context.log.info(f"{sentence(error)}: the study goes on, and is kept in its own database")
        try:
            yield tracked
        except BaseException as error:
            if tracked.store is not None and tracked.run_id is not None:
                tracked.store.end_failed(tracked.run_id, error)
            raise
        if tracked.logged is None and tracked.store is not None:
            with suppress(*mlflow_errors()):
                tracked.store.client.set_terminated(tracked.run_id, status="FINISHED")


def _identity(
    context: dg.AssetExecutionContext, symbol: str, family: str, tags: Mapping[str, str] | None
) -> TrainingIdentity:
    return TrainingIdentity(
        symbol=symbol,
        family=family,
        training=context.run.run_id,
        started=dt.datetime.now(tz=dt.UTC),
        tags={**(tags or {}), **_dagster_tags(context)},
    )


def _dagster_tags(context: dg.AssetExecutionContext) -> dict[str, str]:
    assets = sorted(key.to_user_string() for key in context.selected_asset_keys)
    return {
        DAGSTER_RUN_TAG: context.run.run_id,
        DAGSTER_ROOT_TAG: context.run.root_run_id or context.run.run_id,
        DAGSTER_RETRY_TAG: str(context.retry_number),
        "dagster.job": context.job_name,
        ASSET_TAG: ", ".join(assets),
        PARTITION_TAG: context.partition_key if context.has_partition_key else "",
    }


def _begin(training: TrackedTraining, context: dg.AssetExecutionContext) -> None:
    store = open_store(training.home)
    identity = training.identity
    experiment_id = store.experiment(identity.symbol)
    _close_dead(store, experiment_id, context.instance)
    same = {KIND_TAG: TRAINING, "vpoc.family": identity.family, ASSET_TAG: identity.tags[ASSET_TAG]}
    same[PARTITION_TAG] = identity.tags[PARTITION_TAG]
    tried = store.find_runs(experiment_id, {**same, DAGSTER_ROOT_TAG: identity.tags[DAGSTER_ROOT_TAG]})
    # This Dagster run's own, or that of the run which failed and is now tried again. One that ended well stays.
    own = [one for one in tried if one.data.tags[DAGSTER_RUN_TAG] == context.run.run_id]
    failed = [one for one in tried if one.info.status != "FINISHED"]
    name = f"train {identity.family} {context.run.run_id[:8]}"
    training.run_id = _opened(
        store, experiment_id, next(iter(own + failed), None), name, {**identity.tags, **identity_tags(identity)}
    )
    training.store = store


def _opened(store: Store, experiment_id: str, found: Any, name: str, tags: Mapping[str, str]) -> str:
    """A run that is ``RUNNING``: the one that was found, else a new one."""
    if found is not None:
        return store.reopen(found, tags)
    return str(store.client.create_run(experiment_id, run_name=name, tags=dict(tags)).info.run_id)


def _close_dead(store: Store, experiment_id: str, instance: dg.DagsterInstance) -> None:
    """Mark runs ``FAILED`` whose process was killed: those that Dagster knows to have failed."""
    gone = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    for one in store.client.search_runs([experiment_id], filter_string="attributes.status = 'RUNNING'"):
        run = instance.get_run_by_id(one.data.tags.get(DAGSTER_RUN_TAG, ""))
        if run is not None and run.status in gone:
            store.client.set_terminated(one.info.run_id, status="FAILED")
