"""A training's record: everything about it in one folder of the home, whether MLflow is there or not.

``VPOC_HOME/models/<symbol>/<family>/<training>/`` holds

=================  ==================================================================================
``record.json``    parameters, metrics in all, by fold and by step, versions of data and code
``model/``         the model as :meth:`Model.save` writes it
``code/``          the package as it was, so that the model loads with the code that trained it
``example.parquet``  a few rows of its input
``plots/``         pictures
``tables/``        frames, as CSV
``uploaded.json``  where it was uploaded to; not there before
=================  ==================================================================================
"""

import datetime as dt
import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import DataError
from pipeline.home import Home, write_whole
from pipeline.learning.models.protocol import Model
from pipeline.learning.models.pyfunc import requirements, ship_code
from pipeline.learning.models.registry import family_file
from pipeline.learning.provenance import code_version, environment
from pipeline.locks import locked

__all__ = [
    "Step",
    "StoredRecord",
    "TrainingIdentity",
    "TrainingResult",
    "Upload",
    "content_hash",
    "drop_leftovers",
    "drop_older_uploads",
    "flat_summary",
    "made_before",
    "mark_uploaded",
    "pending_records",
    "read_record",
    "records_beside",
    "require_whole",
    "training_alone",
    "write_record",
]

FORMAT = 1
RECORD = "record.json"
UPLOADED = "uploaded.json"
EXAMPLE = "example.parquet"
EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class TrainingIdentity:
    """Identity of a training.

    Attributes
    ----------
    symbol, family
        What was trained on what.
    training
        Name of this training, unlike any other of symbol and family; a training that is tried again keeps it.
    started
        When it began, UTC.
    tags
        What else tells where it belongs, such as Dagster's run.
    """

    symbol: str
    family: str
    training: str
    started: dt.datetime
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training.

    Attributes
    ----------
    model
        The fitted model that is to be used from now on.
    example
        Rows of its input; the last few are kept, columns that it does not take are left out.
    data_version, source
        Hash of what was learned from (:func:`pipeline.learning.provenance.data_version`), and where the bars are from.
    rows
        How many were learned from.
    simulated
        Whether the bars are the simulator's.
    parameters
        Hyperparameters and settings; the model's own are added as ``model.<name>``.
    metrics
        Figures of the whole, by name; those that are not finite are left out.
    folds
        One row per fold (integer index), a column per figure.
    logs
        Figures by step (index), by what was fitted: ``fold_1``, ``final``.
    headline
        The few figures to choose a model by, as text with their interval.
    plots
        PNG bytes by file name.
    tables
        Frames by name.
    """

    model: Model
    example: pd.DataFrame
    data_version: str
    source: str
    rows: int
    simulated: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    folds: pd.DataFrame = field(default_factory=pd.DataFrame)
    logs: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    headline: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A figure at a step: fold number, epoch or boosting round."""

    name: str
    value: float
    step: int


@dataclass(frozen=True)
class Upload:
    """Upload of a record: the server, run and version it went to.

    Attributes
    ----------
    server
        The tracking store, without its password.
    run
        MLflow's run.
    name, version
        Of the registered model.
    at
        When, UTC.
    """

    server: str
    run: str
    name: str
    version: str
    at: dt.datetime


@dataclass(frozen=True)
class StoredRecord:
    """A record as it lies on the disk.

    Attributes
    ----------
    folder
        Where.
    identity
        Which training.
    trained
        When it ended, UTC.
    parameters, metrics, headline, environment
        By name.
    steps
        Figures by fold and by step.
    data_version, source, rows, simulated
        What it learned from.
    code
        Version of the package, hash of its files, commit.
    probabilistic, inputs
        Of the family.
    columns
        The model's features, in order.
    requirements
        Distributions that the model needs, pinned.
    fingerprint
        Hash of the model's files.
    upload
        Where it was uploaded to; None before.
    sequence
        Its place among the family's trainings in this home, which the clock can't change; 0 of an older release's.
    """

    folder: Path
    identity: TrainingIdentity
    trained: dt.datetime
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    steps: tuple[Step, ...]
    headline: Mapping[str, str]
    environment: Mapping[str, str]
    data_version: str
    source: str
    rows: int
    simulated: bool
    code: Mapping[str, Any]
    probabilistic: bool
    inputs: str
    columns: tuple[str, ...]
    requirements: tuple[str, ...]
    fingerprint: str
    upload: Upload | None
    sequence: int = 0

    @property
    def model(self) -> Path:
        """Folder of the saved model."""
        return self.folder / "model"

    @property
    def shipped(self) -> Path:
        """The package as it was."""
        return self.folder / "code" / "pipeline"

    @property
    def example(self) -> pd.DataFrame:
        """A few rows of the model's input, read again."""
        return pd.read_parquet(self.folder / EXAMPLE)


def write_record(home: Home, identity: TrainingIdentity, result: TrainingResult) -> StoredRecord:
    """Write a record whole: a killed training leaves none, one that is tried again replaces its own.

    Raises
    ------
    DataError
        For a folder that can't be written: names it.
    """
    place = home.models / identity.symbol / identity.family
    folder = place / identity.training
    try:
        place.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=place, prefix=f".{identity.training}-"))
        try:
            _fill(temporary, identity, result, 1 + max((one.sequence for one in records_beside(folder)), default=0))
            _put(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"the training's record can't be written to {folder}: {error.strerror or error}; make room there, or name "
            "another folder in VPOC_HOME"
        ) from error
    return read_record(folder)


def read_record(folder: Path) -> StoredRecord:
    """Read a record.

    Raises
    ------
    DataError
        For a folder that holds none, or a broken one.
    """
    path = folder / RECORD
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.pop("format") != FORMAT:
            raise DataError(
                f"{path} was written by another version of this project; upload it with that one, or remove {folder}"
            )
        identity = raw.pop("identity")
        stamp = folder / UPLOADED
        upload = json.loads(stamp.read_text(encoding="utf-8")) if stamp.exists() else None
        return StoredRecord(
            folder=folder,
            identity=TrainingIdentity(**{**identity, "started": dt.datetime.fromisoformat(identity["started"])}),
            trained=dt.datetime.fromisoformat(raw.pop("trained")),
            steps=tuple(Step(name, value, step) for name, value, step in raw.pop("steps")),
            columns=tuple(raw.pop("columns")),
            requirements=tuple(raw.pop("requirements")),
            upload=upload and Upload(**{**upload, "at": dt.datetime.fromisoformat(upload["at"])}),
            **raw,
        )
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"the training's record {path} can't be read ({type(error).__name__}: {error}); remove {folder} and train "
            "again"
        ) from error


def require_whole(record: StoredRecord) -> None:
    """Make sure that a record's model is as it was written.

    Raises
    ------
    DataError
        For a model whose files have changed, or are gone.
    """
    if content_hash(record.model) != record.fingerprint:
        raise DataError(
            f"the model in {record.model} is broken: its files have changed since they were written; remove "
            f"{record.folder} and train again"
        )


def pending_records(home: Home) -> list[Path]:
    """Folders of the records that have not been uploaded, the oldest training first."""
    found = []
    for path in home.models.glob(f"[!.]*/[!.]*/[!.]*/{RECORD}"):
        with suppress(FileNotFoundError):  # uploaded and dropped by another process just now
            if not (path.parent / UPLOADED).exists():
                found.append((path.parent.stat().st_mtime_ns, path.parent))
    return [folder for _, folder in sorted(found)]


def mark_uploaded(folder: Path, upload: Upload) -> None:
    """Note where a record was uploaded to."""
    write_whole(folder / UPLOADED, json.dumps({**asdict(upload), "at": upload.at.isoformat()}, indent=1))


def records_beside(folder: Path) -> list[StoredRecord]:
    """Records of the same symbol and family, this one too where it is there; broken ones are for their user to see."""
    found = []
    for path in sorted(folder.parent.glob(f"[!.]*/{RECORD}")):
        with suppress(DataError):
            found.append(read_record(path.parent))
    return found


def drop_older_uploads(folder: Path) -> None:
    """Remove the uploaded records beside this one that were made before it: MLflow holds them."""
    own = read_record(folder)
    for other in records_beside(folder):
        if other.folder != folder and other.upload is not None and made_before(other, own):
            shutil.rmtree(other.folder, ignore_errors=True)


def made_before(one: StoredRecord, other: StoredRecord) -> bool:
    """Return True if one training of a family ended before another in the same home, whatever the clock showed."""
    return (one.sequence, one.trained) < (other.sequence, other.trained)


@contextmanager
def training_alone(home: Home, symbol: str, family: str, wait: Callable[[], None] | None = None) -> Iterator[Path]:
    """Keep other processes from training the same family of a symbol meanwhile; yields the folder of its records.

    Two at once would write the same checkpoints.
    """
    folder = home.models / symbol / family
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, wait):
        yield folder


def drop_leftovers(folder: Path, keep: Path) -> None:
    """Remove what killed trainings of other data left beside the records, but for the checkpoints ``keep``."""
    for path in folder.glob(".*"):
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)


def flat_summary(summary: pd.DataFrame, prefix: str = "") -> dict[str, float]:
    """A summary (a row a metric; ``value``, ``low``, ``high``) as figures ``name``, ``name.low``, ``name.high``."""
    return {
        f"{prefix}{metric}{suffix}": float(row[column])
        for metric, row in summary.iterrows()
        for column, suffix in (("value", ""), ("low", ".low"), ("high", ".high"))
    }


def _fill(folder: Path, identity: TrainingIdentity, result: TrainingResult, sequence: int) -> None:
    model = result.model
    model.save(folder / "model")
    ship_code(folder / "code", family_file(model.family))
    result.example.loc[:, list(model.columns)].tail(EXAMPLE_ROWS).to_parquet(folder / EXAMPLE)
    (folder / "plots").mkdir()
    for name, content in result.plots.items():
        (folder / "plots" / (name if name.endswith(".png") else f"{name}.png")).write_bytes(content)
    (folder / "tables").mkdir()
    tables = {**result.tables, **({"folds": result.folds} if len(result.folds) else {})}
    for name, table in tables.items():
        table.to_csv(folder / "tables" / f"{name}.csv")
    (folder / "environment.json").write_text(json.dumps(environment(), indent=1), encoding="utf-8")
    own = {f"model.{name}": value for name, value in model.settings.model_dump(mode="json").items()}
    document = {
        "format": FORMAT,
        "identity": {**asdict(identity), "tags": dict(identity.tags), "started": identity.started.isoformat()},
        "sequence": sequence,
        "trained": dt.datetime.now(tz=dt.UTC).isoformat(timespec="milliseconds"),
        "parameters": {name: str(value) for name, value in {**own, "seed": model.seed, **result.parameters}.items()},
        "metrics": {name: float(value) for name, value in result.metrics.items() if math.isfinite(value)},
        "steps": [[one.name, one.value, one.step] for one in _steps(result)],
        "headline": dict(result.headline),
        "environment": {name: value for name, value in environment().items() if not name.startswith("package ")},
        "data_version": result.data_version,
        "source": result.source,
        "rows": int(result.rows),
        "simulated": bool(result.simulated),
        "code": asdict(code_version()),
        "probabilistic": model.probabilistic,
        "inputs": model.inputs,
        "columns": list(model.columns),
        "requirements": requirements(model),
        "fingerprint": content_hash(folder / "model"),
    }
    (folder / RECORD).write_text(json.dumps(document, indent=1), encoding="utf-8")


def _steps(result: TrainingResult) -> Iterator[Step]:
    tables = {"fold": result.folds, **result.logs}
    for prefix, table in tables.items():
        for name, column in table.items():
            if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
                continue
            for step, value in zip(table.index, column.to_numpy(float, na_value=math.nan), strict=True):
                if math.isfinite(value):
                    yield Step(f"{prefix}.{name}", float(value), int(step))


def content_hash(folder: Path) -> str:
    """Hash of the files in a folder, their names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def _put(temporary: Path, folder: Path) -> None:
    temporary.chmod(0o755)  # a temporary folder is its maker's alone
    old = temporary.with_name(f"{temporary.name}-old")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
