"""A training while it runs: its run in MLflow, and its record, which waits where MLflow is unreachable."""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

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
from resources.mlflow_store import Store, mlflow_errors, open_store, sentence
from resources.model_registry import FAMILY_TAG, KIND_TAG, TRAINING, identity_tags
from resources.model_upload import upload
from resources.tracked_run import (
    ASSET_TAG,
    DAGSTER_ROOT_TAG,
    DAGSTER_RUN_TAG,
    PARTITION_TAG,
    close_dead,
    dagster_tags,
    opened,
)

__all__ = ["TrackedTraining"]


@dataclass
class TrackedTraining:
    """A training while it runs.

    Attributes
    ----------
    identity
        Which training.
    run_id
        MLflow's run; None where MLflow was unreachable when it began.
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

    @classmethod
    def of(
        cls, context: dg.AssetExecutionContext, symbol: str, family: str, tags: Mapping[str, str] | None = None
    ) -> Self:
        """Return the training that an asset does."""
        identity = TrainingIdentity(
            symbol=symbol,
            family=family,
            training=context.run.run_id,
            started=dt.datetime.now(tz=dt.UTC),
            tags={**(tags or {}), **dagster_tags(context)},
        )
        return cls(identity, vpoc_home(), context.log)

    def begin(self, context: dg.AssetExecutionContext) -> None:
        """Make or reopen its run: this Dagster run's own, or that of the run which failed and is tried again."""
        store, identity = open_store(self.home), self.identity
        experiment_id = store.experiment(identity.symbol)
        close_dead(store, experiment_id, context.instance)
        same = {KIND_TAG: TRAINING, FAMILY_TAG: identity.family, ASSET_TAG: identity.tags[ASSET_TAG]}
        same[PARTITION_TAG] = identity.tags[PARTITION_TAG]
        tried = store.find_runs(experiment_id, {**same, DAGSTER_ROOT_TAG: identity.tags[DAGSTER_ROOT_TAG]})
        # One that ended well stays.
        own = [one for one in tried if one.data.tags[DAGSTER_RUN_TAG] == context.run.run_id]
        failed = [one for one in tried if one.info.status != "FINISHED"]
        name = f"train {identity.family} {context.run.run_id[:8]}"
        self.run_id = opened(
            store, experiment_id, next(iter(own + failed), None), name, {**identity.tags, **identity_tags(identity)}
        )
        self.store = store

    def keep(self, result: TrainingResult) -> StoredRecord:
        """Write the training's record and upload it; where MLflow is unreachable it waits, with a warning.

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
        """Finish what a killed process, or a store that was unreachable, left of earlier trainings of this family."""
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
            return {"mlflow_run": self.run_id or "none: MLflow is unreachable"}
        found: dict[str, Any] = {"training_record": dg.MetadataValue.path(str(self.record.folder))}
        if self.uploaded is None:
            waits = f"not yet, vpoc models upload does it: {self.waits}"
            return found | {"mlflow_run": "none yet", "registered": waits}
        return found | {
            "mlflow_run": self.uploaded.run,
            "registered": f"{self.uploaded.name} version {self.uploaded.version}",
        }
