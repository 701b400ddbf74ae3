"""Uploading a training's record to MLflow: its run, its model, the model's registration.

Every step looks first whether it was done before, so that an upload that broke off goes on, and one that is repeated
changes nothing.
"""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.addresses import shown_address
from pipeline.learning.models.protocol import read_manifest
from pipeline.learning.models.pyfunc import LOADER_MODULE
from pipeline.learning.record import (
    StoredRecord,
    Upload,
    drop_older_uploads,
    made_before,
    mark_uploaded,
    read_record,
    records_beside,
    require_whole,
)
from pipeline.leftovers import temporary_folder
from pipeline.locks import locked
from resources.mlflow_limits import METRICS_A_BATCH, PARAMETERS_A_BATCH, batches, cut, milliseconds, pages, safe_name
from resources.mlflow_store import Store
from resources.mlflow_views import HEADLINE_PREFIX
from resources.model_registry import (
    ALIAS,
    FAMILY_TAG,
    SETTINGS_TAG,
    SIMULATED_TAG,
    SYMBOL_TAG,
    TRAINED_TAG,
    code_tags,
    identity_tags,
    model_name,
    trained_at,
)

__all__ = ["upload"]

FINGERPRINT_TAG = "vpoc.fingerprint"
INPUTS = {
    "features": "side-aware features",
    "sequences": "sequences of the last sessions",
    "both": "features and sequences",
}
MODEL_NAME = "model"
CLOCKS_DIFFER = timedelta(hours=1)  # of two machines that are both right

_log = logging.getLogger(__name__)


def upload(store: Store, folder: Path) -> Upload:
    """Upload a record, unless it was uploaded before; the model's newest version gets the alias ``challenger``.

    Raises
    ------
    DataError
        For a record that can't be read, or a model that is no longer as it was written.
    MlflowException, OSError, SQLAlchemyError
        Where the store is unreachable or refuses; what was done stays done, and the next call goes on from there.
    """
    with locked(folder):
        record = read_record(folder)
        if record.upload is not None:
            return record.upload
        require_whole(record)
        if record.trained > datetime.now(tz=UTC) + CLOCKS_DIFFER:
            _log.warning(
                "the training in %s ended on %s by a clock that was ahead: its order among the others is kept, its "
                "dates are wrong",
                record.folder,
                f"{record.trained:%Y-%m-%d}",
            )
        done = _Uploading(store, record).finish()
        mark_uploaded(folder, done)
        drop_older_uploads(folder)
    return done


class _Uploading:
    """The steps of one upload."""

    def __init__(self, store: Store, record: StoredRecord) -> None:
        self._store, self._client, self._record = store, store.client, record
        self._name = model_name(record.identity.symbol, record.identity.family)

    def finish(self) -> Upload:
        """Do what was not done before."""
        self._log_run()
        model_id = self._log_model()
        self._link(model_id)
        version = self._register(model_id)
        self._client.set_terminated(self._run_id, status="FINISHED", end_time=milliseconds(self._record.trained))
        return Upload(
            server=shown_address(self._store.uri),
            run=self._run_id,
            name=self._name,
            version=version,
            at=datetime.now(tz=UTC),
        )

    @cached_property
    def _experiment_id(self) -> str:
        return self._store.experiment(self._record.identity.symbol)

    @cached_property
    def _run_id(self) -> str:
        identity = self._record.identity
        found = self._store.find_runs(self._experiment_id, identity_tags(identity))
        if found:
            return str(found[0].info.run_id)
        made = self._client.create_run(
            self._experiment_id,
            start_time=milliseconds(identity.started),
            run_name=f"train {identity.family} {identity.training[:8]}",
            tags=identity_tags(identity),
        )
        return str(made.info.run_id)

    def _log_run(self) -> None:
        """Log everything but the model: tags, parameters, metrics, the dataset, files."""
        from mlflow.entities import Metric, Param, RunTag

        client, run_id, record = self._client, self._run_id, self._record
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in _run_tags(record).items()])
        given = {safe_name(name): value for name, value in record.parameters.items()}
        held = client.get_run(run_id).data.params
        # MLflow never changes a parameter: one of an earlier try with other settings stays, and is told.
        changed = sorted(name for name, value in given.items() if name in held and held[name] != cut(value))
        if changed:
            client.set_tag(run_id, "vpoc.changed_since_first_try", ", ".join(changed))
        missing = [Param(name, value) for name, value in given.items() if name not in held]
        for part in batches(missing, PARAMETERS_A_BATCH):
            client.log_batch(run_id, params=part)
        # One time for all, so that what is logged again is what is there already.
        when = milliseconds(record.trained)
        # Those to choose by first: MLflow's page compares runs by the metric that was logged first.
        first = {name: place for place, name in enumerate(record.headline)}
        names = sorted(record.metrics, key=lambda name: first.get(name, len(first)))
        metrics = [Metric(safe_name(name), record.metrics[name], when, 0) for name in names]
        metrics += [Metric(safe_name(one.name), one.value, when, one.step) for one in record.steps]
        for part in batches(metrics, METRICS_A_BATCH):
            client.log_batch(run_id, metrics=part)
        client.log_inputs(run_id, datasets=[_dataset(record)])
        for file in ("record.json", "environment.json"):
            client.log_artifact(run_id, str(record.folder / file))
        for name in ("plots", "tables"):
            if any((record.folder / name).glob("*")):
                client.log_artifacts(run_id, str(record.folder / name), name)

    def _log_model(self) -> str:
        """Log the model unless this run has it; what an upload that broke off left is removed."""
        client, record = self._client, self._record
        filter_string = f"source_run_id = '{self._run_id}'"
        for logged in client.search_logged_models([self._experiment_id], filter_string=filter_string):
            if str(logged.status) == "READY":
                if logged.tags.get(FINGERPRINT_TAG) == record.fingerprint:
                    return str(logged.model_id)
            else:
                client.delete_logged_model(logged.model_id)
        made = client.create_logged_model(
            self._experiment_id,
            name=MODEL_NAME,
            source_run_id=self._run_id,
            tags=_version_tags(record),
            params={safe_name(name): value for name, value in record.parameters.items()},
            model_type="classifier" if record.probabilistic else "scorer",
        )
        with temporary_folder(self._store.home.mlflow, MODEL_NAME) as folder:
            self._build_model(folder / MODEL_NAME, made)
            client.log_model_artifacts(made.model_id, str(folder / MODEL_NAME))
        client.finalize_logged_model(made.model_id, "READY")
        return str(made.model_id)

    def _build_model(self, folder: Path, logged: Any) -> None:
        """Write the model as MLflow reads it; nothing is inferred and nothing of it is run."""
        import mlflow.pyfunc
        from mlflow.models import Model

        record = self._record
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=LOADER_MODULE,
            data_path=str(record.model),
            code_paths=[str(record.shipped)],
            signature=_signature(record.columns),
            input_example=record.example.reset_index(drop=True),
            pip_requirements=list(record.requirements),
            metadata={"vpoc": _version_tags(record)},
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                run_id=self._run_id,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
            ),
        )

    def _link(self, model_id: str) -> None:
        """Show the model with the run that made it."""
        from mlflow.entities import LoggedModelOutput

        outputs = self._client.get_run(self._run_id).outputs
        if model_id not in {one.model_id for one in (outputs.model_outputs if outputs else [])}:
            self._client.log_outputs(self._run_id, [LoggedModelOutput(model_id, step=0)])

    def _register(self, model_id: str) -> str:
        client, record = self._client, self._record
        model = self._registered_model()
        same_run = f"name = '{self._name}' and run_id = '{self._run_id}'"
        versions = pages(client.search_model_versions, filter_string=same_run)
        found = (str(one.version) for one in versions if one.tags.get(FINGERPRINT_TAG) == record.fingerprint)
        version = next(found, None)
        if version is None:
            settings = json.dumps(dict(read_manifest(record.model).settings))
            with self._store.as_default():
                made = client.create_model_version(
                    self._name,
                    source=f"models:/{model_id}",
                    run_id=self._run_id,
                    tags=_version_tags(record) | {SETTINGS_TAG: settings},
                    description=_description(record),
                    model_id=model_id,
                )
            version = str(made.version)
        # A record that waited must not take the name from a later training's model.
        held = model.aliases.get(ALIAS)
        if held is None or not _is_later(client.get_model_version(self._name, str(held)), record):
            client.set_registered_model_alias(self._name, ALIAS, version)
        return version

    def _registered_model(self) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(self._name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        record, identity = self._record, self._record.identity
        chance = "the chance that it ends above zero"
        meant = chance if record.probabilistic else "above 0.5 where it is expected to pay"
        try:
            return self._client.create_registered_model(
                self._name,
                tags={
                    SYMBOL_TAG: identity.symbol,
                    FAMILY_TAG: identity.family,
                    SIMULATED_TAG: str(record.simulated).lower(),
                },
                description=f"{identity.family} on {identity.symbol}: a score of each candidate trade, 0 to 1: "
                f"{meant}. Input: the {INPUTS.get(record.inputs, record.inputs)} of the candidates, a row each.",
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self._client.get_registered_model(self._name)  # another process was first


def _run_tags(record: StoredRecord) -> dict[str, str]:
    code = record.code
    tags = {
        **record.identity.tags,
        **_version_tags(record),
        "vpoc.source": record.source,
        "mlflow.source.type": "JOB",
        "mlflow.source.name": "vpoc-pipeline",
        "mlflow.note.content": _description(record),
    }
    if code["commit"]:
        tags["mlflow.source.git.commit"] = code["commit"]
    return tags | {f"environment.{name}": value for name, value in record.environment.items()}


def _version_tags(record: StoredRecord) -> dict[str, str]:
    """What run, model and version all say of the training."""
    return {
        **identity_tags(record.identity),
        TRAINED_TAG: record.trained.isoformat(),
        FINGERPRINT_TAG: record.fingerprint,
        SIMULATED_TAG: str(record.simulated).lower(),
        "vpoc.data_version": record.data_version,
        **code_tags(record.code),
        **{f"{HEADLINE_PREFIX}{safe_name(name)}": value for name, value in record.headline.items()},
    }


def _description(record: StoredRecord) -> str:
    identity = record.identity
    lines = [
        f"{identity.family} on {identity.symbol}{' (simulated)' if record.simulated else ''}: {record.rows} rows of "
        f"{record.source}, {len(record.columns)} columns, trained {record.trained:%Y-%m-%d %H:%M} UTC.",
    ]
    if record.headline:
        lines += [
            "",
            "Figures are of the walk-forward: of models like this one, on trades that they had not learned from. This "
            "one learned from all of them and was judged on none.",
            "",
            *(f"- {name}: {value}" for name, value in record.headline.items()),
        ]
    return "\n".join(lines)


def _dataset(record: StoredRecord) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    schema = {"mlflow_colspec": [{"type": "double", "name": name, "required": True} for name in record.columns]}
    return DatasetInput(
        Dataset(
            name=f"{record.identity.symbol} training set",
            digest=record.data_version,
            source_type="local",
            source=json.dumps({"uri": record.source}),
            schema=json.dumps(schema),
            profile=json.dumps({"num_rows": record.rows, "num_elements": record.rows * len(record.columns)}),
        ),
        [InputTag("mlflow.data.context", "training")],
    )


def _signature(columns: Sequence[str]) -> Any:
    """Every column a double that may be NaN.

    MLflow's word for them is optional: where a column is absent altogether, the model itself says so in one sentence,
    and MLflow, asked to require it, in a page that holds the data and all other columns.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.double, name, required=False) for name in columns]),
        outputs=Schema([TensorSpec(np.dtype(np.float64), (-1,))]),
    )


def _is_later(held: Any, record: StoredRecord) -> bool:
    """Tell whether a version was trained after a record: by their order in this home, else by a clock."""
    for other in records_beside(record.folder):
        if other.upload is not None and (other.upload.name, other.upload.version) == (held.name, str(held.version)):
            return made_before(record, other)
    trained = trained_at(held)
    if trained is None:
        return False
    if trained > datetime.now(tz=UTC) + CLOCKS_DIFFER:
        _log.warning(
            "%s version %s was trained on %s by a clock that was ahead: the training of %s is the %s now",
            held.name,
            held.version,
            f"{trained:%Y-%m-%d}",
            f"{record.trained:%Y-%m-%d %H:%M}",
            ALIAS,
        )
        return False
    return trained > record.trained
