"""Uploading a training's record to MLflow: its run, its model, the model's registration.

Every step looks first whether it was done before, so that an upload that broke off goes on, and one that is repeated
changes nothing.
"""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.addresses import shown_address
from pipeline.learning.models.protocol import read_manifest
from pipeline.learning.models.pyfunc import LOADER_MODULE
from pipeline.learning.record import (
    StoredRecord,
    TrainingIdentity,
    Upload,
    drop_older_uploads,
    made_before,
    mark_uploaded,
    read_record,
    records_beside,
    require_whole,
)
from pipeline.locks import locked
from pipeline.yaml_files import yaml_value
from resources.mlflow_limits import METRICS_A_BATCH, PARAMETERS_A_BATCH, batches, cut, milliseconds, pages, safe_name
from resources.mlflow_store import Store, sentence
from resources.mlflow_views import HEADLINE_PREFIX

__all__ = [
    "ALIAS",
    "CHAMPION",
    "FAMILY_TAG",
    "KIND_TAG",
    "SIMULATED_TAG",
    "SYMBOL_TAG",
    "TRAINING",
    "Registered",
    "champion_parameters",
    "code_tags",
    "identity_tags",
    "model_name",
    "registered_models",
    "upload",
]

ALIAS = "challenger"
"""What the newest version of a model is called; who is champion is decided elsewhere."""
CHAMPION = "champion"
"""What the version in use is called."""

KIND_TAG = "vpoc.kind"
TRAINING = "training"
SYMBOL_TAG = "vpoc.symbol"
FAMILY_TAG = "vpoc.family"
TRAINING_TAG = "vpoc.training"
TRAINED_TAG = "vpoc.trained"
FINGERPRINT_TAG = "vpoc.fingerprint"
SIMULATED_TAG = "vpoc.simulated"
# The model's settings as JSON, from which they are read back; MLflow's parameters are text to look at.
SETTINGS_TAG = "vpoc.settings"
SETTINGS_PREFIX = "model."
INPUTS = {
    "features": "side-aware features",
    "sequences": "sequences of the last sessions",
    "both": "features and sequences",
}
MODEL_NAME = "model"
CLOCKS_DIFFER = timedelta(hours=1)  # of two machines that are both right

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes
    ----------
    name, version
        Its name, and which one.
    aliases
        What it is called by, ``challenger`` say.
    trained
        When, UTC; None for one that another program registered.
    headline
        The figures to choose by, as text.
    run
        MLflow's run.
    simulated
        Whether it was trained on the simulator's bars.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    trained: datetime | None
    headline: Mapping[str, str]
    run: str
    simulated: bool


def model_name(symbol: str, family: str) -> str:
    """Under which name a model is registered."""
    return f"vpoc-{symbol}-{family}"


def identity_tags(identity: TrainingIdentity) -> dict[str, str]:
    """The tags by which a training's run is found again."""
    return {
        KIND_TAG: TRAINING,
        SYMBOL_TAG: identity.symbol,
        FAMILY_TAG: identity.family,
        TRAINING_TAG: identity.training,
    }


def upload(store: Store, folder: Path) -> Upload:
    """Upload a record, unless it was uploaded before; the model's newest version gets the alias ``challenger``.

    Raises
    ------
    DataError
        For a record that can't be read, or a model that is no longer as it was written.
    MlflowException, OSError, SQLAlchemyError
        Where the store is away or refuses; what was done stays done, and the next call goes on from there.
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
        experiment_id = store.experiment(record.identity.symbol)
        run_id = _run(store, experiment_id, record)
        _log_run(store, run_id, record)
        model_id = _log_model(store, experiment_id, run_id, record)
        _link(store, run_id, model_id)
        version = _register(store, run_id, model_id, record)
        store.client.set_terminated(run_id, status="FINISHED", end_time=milliseconds(record.trained))
        done = Upload(
            server=shown_address(store.uri),
            run=run_id,
            name=model_name(record.identity.symbol, record.identity.family),
            version=version,
            at=datetime.now(tz=UTC),
        )
        mark_uploaded(folder, done)
        drop_older_uploads(folder)
    return done


def registered_models(store: Store, *, latest: int | None = None) -> list[Registered]:
    """Versions of this project's registered models, by name, the newest first; of each at most ``latest``."""
    found: list[Registered] = []
    for model in pages(store.client.search_registered_models, filter_string="name LIKE 'vpoc-%'"):
        if FAMILY_TAG not in model.tags:
            continue
        versions = sorted(
            pages(store.client.search_model_versions, filter_string=f"name = '{model.name}'"),
            key=lambda one: int(one.version),
            reverse=True,
        )
        named = {alias: int(version) for alias, version in model.aliases.items()}
        for place, one in enumerate(versions):
            if latest is not None and place >= latest and int(one.version) not in named.values():
                continue
            found.append(
                Registered(
                    name=model.name,
                    version=int(one.version),
                    aliases=tuple(sorted(alias for alias, version in named.items() if version == int(one.version))),
                    trained=_trained(one),
                    headline={
                        name.removeprefix(HEADLINE_PREFIX): value
                        for name, value in one.tags.items()
                        if name.startswith(HEADLINE_PREFIX)
                    },
                    run=one.run_id,
                    simulated=one.tags.get(SIMULATED_TAG) == "true",
                )
            )
    return sorted(found, key=lambda one: (one.name, -one.version))


def champion_parameters(store: Store, symbol: str, family: str, *, alias: str = CHAMPION) -> dict[str, Any] | None:
    """Settings of the registered model that bears an alias, to start a search from.

    Parameters
    ----------
    store
        An open store.
    symbol, family
        Whose model.
    alias
        ``champion``, or ``challenger``: the newest.

    Returns
    -------
    dict
        Every setting of the family by name, as its ``Settings`` holds them. None where no version bears the alias,
        or its settings are none of this release's; a warning tells of the latter.

    Raises
    ------
    ConfigurationError
        For an unknown family.
    MlflowException, OSError, SQLAlchemyError
        Where the store is away.
    """
    from mlflow.exceptions import MlflowException

    from pipeline.learning.models import find_family

    settings = find_family(family).Settings
    name = model_name(symbol, family)
    try:
        version = store.client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        # SQL stores call an alias that is not there an invalid value.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
    try:
        told = version.tags.get(SETTINGS_TAG)
        given = _read_texts(store.client.get_run(version.run_id).data.params) if told is None else json.loads(told)
        return dict(settings(**given).model_dump()) if given else None
    except (ValueError, TypeError) as error:  # pydantic's errors are values' errors
        said = sentence(error)
        _log.warning("%s version %s has settings that are none of this release: %s", name, version.version, said)
        return None


def code_tags(code: Mapping[str, Any]) -> dict[str, str]:
    """What tells of the code: release, hash of the files, git's commit."""
    return {
        "vpoc.code_version": code["package"],
        "vpoc.code_hash": code["content"],
        "vpoc.code_commit": (code["commit"] or "none") + (" with changes" if code["changed"] else ""),
    }


def _settings(record: StoredRecord) -> str:
    return json.dumps(dict(read_manifest(record.model).settings))


def _read_texts(params: Mapping[str, str]) -> dict[str, Any]:
    """Settings that a version without the tag left as text in its run's parameters."""
    found: dict[str, Any] = {}
    for name, text in params.items():
        if name.startswith(SETTINGS_PREFIX):
            # Python's text of lists, numbers and truths is YAML's too; of nothing it is not.
            found[name.removeprefix(SETTINGS_PREFIX)] = None if text == "None" else yaml_value(text, name)
    return found


def _run(store: Store, experiment_id: str, record: StoredRecord) -> str:
    identity = record.identity
    found = store.find_runs(experiment_id, identity_tags(identity))
    if found:
        return str(found[0].info.run_id)
    made = store.client.create_run(
        experiment_id,
        start_time=milliseconds(identity.started),
        run_name=f"train {identity.family} {identity.training[:8]}",
        tags=identity_tags(identity),
    )
    return str(made.info.run_id)


def _log_run(store: Store, run_id: str, record: StoredRecord) -> None:
    """Everything but the model: tags, parameters, metrics, the dataset, files."""
    from mlflow.entities import Metric, Param, RunTag

    client = store.client
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in _run_tags(record).items()])
    given = {safe_name(name): value for name, value in record.parameters.items()}
    held = client.get_run(run_id).data.params
    # MLflow never changes a parameter: one of an earlier try with other settings stays, and is told.
    changed = sorted(name for name, value in given.items() if name in held and held[name] != cut(value))
    if changed:
        client.set_tag(run_id, "vpoc.changed_since_first_try", ", ".join(changed))
    for part in batches([Param(name, value) for name, value in given.items() if name not in held], PARAMETERS_A_BATCH):
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
    client.log_artifact(run_id, str(record.folder / "record.json"))
    client.log_artifact(run_id, str(record.folder / "environment.json"))
    for name in ("plots", "tables"):
        if any((record.folder / name).glob("*")):
            client.log_artifacts(run_id, str(record.folder / name), name)


def _run_tags(record: StoredRecord) -> dict[str, str]:
    code = record.code
    tags = {
        **record.identity.tags,
        **identity_tags(record.identity),
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
    """What run and model version both say of the training."""
    return {
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


def _log_model(store: Store, experiment_id: str, run_id: str, record: StoredRecord) -> str:
    """Log the model unless this run has it; what an upload that broke off left is removed."""
    client = store.client
    filter_string = f"source_run_id = '{run_id}'"
    for logged in client.search_logged_models([experiment_id], filter_string=filter_string):
        if str(logged.status) == "READY":
            if logged.tags.get(FINGERPRINT_TAG) == record.fingerprint:
                return str(logged.model_id)
        else:
            client.delete_logged_model(logged.model_id)
    made = client.create_logged_model(
        experiment_id,
        name=MODEL_NAME,
        source_run_id=run_id,
        tags=identity_tags(record.identity) | _version_tags(record),
        params={safe_name(name): value for name, value in record.parameters.items()},
        model_type="classifier" if record.probabilistic else "scorer",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        _build_model(folder, run_id, made, record)
        client.log_model_artifacts(made.model_id, str(folder))
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id)


def _link(store: Store, run_id: str, model_id: str) -> None:
    """Show the model with the run that made it."""
    from mlflow.entities import LoggedModelOutput

    outputs = store.client.get_run(run_id).outputs
    if model_id not in {one.model_id for one in (outputs.model_outputs if outputs else [])}:
        store.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])


def _build_model(folder: Path, run_id: str, logged: Any, record: StoredRecord) -> None:
    """Write the model as MLflow reads it; nothing is inferred and nothing of it is run."""
    import mlflow.pyfunc
    from mlflow.models import Model

    mlflow.pyfunc.save_model(
        str(folder),
        loader_module=LOADER_MODULE,
        data_path=str(record.model),
        code_paths=[str(record.shipped)],
        signature=_signature(record.columns),
        input_example=record.example.reset_index(drop=True),
        pip_requirements=list(record.requirements),
        metadata={"vpoc": _version_tags(record) | identity_tags(record.identity)},
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            run_id=run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        ),
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


def _register(store: Store, run_id: str, model_id: str, record: StoredRecord) -> str:
    client = store.client
    identity = record.identity
    name = model_name(identity.symbol, identity.family)
    model = _registered_model(store, name, record)
    version = next(
        (
            str(one.version)
            for one in pages(client.search_model_versions, filter_string=f"name = '{name}' and run_id = '{run_id}'")
            if one.tags.get(FINGERPRINT_TAG) == record.fingerprint
        ),
        None,
    )
    if version is None:
        with store.as_default():
            made = client.create_model_version(
                name,
                source=f"models:/{model_id}",
                run_id=run_id,
                tags=identity_tags(identity) | _version_tags(record) | {SETTINGS_TAG: _settings(record)},
                description=_description(record),
                model_id=model_id,
            )
        version = str(made.version)
    # A record that waited must not take the name from a later training's model.
    held = model.aliases.get(ALIAS)
    if held is None or not _is_later(client.get_model_version(name, str(held)), record):
        client.set_registered_model_alias(name, ALIAS, version)
    return version


def _trained(version: Any) -> datetime | None:
    """When a version was trained; None where its tag says no such thing, for tags can be edited."""
    try:
        found = datetime.fromisoformat(version.tags.get(TRAINED_TAG, ""))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _is_later(held: Any, record: StoredRecord) -> bool:
    """Whether a version was trained after a record: by their order in this home, else by a clock that can be right."""
    for other in records_beside(record.folder):
        if other.upload is not None and (other.upload.name, other.upload.version) == (held.name, str(held.version)):
            return made_before(record, other)
    trained = _trained(held)
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


def _registered_model(store: Store, name: str, record: StoredRecord) -> Any:
    from mlflow.exceptions import MlflowException

    identity = record.identity
    try:
        return store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    chance = "the chance that it ends above zero"
    meant = chance if record.probabilistic else "above 0.5 where it is expected to pay"
    try:
        return store.client.create_registered_model(
            name,
            tags={
                SYMBOL_TAG: identity.symbol,
                FAMILY_TAG: identity.family,
                SIMULATED_TAG: str(record.simulated).lower(),
            },
            description=f"{identity.family} on {identity.symbol}: a score of each candidate trade, 0 to 1: {meant}. "
            f"Input: the {INPUTS.get(record.inputs, record.inputs)} of the candidates, a row each.",
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return store.client.get_registered_model(name)  # another process was first
